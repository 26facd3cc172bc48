package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// maxMetadata bounds an authorization server's metadata document, in bytes.
const maxMetadata = 256 << 10

// serverMetadata is what a metadata document says that matters here.
type serverMetadata struct {
	raw     json.RawMessage
	jwksURI string
	keys    *sharedKeys // what stands at jwksURI
	pkce    bool        // code_challenge_methods_supported is there
	rank    int         // of the place where it stood, in the order of preference
}

// wellKnown lists where the metadata of an issuer may stand, in the order in
// which MCP has clients try: RFC 8414 section 3.1, then OpenID Connect Discovery
// with the well-known part inserted, then appended.
func wellKnown(issuer *url.URL) []string {
	origin := issuer.Scheme + "://" + issuer.Host
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	urls := []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + "/.well-known/openid-configuration" + path,
	}
	if path != "" {
		urls = append(urls, origin+path+"/.well-known/openid-configuration")
	}
	return urls
}

// placeTurn is when the next well-known place is asked while one keeps silent.
const placeTurn = time.Second

// discover fetches the issuer's metadata. An issuer that is not byte-equal makes a
// document none. When somebody waits, the place that last worked comes first and
// any document will do; a refresh on schedule goes by the order of preference.
func (s *Source) discover(ctx context.Context, previous *loaded[serverMetadata], urgent bool) (*loaded[serverMetadata], error) {
	places := make([]place, 0, 3)
	for rank, location := range wellKnown(s.issuer.Location) {
		places = append(places, place{rank, location})
	}
	if last := previous; urgent && last != nil {
		worked := places[last.value.rank]
		places = slices.Insert(slices.Delete(places, worked.rank, worked.rank+1), 0, worked)
	}
	doc, err := s.askPlaces(ctx, places, urgent)
	if err != nil {
		return nil, err
	}
	if err := s.locateKeys(ctx, &doc.value, previous); err != nil {
		return nil, err
	}
	if previous == nil && !doc.value.pkce {
		s.registry.log.Warn("mcpauth: the authorization server does not announce PKCE (code_challenge_methods_supported): MCP clients will refuse it",
			"issuer", s.issuer.URL, "cause", "metadata-no-pkce", "fix", explain.Finding{Cause: "metadata-no-pkce"}.Fix())
	}
	return doc, nil
}

// place is where metadata may stand.
type place struct {
	rank int // 0 is preferred
	url  string
}

// askPlaces asks one place after the other: the next has its turn when one has
// failed, or kept silent for a second, so that all share the time of one. With
// urgent, the first document wins; otherwise that of the lowest rank.
func (s *Source) askPlaces(ctx context.Context, places []place, urgent bool) (*loaded[serverMetadata], error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(places))
	turn := time.NewTimer(0)
	defer turn.Stop()
	var best, keyless *loaded[serverMetadata]
	errs, asked, waiting := make([]error, len(places)), 0, make([]bool, len(places))
	for {
		switch {
		case best != nil && (urgent || !slices.Contains(waiting[:best.value.rank], true)):
			return best, nil
		case best == nil && asked == len(places) && !slices.Contains(waiting, true):
			if keyless != nil && s.mayBeKeyless() {
				return keyless, nil
			}
			s.count.fail(asked)
			return nil, errors.Join(errs...)
		}
		select {
		case <-turn.C:
			if asked < len(places) && best == nil {
				waiting[places[asked].rank] = true
				s.count.begin()
				go func(p place) { answers <- s.ask(ctx, p) }(places[asked])
				asked++
				turn.Reset(placeTurn)
			}
		case a := <-answers:
			waiting[a.rank] = false
			doc, err := s.readPlace(a)
			if errs[a.rank] = err; err != nil {
				turn.Reset(0)
				if keyless == nil && errors.Is(err, errNoJWKSURI) {
					keyless = doc
				}
			} else if best == nil || a.rank < best.value.rank {
				best = doc
			}
		case <-ctx.Done():
			if best != nil {
				return best, nil
			}
			s.count.fail(asked)
			return nil, errors.Join(append(errs, &fetch.Error{Class: fetch.TimedOut, URL: s.issuer.URL, Err: context.Cause(ctx)})...)
		}
	}
}

// answer is what a place has said.
type answer struct {
	place
	resp *fetch.Response
	err  error
}

func (s *Source) ask(ctx context.Context, p place) answer {
	begun := time.Now()
	resp, err := s.registry.client.Get(ctx, fetch.Request{URL: p.url, Limit: maxMetadata})
	s.count.end(time.Since(begun))
	return answer{p, resp, err}
}

func (s *Source) readPlace(a answer) (*loaded[serverMetadata], error) {
	if a.err != nil {
		return nil, &metadataError{a.err}
	}
	doc, err := s.readMetadata(a.resp)
	if err != nil {
		err = fmt.Errorf("%s: %w", foreign.URL(a.url), err)
	}
	doc.rank = a.rank
	return &loaded[serverMetadata]{value: doc, lifetime: a.resp.Lifetime, age: a.resp.Age, date: a.resp.Date}, err
}

// mayBeKeyless reports whether metadata without a jwks_uri, which RFC 8414 section 2 makes optional, may be all there is. An
// issuer that had keys goes on with them.
func (s *Source) mayBeKeyless() bool {
	doc := s.keys.metadata.current.Load()
	return s.issuer.Asked && (doc == nil || doc.value.jwksURI == "")
}

func (s *Source) readMetadata(resp *fetch.Response) (doc serverMetadata, err error) {
	mediaType, _, err := mime.ParseMediaType(resp.ContentType)
	if err != nil || mediaType != "application/json" &&
		!(strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")) {
		return doc, fmt.Errorf("%w: %s", errContentType, foreign.Quote(resp.ContentType))
	}
	members, err := memberStrings(resp.Body, "issuer", "jwks_uri")
	if err != nil {
		return doc, fmt.Errorf("%w: %w", errBadMetadata, err)
	}
	if members["issuer"] != s.issuer.URL {
		none := ""
		if members["issuer"] == "" {
			none = ", which is none"
		}
		return doc, fmt.Errorf("%w: the document says %s%s, configured is %q", errIssuerMismatch, foreign.Quote(members["issuer"]), none, s.issuer.URL)
	}
	_, pkce := members["code_challenge_methods_supported"]
	doc = serverMetadata{raw: resp.Body, jwksURI: members["jwks_uri"], pkce: pkce}
	if doc.jwksURI == "" {
		return doc, errNoJWKSURI
	}
	return doc, s.issuer.Accepts(doc.jwksURI)
}

// Accepts checks a URL that a document or the configuration gives, before anything is dialed. It returns what
// is wrong with it, nil for nothing.
func (i *Issuer) Accepts(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%w: %s is not an absolute URL", errInsecureURL, foreign.URL(raw))
	}
	if !fetch.HasOneReading(u.Hostname()) {
		return fmt.Errorf("%w: the host of %s can be read in more than one way: a name in ASCII, or an address of four numbers", errInsecureURL, foreign.URL(raw))
	}
	if u.Scheme == "https" || u.Scheme == "http" && i.Loopback && fetch.IsLoopbackHost(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%w: %s must be https", errInsecureURL, foreign.URL(raw))
}

// Member returns the text of a top-level member of a JSON object, "" for none.
func Member(document []byte, name string) string {
	members, _ := memberStrings(document, name)
	return members[name]
}

// memberStrings reads one strict JSON object and returns its top-level
// members: the text of strings, "" for the rest. Those that are wanted must be
// strings if they are there.
func memberStrings(body []byte, wanted ...string) (map[string]string, error) {
	r := strictjson.NewReader(body, strictjson.Limits{})
	if err := r.Object(); err != nil {
		return nil, err
	}
	members := map[string]string{}
	for {
		name, more, err := r.Member()
		if err != nil {
			return nil, err
		}
		if !more {
			return members, r.End()
		}
		key := string(name)
		if slices.Contains(wanted, key) {
			value, err := r.String()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			members[key] = string(value)
			continue
		}
		if _, err := r.Skip(); err != nil {
			return nil, err
		}
		members[key] = ""
	}
}
