package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

const (
	as        = "https://as.example.com"
	described = as + "/.well-known/oauth-authorization-server"
	published = as + "/jwks"
)

// server is an authorization server behind a transport. A page that it does not have is a 404.
type server struct {
	mu        sync.Mutex
	pages     map[string]page // by URL
	asked     []string        // URLs
	abandoned int             // bodies for which nobody waited
}

type page struct {
	body, kind string        // kind "" is application/json
	status     int           // 0 is 200
	takes      time.Duration // until the body is there
	date       time.Time     // zero for none
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	location := r.URL.String()
	s.asked = append(s.asked, location)
	p, ok := s.pages[location]
	if !ok {
		p.status = http.StatusNotFound
	}
	header := http.Header{"Content-Type": {cmp.Or(p.kind, "application/json")}}
	if !p.date.IsZero() {
		header.Set("Date", p.date.UTC().Format(http.TimeFormat))
	}
	body := &lateBody{strings.NewReader(p.body), r.Context(), p.takes, s}
	return &http.Response{StatusCode: cmp.Or(p.status, http.StatusOK), Header: header, Body: io.NopCloser(body)}, nil
}

type lateBody struct {
	io.Reader
	ctx    context.Context
	takes  time.Duration
	server *server
}

func (b *lateBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(b.takes):
		b.takes = 0
		return b.Reader.Read(p)
	case <-b.ctx.Done():
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		b.server.abandoned++
		return 0, b.ctx.Err()
	}
}

func (s *server) set(location string, p page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[location] = p
}

// requests is how often a URL has been asked for.
func (s *server) requests(location string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, asked := range s.asked {
		if asked == location {
			n++
		}
	}
	return n
}

// rig is a registry, the server from which its sources fetch, and what it tells the operator.
type rig struct {
	*server
	registry *Registry
	issuer   Issuer
	log      bytes.Buffer
}

// newRig has a server whose metadata names the place of one key.
func newRig(key signer) *rig {
	r := &rig{server: &server{pages: map[string]page{}}}
	r.registry = NewRegistry(r.server, slog.New(slog.NewTextHandler(&r.log, nil)))
	r.issuer = issuerAt(as)
	r.set(described, page{body: metadataOf(as, published), takes: time.Millisecond})
	r.set(published, page{body: jwkSet(key)})
	return r
}

func issuerAt(location string) Issuer {
	parsed, err := url.Parse(location)
	if err != nil {
		panic(err)
	}
	return Issuer{URL: location, Location: parsed, Audiences: []string{"https://mcp.example.com"}, Algorithms: []string{"EdDSA"}}
}

func metadataOf(issuer, jwksURI string) string {
	return `{"issuer":"` + issuer + `","jwks_uri":"` + jwksURI + `","code_challenge_methods_supported":["S256"]}`
}

var message = regexp.MustCompile(`msg="mcpauth: ([^:;("]*[^:;(" ])`)

// told are the beginnings of the messages since it was asked last.
func (r *rig) told() (all []string) {
	for _, found := range message.FindAllStringSubmatch(r.log.String(), -1) {
		all = append(all, found[1])
	}
	r.log.Reset()
	return all
}

// signer is a key of the issuer, made from its name.
type signer struct {
	kid     string
	private ed25519.PrivateKey
}

func newSigner(kid string) signer {
	seed := sha256.Sum256([]byte(kid))
	return signer{kid, ed25519.NewKeyFromSeed(seed[:])}
}

var keyA, keyB = newSigner("a"), newSigner("b")

var encode = base64.RawURLEncoding.EncodeToString

func jwkSet(keys ...signer) string {
	var all []string
	for _, k := range keys {
		public := k.private.Public().(ed25519.PublicKey)
		all = append(all, `{"kty":"OKP","crv":"Ed25519","kid":"`+k.kid+`","x":"`+encode(public)+`"}`)
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

func (k signer) token(t *testing.T) *jose.Token {
	t.Helper()
	signed := encode([]byte(`{"alg":"EdDSA","kid":"`+k.kid+`"}`)) + "." + encode([]byte(`{}`))
	token, err := jose.Parse(signed + "." + encode(ed25519.Sign(k.private, []byte(signed))))
	require.NoError(t, err)
	return &token
}

// verify has a token verified that was issued this very moment.
func verify(t *testing.T, s *Source, k signer) (Proof, *refusal.Refusal) {
	t.Helper()
	return s.Verify(t.Context(), k.token(t), time.Now(), time.Now())
}

// refreshed waits until what an issuer publishes is due, and for what comes of it.
func refreshed(s *Source) {
	time.Sleep(maxStale / 12)
	s.keys.serving(time.Now())
	synctest.Wait()
}

// What the operator reads when an issuer is used for the first time is said once, however it is used and refreshed.
func TestSource_Announced_DISC_15_DISC_29_OBS_08(t *testing.T) {
	const used, noPKCE, elsewhere = "issuer in use", "the authorization server does not announce PKCE", "the issuer's keys stand on another host"
	for name, row := range map[string]struct {
		metadata, jwksURI string
		asked             bool
		want              []string
	}{
		"as usual":                     {metadataOf(as, published), published, false, []string{used}},
		"without PKCE":                 {`{"issuer":"` + as + `","jwks_uri":"` + published + `"}`, published, false, []string{noPKCE, used}},
		"keys on another host":         {metadataOf(as, "https://keys.example.com/jwks"), "https://keys.example.com/jwks", false, []string{elsewhere, used}},
		"the host in other letters":    {metadataOf(as, "https://AS.example.com/jwks"), "https://AS.example.com/jwks", false, []string{used}},
		"asked about its tokens":       {metadataOf(as, ""), "", true, []string{used}},
		"asked, and keys all the same": {metadataOf(as, published), published, true, []string{used}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				r.issuer.Asked = row.asked
				r.set(described, page{body: row.metadata})
				if row.jwksURI != "" {
					r.set(row.jwksURI, page{body: jwkSet(keyA)})
				}
				s := r.registry.Discovered(r.issuer)
				use := func() {
					if row.asked {
						require.Nil(t, s.Warm(t.Context()))
						return
					}
					_, denied := verify(t, s, keyA)
					require.Nil(t, denied)
				}
				use()
				assert.Contains(t, r.log.String(), "issuer="+as+" audiences=[https://mcp.example.com] algorithms=[EdDSA] jwks_uri="+cmp.Or(row.jwksURI, `""`))
				assert.Equal(t, row.want, r.told())
				for range 2 {
					refreshed(s)
					use()
				}
				assert.Equal(t, 3, r.requests(described))
				assert.Empty(t, r.told())
			})
		})
	}
}

// An outage is told of when it begins and when it is over, with how long it was.
func TestSource_Outage_JWKS_19_OBS_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		proof, denied := verify(t, s, keyA)
		require.Nil(t, denied)
		r.told()
		r.set(published, page{status: http.StatusInternalServerError})
		refreshed(s)
		assert.Contains(t, r.log.String(), "issuer="+as+" error=\"GET \\\""+published+"\\\": bad_status: status 500\"")
		assert.Equal(t, []string{"cannot refresh what the issuer publishes"}, r.told())
		for range 10 { // within the backoff
			_, denied := verify(t, s, keyA)
			assert.Nil(t, denied)
		}
		synctest.Wait()
		assert.Equal(t, 2, r.requests(published))
		assert.Equal(t, 2, r.requests(described), "keys are at hand: nothing says that they are elsewhere")
		assert.True(t, s.IsCurrent(&proof, time.Now()))
		time.Sleep(2 * time.Second)
		s.IsCurrent(&proof, time.Now())
		synctest.Wait()
		assert.Equal(t, []string{"cannot refresh what the issuer publishes"}, r.told())
		r.set(published, page{body: jwkSet(keyA)})
		time.Sleep(5 * time.Second)
		s.IsCurrent(&proof, time.Now())
		synctest.Wait()
		assert.Contains(t, r.log.String(), "issuer="+as+" document=keys failed_for=7s")
		assert.Equal(t, []string{"the issuer can be fetched again"}, r.told())
		assert.True(t, s.IsCurrent(&proof, time.Now()))
	})
}

// A place where there are no keys is none to which an issuer moves.
func TestSource_MovedToNowhere_DISC_17_JWKS_20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		proof, denied := verify(t, s, keyA)
		require.Nil(t, denied)
		r.set(described, page{body: metadataOf(as, as+"/nowhere")})
		refreshed(s)
		assert.Equal(t, 1, r.requests(as+"/nowhere"))
		assert.True(t, s.IsCurrent(&proof, time.Now()))
		assert.Equal(t, published, s.Status().JWKSURI)
		assert.Len(t, r.registry.sets, 1, "the place is forgotten")
	})
}

// Without keys at the place that the metadata names, it is fetched anew: once, and the keys where they are now.
func TestSource_MovedWhileDown_FRESH_08_DISC_19(t *testing.T) {
	const moved = as + "/moved"
	for name, row := range map[string]struct {
		keys, metadata, elsewhere page
		denied                    bool
		takes                     time.Duration
	}{
		"to another place": {page{status: 500}, page{body: metadataOf(as, moved), takes: time.Second}, page{body: jwkSet(keyA)}, false, time.Second},
		"nowhere":          {page{status: 500}, page{body: metadataOf(as, published), takes: 3 * time.Second}, page{}, true, 3 * time.Second},
		"back again":       {page{body: jwkSet(keyA)}, page{body: metadataOf(as, published), takes: 3 * time.Second}, page{}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				s := r.registry.Discovered(r.issuer)
				r.set(published, page{status: 500})
				_, denied := verify(t, s, keyA)
				require.NotNil(t, denied)
				assert.Equal(t, refusal.Unavailable, denied.Reason)
				assert.Equal(t, 1, r.requests(published))
				assert.Equal(t, 1, r.requests(described), "nothing has failed before")
				r.set(published, row.keys)
				r.set(described, row.metadata)
				r.set(moved, row.elsewhere)
				time.Sleep(2 * time.Second)
				begun := time.Now()
				_, denied = verify(t, s, keyA)
				assert.Equal(t, row.denied, denied != nil)
				assert.Equal(t, row.takes, time.Since(begun))
				time.Sleep(5 * time.Second)
				assert.Equal(t, 2, r.requests(published))
				assert.Equal(t, 2, r.requests(described))
			})
		})
	}
}

// Metadata that is in doubt, and cannot be had either, is not asked for by each token.
func TestSource_AllDown_DISC_19_JWKS_30(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		r.set(published, page{status: 500})
		_, denied := verify(t, s, keyA)
		require.NotNil(t, denied)
		r.set(described, page{status: 500})
		time.Sleep(2 * time.Second)
		for range 10 {
			_, denied = verify(t, s, keyA)
			require.NotNil(t, denied)
			synctest.Wait()
		}
		assert.Equal(t, 2, r.requests(described))
		assert.Equal(t, 2, r.requests(published))
	})
}
