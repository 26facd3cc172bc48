package mcpauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"net/http"
	"strings"
)

// maxSessionID bounds the session id of a handler, in visible ASCII characters.
const maxSessionID = 4 << 10

// tagLength is that of the base64url of 16 bytes.
const tagLength = 22

// sessions binds the session ids that a handler mints to the principal and the
// client that began them: what a session delivers is not decided anew, and another
// client of the same user may have fewer rights. What goes out is the id with
// a keyed MAC over both and the id; nothing is remembered, so replicas that
// share the key agree. Who presents somebody else's id, or one that was never
// minted, gets the same answer.
type sessions struct {
	key [32]byte
}

// mac authenticates one use of a text by a principal's client.
func (s *sessions) mac(p *Principal, use, text string) string {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(appendField(appendCaller(appendField(nil, use), p), text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// appendPrincipal appends who somebody is: issuer, subject, and whether a user or a client.
func appendPrincipal(text []byte, p *Principal) []byte {
	kind := "user"
	if p.Client {
		kind = "client"
	}
	text = appendField(text, p.Issuer)
	text = appendField(text, p.Subject)
	return appendField(text, kind)
}

// appendCaller appends who somebody is, and by which client; tokens that name none
// are of one client.
func appendCaller(text []byte, p *Principal) []byte {
	return appendField(appendPrincipal(text, p), p.ClientID)
}

// appendField appends a text so that no two lists of texts look the same.
func appendField(text []byte, field string) []byte {
	text = binary.BigEndian.AppendUint64(text, uint64(len(field)))
	return append(text, field...)
}

// sealSession binds the session id that a response names to its principal. It
// leaves out the id of a response that begins no session: an error, one of the
// modern era, which has none, and an id that the client could not send back
// (2025-11-25, Session Management: visible ASCII).
func (m *Middleware) sealSession(h http.Header, x *exchange, status int) {
	id := first(h["Mcp-Session-Id"])
	odd := len(id) > maxSessionID || strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' })
	switch {
	case id == "":
	case x.era == modern || status >= 300 || x.unnamed != nil && id == x.unnamed.alias:
		h.Del("Mcp-Session-Id")
	case odd:
		h.Del("Mcp-Session-Id")
		m.log.Error("mcpauth: the handler's Mcp-Session-Id is not 1 to 4096 visible ASCII characters", "id", shown(id))
	default:
		h.Set("Mcp-Session-Id", m.sessions.seal(x.principal, id))
	}
}

// seal makes the id that the client sees.
func (s *sessions) seal(p *Principal, id string) string {
	return id + "." + s.mac(p, "session", id)
}

// open returns the handler's id, if it was sealed for p.
func (s *sessions) open(p *Principal, sealed string) (string, bool) {
	end := len(sealed) - tagLength - 1
	if end < 1 || end > maxSessionID || sealed[end] != '.' {
		return "", false
	}
	id, tag := sealed[:end], sealed[end+1:]
	return id, subtle.ConstantTimeCompare([]byte(tag), []byte(s.mac(p, "session", id))) == 1
}

// checkSession verifies the session that a request names, in the header or, for
// the HTTP+SSE transport, in the query. A modern request has no header for it, and
// what begins a session is in none: there it is not looked at, and not passed on.
// The query is passed on whatever the era, and a handler may find a session by it.
func (m *Middleware) checkSession(r *http.Request, x *exchange) *refusal.Refusal {
	if x.era == modern {
		return m.checkModern(r, x)
	}
	values := r.Header["Mcp-Session-Id"]
	switch {
	case len(values) > 1:
		return refusal.New(refusal.InvalidRequest, "Mcp-Session-Id stands more than once", "", "")
	case len(values) == 1 && strings.Trim(values[0], " \t") != "" && !x.initializes():
		id, ok := m.sessions.open(x.principal, values[0])
		if !ok {
			return refusal.New(refusal.UnknownSession, "Mcp-Session-Id", "", "a session that this principal began here, by this client")
		}
		x.session = id
	}
	if denied := m.checkEndpointSession(r, x); denied != nil || x.session != "" {
		return denied
	}
	return m.checkUnnamed(r, x)
}

// checkModern is checkSession for the modern era.
func (m *Middleware) checkModern(r *http.Request, x *exchange) *refusal.Refusal {
	if denied := m.checkEndpointSession(r, x); denied != nil {
		return denied
	}
	switch version, _ := versionOf(r.Header); {
	case !isModernRevision(version):
		return m.checkUnnamed(r, x) // some server may take it for a legacy one
	case x.tells && x.calls[0].Method == cancelMethod:
		// A server that keeps all modern requests in one place would end anybody's of that
		// id. A client ends its own when it closes the response.
		x.unnamed = &unnamed{ours: true}
	}
	return nil
}

func (x *exchange) initializes() bool {
	for _, call := range x.calls {
		if call.Method == "initialize" {
			return true
		}
	}
	return false
}

// endpointTag is the query parameter that binds the message endpoint of the
// HTTP+SSE transport (2024-11-05) to the principal's client that was told it.
const endpointTag = "mcpauth"

func hasEndpointTag(query string) bool {
	return strings.HasPrefix(query, endpointTag+"=") || strings.Contains(query, "&"+endpointTag+"=")
}

// sealEndpoint adds the tag to the URI reference that an endpoint event names, on a stream
// that was asked for with a query.
func (m *Middleware) sealEndpoint(p *Principal, asked, reference string) string {
	bare, _, _ := strings.Cut(reference, "#") // nobody sends a fragment
	path, query, _ := strings.Cut(bare, "?")
	m.endpoints.announce(path, query, asked)
	tag := endpointTag + "=" + m.sessions.endpointMAC(p, path, query)
	if query == "" {
		return path + "?" + tag
	}
	return path + "?" + query + "&" + tag
}

// endpointMAC authenticates what of an endpoint names the session: the query, or
// the last segment of the path. What stands before it may be rewritten on the way.
func (s *sessions) endpointMAC(p *Principal, path, query string) string {
	if namesSession(query) {
		return s.mac(p, "endpoint", query)
	}
	return s.mac(p, "endpoint path", path[strings.LastIndexByte(path, '/')+1:]+"?"+query)
}

// checkEndpointSession verifies the tag of a query and takes it off. A query that
// names a session needs one, and so does what looks like an announced endpoint.
func (m *Middleware) checkEndpointSession(r *http.Request, x *exchange) *refusal.Refusal {
	raw := r.URL.RawQuery
	if raw == "" && !m.endpoints.any.Load() {
		return nil
	}
	query, tag, tagged := strings.Cut("&"+raw, "&"+endpointTag+"=")
	query = strings.TrimPrefix(query, "&")
	if !tagged && !namesSession(raw) && !m.endpoints.knows(r.URL.EscapedPath(), raw) {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(tag), []byte(m.sessions.endpointMAC(x.principal, r.URL.EscapedPath(), query))) != 1 {
		return refusal.New(refusal.UnknownSession, "the session in the query", "", "a session that this principal began here, by this client")
	}
	x.query, x.tag = &query, tag
	return nil
}

// namesSession reports whether a query has a parameter such as sessionId,
// session_id or sessionid.
func namesSession(query string) bool {
	for name := range queryNames(query) {
		if strings.NewReplacer("_", "", "-", "").Replace(name) == "sessionid" {
			return true
		}
	}
	return false
}

// callerKey names a principal together with the client that acts for it: two
// clients of one user are two callers.
func callerKey(p *Principal) string {
	sum := sha256.Sum256(appendCaller(nil, p))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Key returns a short name of the principal that is equal for all its tokens
// and differs between issuers, and between a user and a client of the same
// subject: for handlers that keep state and must not mix it up.
func (p *Principal) Key() string {
	sum := sha256.Sum256(appendPrincipal(nil, p))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
