package mcpauth

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// refuser is how refusals are answered. All of it comes from the catalogue of reasons and from the
// configuration.
type refuser struct {
	metadataURL              string
	scope                    string                              // the scopes to begin with, joined
	offersBearer, offersDPoP bool                                // the schemes under which some issuer's tokens are taken
	granted                  grantFilter                         // what of a token's scopes a challenge may repeat
	canned                   [2]map[refusal.Reason]*cannedAnswer // to requests under Bearer or none, and under DPoP
	origins                  *origins
}

// maxDrain bounds what the server reads of a refused body, to use the
// connection again. A longer body, or one that does not say how long it is, ends the connection.
const maxDrain = 64 << 10

// refuse writes the answer to a refused request: status, challenge, body. All
// of it comes from the catalogue of reasons and from the configuration.
func (f *refuser) refuse(w http.ResponseWriter, r *http.Request, x *exchange, denied *refusal.Refusal) {
	h := w.Header()
	f.origins.allow(h, r)
	slow := denied.Reason == refusal.SlowBody
	if r.ProtoMajor == 1 && x.body == nil && (r.ContentLength < 0 || r.ContentLength > maxDrain || slow) {
		h.Set("Connection", "close")
	}
	if x.body == nil && r.ContentLength != 0 && !slow { // the server throws it away before it answers
		clock := newBodyClock(w, r)
		clock.await()
	}
	if canned := f.cannedFor(x.dpop)[denied.Said()]; canned != nil {
		canned.serve(w, r)
		return
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	answer := denied.Said().Entry()
	scope := f.scopeFor(x, denied)
	status, body := denied.Status(), []byte(nil)
	switch {
	case denied.InBand && x.id != nil: // a notification and a batch have no place for a result
		status, body = http.StatusOK, toolResult(x, f.challenges(denied, scope, x.dpop), denied)
	case answer.RPC == 0:
		body = oauthBody(denied)
	default:
		body = f.rpcBody(x.id, answer.RPC, denied, scope)
	}
	if status == http.StatusUnauthorized || status != http.StatusOK && denied.OAuth() != "" { // 401: of the zero Middleware
		h["Www-Authenticate"] = f.challenges(denied, scope, x.dpop)
	}
	switch status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(retryAfter(denied.RetryAfter)))
	case http.StatusMethodNotAllowed:
		h.Set("Allow", mcp.Verbs(r.Header))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// retrySoon is for what the operator's own code could not answer.
const retrySoon = time.Second

// retryAfter is in whole seconds, 1 to 30, rounded up and with a little jitter
// so that clients which were refused together do not come back together.
func retryAfter(wait time.Duration) int {
	seconds := int((wait+time.Second-1)/time.Second) + rand.IntN(3)
	return min(max(seconds, 1), 30)
}

// challenges renders WWW-Authenticate (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section
// 5.1), each a line of its own: Bearer first, because older clients read only the first. Without a
// good token the client is told of every scheme, and of what was wrong under the one that it has used.
// Where it is not about the token, the other scheme would not help.
func (f *refuser) challenges(denied *refusal.Refusal, scope string, dpop bool) []string {
	dpop = f.offersDPoP && (dpop || !f.offersBearer)
	about, other := "Bearer", "DPoP"
	if dpop {
		about, other = other, about
	}
	said := f.challenge(about, denied, scope)
	switch {
	case denied.Status() != http.StatusUnauthorized || !f.offersDPoP || !f.offersBearer:
		return []string{said}
	case dpop:
		return []string{f.challenge(other, nil, scope), said}
	}
	return []string{said, f.challenge(other, nil, scope)}
}

// challenge renders one challenge, about a refusal or, with nil, about nothing but the scheme.
func (f *refuser) challenge(scheme string, denied *refusal.Refusal, scope string) string {
	metadata := challenge.Param{Name: "resource_metadata", Value: f.metadataURL}
	algs := challenge.Param{Name: "algs"}
	if scheme == "DPoP" {
		algs.Value = proofAlgorithms
	}
	if denied == nil || denied.OAuth() == "" {
		return challenge.Format(scheme, metadata, challenge.Param{Name: "scope", Value: scope}, algs)
	}
	description := ""
	if denied.Status() != http.StatusForbidden {
		description = challenge.Description(string(denied.Said()))
	}
	return challenge.Format(scheme,
		challenge.Param{Name: "error", Value: denied.OAuth()},
		challenge.Param{Name: "error_description", Value: description},
		challenge.Param{Name: "scope", Value: scope},
		metadata, algs)
}

// proofAlgorithms are those of DPoP proofs.
var proofAlgorithms = strings.Join(jose.Algorithms(), " ")

// scopeFor is what the client is told to ask for: all that the operation needs. Clients of
// the legacy era forget what they had when they ask for more, so they are told that too.
func (f *refuser) scopeFor(x *exchange, denied *refusal.Refusal) string {
	switch {
	case denied.Reason != refusal.InsufficientScope:
		return ""
	case x.era == mcp.Legacy:
		return challenge.JoinScopes(append(f.granted.of(x.principal), denied.Scopes...))
	}
	return challenge.JoinScopes(denied.Scopes)
}

func oauthBody(denied *refusal.Refusal) []byte {
	return encode(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description"`
	}{denied.OAuth(), string(denied.Said())})
}

func (f *refuser) rpcBody(id []byte, code int, denied *refusal.Refusal, scope string) []byte {
	type data struct {
		Error            string `json:"error"`
		Scope            string `json:"scope,omitempty"`
		ResourceMetadata string `json:"resource_metadata"`
	}
	type failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    *data  `json:"data,omitempty"`
	}
	failed := failure{Code: code, Message: string(denied.Said())}
	if denied.OAuth() != "" {
		failed.Data = &data{denied.OAuth(), scope, f.metadataURL}
	}
	return encode(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id,omitempty"`
		Error   failure         `json:"error"`
	}{"2.0", id, failed})
}

// toolResult is the challenge for hosts that look at results only.
func toolResult(x *exchange, challenges []string, denied *refusal.Refusal) []byte {
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type result struct {
		Type    string              `json:"resultType,omitempty"`
		Content []content           `json:"content"`
		IsError bool                `json:"isError"`
		Meta    map[string][]string `json:"_meta"`
	}
	r := result{
		Content: []content{{"text", string(denied.Said())}},
		IsError: true,
		Meta:    map[string][]string{"mcp/www_authenticate": challenges},
	}
	if x.era == mcp.Modern {
		r.Type = "complete"
	}
	return encode(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id,omitempty"`
		Result  result          `json:"result"`
	}{"2.0", x.id, r})
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // strings, numbers and an id that was valid JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// tokenReasons are answered with 401, and always with the same words: whoever has
// no good token learns nothing that depends on the request.
var tokenReasons = []refusal.Reason{
	refusal.NoCredentials, refusal.MalformedToken, refusal.TokenTooComplex, refusal.TokenType, refusal.Algorithm, refusal.Claims, refusal.Issuer, refusal.Audience,
	refusal.Expired, refusal.NotYetValid, refusal.UnknownKey, refusal.Signature, refusal.SenderConstrained, refusal.InvalidProof, refusal.UseNonce, refusal.Revoked,
}

// hide tells whoever sends a token that nobody has verified what he would be told of an issuer that is not configured,
// where the issuer is nobody's business. That nobody can tell now is told all the same.
func (s *issuer) hide(denied *refusal.Refusal) *refusal.Refusal {
	if s == nil || !s.unlisted || denied.Said() == refusal.Unavailable {
		return denied
	}
	hidden := *denied
	hidden.Told = refusal.Issuer
	return &hidden
}

// cannedAnswer is the answer to a request without a good token, rendered once: strangers cost little.
type cannedAnswer struct {
	// fields are the values of the response header, in the order in which serve names them.
	fields     [6]string
	challenges int // how many of them
	body       []byte
}

// renderAnswers prepares the answers for all reasons of the kind.
func (f *refuser) renderAnswers() {
	for i, dpop := range [...]bool{false, true} {
		f.canned[i] = make(map[refusal.Reason]*cannedAnswer, len(tokenReasons))
		for _, reason := range tokenReasons {
			denied := refusal.New(reason, "", "", "")
			body, challenges := oauthBody(denied), f.challenges(denied, f.scope, dpop)
			a := &cannedAnswer{body: body, challenges: len(challenges)}
			a.fields = [6]string{"no-store", "nosniff", "application/json", strconv.Itoa(len(body))}
			copy(a.fields[4:], challenges)
			f.canned[i][reason] = a
		}
	}
}

func (f *refuser) cannedFor(dpop bool) map[refusal.Reason]*cannedAnswer {
	if dpop {
		return f.canned[1]
	}
	return f.canned[0]
}

func (a *cannedAnswer) serve(w http.ResponseWriter, r *http.Request) {
	h, fields := w.Header(), a.fields // a copy, lest a change to this response change the next
	h["Cache-Control"] = fields[0:1:1]
	h["X-Content-Type-Options"] = fields[1:2:2]
	h["Content-Type"] = fields[2:3:3]
	h["Content-Length"] = fields[3:4:4]
	h["Www-Authenticate"] = fields[4 : 4+a.challenges : 4+a.challenges]
	w.WriteHeader(http.StatusUnauthorized)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}

// grantFilter knows the scopes that the configuration speaks of, so that a
// challenge repeats no scope that is none of its business.
type grantFilter struct {
	exact    map[string]bool
	patterns [][2]string // prefix and suffix around a {name}
}

func newGrantFilter(scopes []string) grantFilter {
	f := grantFilter{exact: make(map[string]bool, len(scopes))}
	for _, scope := range scopes {
		prefix, suffix, named := strings.Cut(scope, namePlaceholder)
		if named {
			f.patterns = append(f.patterns, [2]string{prefix, suffix})
			continue
		}
		f.exact[scope] = true
	}
	return f
}

// of returns the principal's scopes that the filter knows.
func (f *grantFilter) of(p *Principal) []string {
	if p == nil {
		return nil
	}
	var known []string
	for _, scope := range p.Scopes {
		named := func(pattern [2]string) bool {
			return len(scope) > len(pattern[0])+len(pattern[1]) &&
				strings.HasPrefix(scope, pattern[0]) && strings.HasSuffix(scope, pattern[1])
		}
		if f.exact[scope] || slices.ContainsFunc(f.patterns, named) {
			known = append(known, scope)
		}
	}
	return known
}
