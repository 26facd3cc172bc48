package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	sessionInitialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	sessionForged     = "mcp-session-00000000-0000-4000-8000-000000000000.AAAAAAAAAAAAAAAAAAAAAA"
	sessionVersion    = "MCP-Protocol-Version: 2025-11-25"
)

// sessionTransport reaches two issuers.
type sessionTransport [2]*mcpauthtest.Issuer

func (t sessionTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, issuer := range t {
		if strings.HasPrefix(issuer.URL(), "https://"+r.URL.Host+"/") {
			return issuer.Transport().RoundTrip(r)
		}
	}
	return nil, errors.New("no such host")
}

// sessionBed is a real mcp-go server with sessions behind three middlewares: one,
// a replica with the same session key, and one with another key.
type sessionBed struct {
	*fixture
	other                  *mcpauthtest.Issuer
	auth, replica, foreign http.Handler
	reached                atomic.Int32 // requests that reached the server
	tools                  atomic.Int32 // calls of tools
	seen                   atomic.Pointer[http.Request]
}

func newSessionBed(t *testing.T) *sessionBed {
	t.Helper()
	bed := &sessionBed{other: mcpauthtest.NewIssuerAt(t, "https://as2.example.com/tenant1")}
	configure := func(key string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			if bed.fixture != nil {
				c.Issuers[0] = bed.issuer.Config()
				c.Transport = sessionTransport{bed.issuer, bed.other}
			}
			c.Issuers = append(c.Issuers, bed.other.Config())
			c.SessionKey = []byte(strings.Repeat(key, 31) + ".")
		}
	}
	bed.fixture = newFixture(t, nil)
	wrap := func(key string, next http.Handler) http.Handler {
		config := testConfig(bed.issuer)
		configure(key)(&config)
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		return auth.Wrap(next)
	}
	inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(false))
	for _, name := range []string{"echo", "admin_delete"} {
		inner.AddTool(mcp.NewTool(name), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			bed.tools.Add(1)
			return mcp.NewToolResultText("done"), nil
		})
	}
	real := server.NewStreamableHTTPServer(inner, server.WithStateful(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bed.reached.Add(1)
		bed.seen.Store(r)
		if r.Method == http.MethodGet { // a stream that ends at once
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			r = r.WithContext(ctx)
		}
		real.ServeHTTP(w, r)
	})
	bed.auth, bed.replica, bed.foreign = wrap("k", next), wrap("k", next), wrap("x", next)
	return bed
}

func (b *sessionBed) send(h http.Handler, method, token, body string, headers ...string) *httptest.ResponseRecorder {
	b.handler = h
	return b.do(method, "/mcp", token, body, append([]string{sessionVersion}, headers...)...)
}

// begin begins a session.
func (b *sessionBed) begin(token string) (id string) {
	b.tb.Helper()
	w := b.send(b.auth, http.MethodPost, token, sessionInitialize)
	require.Equal(b.tb, http.StatusOK, w.Code, "%s", w.Body)
	id = w.Header().Get("Mcp-Session-Id")
	require.Regexp(b.tb, `^mcp-session-[0-9a-f-]{36}\.[A-Za-z0-9_-]{22}$`, id)
	return id
}

// works asserts that the owner can still use a session.
func (b *sessionBed) works(token, id string) bool {
	b.tb.Helper()
	before := b.tools.Load()
	w := b.send(b.auth, http.MethodPost, token, legacyCall("echo"), "Mcp-Session-Id: "+id)
	return assert.Equal(b.tb, http.StatusOK, w.Code, "the owner lost the session: %s", w.Body) &&
		assert.Equal(b.tb, before+1, b.tools.Load())
}

// sessionAnswer is a whole response as text, for comparison.
func sessionAnswer(w *httptest.ResponseRecorder) string {
	return fmt.Sprint(w.Code, w.Result().Header, w.Body)
}

// flipCase changes the case of the first letter it can.
func flipCase(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	return s[:i] + string(s[i]^0x20) + s[i+1:]
}

// TestSessionAttacks_SESS_02_SESS_03_SESS_04 is the table of attacks on a session of
// the streamable HTTP transport. Each runs against a session of its own, and
// the owner uses the session after it.
func TestSessionAttacks_SESS_02_SESS_03_SESS_04(t *testing.T) {
	b := newSessionBed(t)
	owner := b.token(nil)
	foreign := b.token(mcpauthtest.Claims{"sub": "user-2", "client_id": "client-2"})
	elsewhere := b.other.Token(mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"})
	asClient := b.token(mcpauthtest.Claims{"client_id": "user-1"})
	admin := b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
	own := b.begin(foreign) // a session that the attacker has
	echo, post, get, del := legacyCall("echo"), http.MethodPost, http.MethodGet, http.MethodDelete
	mac := func(id string) string { return id[len(id)-22:] }
	raw := func(id string) string { return id[:len(id)-23] }
	same := func(id string) []string { return []string{id} }

	rows := []struct {
		name    string
		handler http.Handler
		method  string
		token   string
		body    string
		ids     func(stolen string) []string // lines of Mcp-Session-Id
		header  string                       // a further one
		status  int
	}{
		{"SESS-05 the owner", b.auth, post, owner, echo, same, "", 200},
		{"SESS-05 refreshed token", b.auth, post, b.token(mcpauthtest.Claims{"jti": "another", "scope": "mcp:read x"}), echo, same, "", 200},
		{"ISOL-14 another client of the same user", b.auth, post, b.token(mcpauthtest.Claims{"client_id": "client-2"}), echo, same, "", 404},
		{"ISOL-14 another client, which names itself otherwise", b.auth, post, b.token(mcpauthtest.Claims{"client_id": nil, "azp": "client-2"}), echo, same, "", 404},
		{"ISOL-14 a token that names no client", b.auth, post, b.token(mcpauthtest.Claims{"client_id": nil}), echo, same, "", 404},
		{"SESS-05 step-up", b.auth, post, admin, legacyCall("admin_delete"), same, "", 200},
		{"SESS-05 narrower token", b.auth, post, b.token(mcpauthtest.Claims{"scope": nil}), echo, same, "", 403},
		{"SESS-05 the owner without the scope", b.auth, post, owner, legacyCall("admin_delete"), same, "", 403},
		{"SESS-06 replica with the same key", b.replica, post, owner, echo, same, "", 200},
		{"MCP-56 the owner's stream", b.auth, get, owner, "", same, "Last-Event-ID: 1", 200},
		{"SESS-02 other subject", b.auth, post, foreign, echo, same, "", 404},
		{"SESS-02 other issuer, same subject", b.auth, post, elsewhere, echo, same, "", 404},
		{"SESS-02 client with the user's subject", b.auth, post, asClient, echo, same, "", 404},
		{"SESS-02 other subject with more scopes", b.auth, post, b.token(mcpauthtest.Claims{"sub": "user-2", "scope": "mcp:read mcp:admin"}), echo, same, "", 404},
		{"SESS-02 subject that begins alike", b.auth, post, b.token(mcpauthtest.Claims{"sub": "user-11"}), echo, same, "", 404},
		{"SESS-04 stolen id on GET", b.auth, get, foreign, "", same, "", 404},
		{"SESS-04 stolen id on GET with Last-Event-ID", b.auth, get, foreign, "", same, "Last-Event-ID: 1", 404},
		{"SESS-04 stolen id on DELETE", b.auth, del, foreign, "", same, "", 404},
		{"SESS-04 stolen id on DELETE at a replica", b.replica, del, foreign, "", same, "", 404},
		{"MCP-50 stolen id on notifications/cancelled", b.auth, post, foreign, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, same, "", 404},
		{"SESS-04 stolen id with a response", b.auth, post, foreign, `{"jsonrpc":"2.0","id":1,"result":{}}`, same, "", 404},
		{"SESS-04 stolen id with a batch", b.auth, post, foreign, "[" + echo + `,{"jsonrpc":"2.0","id":2,"method":"ping"}]`, same, "MCP-Protocol-Version: 2025-03-26", 404},
		{"SESS-06 replica with another key", b.foreign, post, owner, echo, same, "", 404},
		{"SESS-06 id without MAC", b.auth, post, owner, echo, func(id string) []string { return []string{raw(id)} }, "", 404},
		{"SESS-06 id without MAC, with the dot", b.auth, post, owner, echo, func(id string) []string { return []string{raw(id) + "."} }, "", 404},
		{"SESS-06 MAC of another id", b.auth, post, foreign, echo, func(id string) []string { return []string{raw(id) + "." + mac(own)} }, "", 404},
		{"SESS-06 own id with the victim's MAC", b.auth, post, foreign, echo, func(id string) []string { return []string{raw(own) + "." + mac(id)} }, "", 404},
		{"SESS-06 truncated MAC", b.auth, post, owner, echo, func(id string) []string { return []string{id[:len(id)-1]} }, "", 404},
		{"SESS-06 extended MAC", b.auth, post, owner, echo, func(id string) []string { return []string{id + "A"} }, "", 404},
		{"SESS-06 padded MAC", b.auth, post, owner, echo, func(id string) []string { return []string{id + "=="} }, "", 404},
		{"SESS-06 MAC in another case", b.auth, post, owner, echo, func(id string) []string { return []string{raw(id) + "." + flipCase(mac(id))} }, "", 404},
		{"SESS-06 id in another case", b.auth, post, owner, echo, func(id string) []string { return []string{flipCase(id)} }, "", 404},
		{"SESS-06 the MAC alone", b.auth, post, owner, echo, func(id string) []string { return []string{"." + mac(id)} }, "", 404},
		{"SESS-06 sealed twice", b.auth, post, owner, echo, func(id string) []string { return []string{id + "." + mac(id)} }, "", 404},
		{"SESS-08 over-long id", b.auth, post, owner, echo, func(id string) []string { return []string{strings.Repeat("a", 5000) + "." + mac(id)} }, "", 404},
		{"SESS-08 a list of two ids", b.auth, post, foreign, echo, func(id string) []string { return []string{own + ", " + id} }, "", 404},
		{"SESS-08 two header lines", b.auth, post, foreign, echo, func(id string) []string { return []string{own, id} }, "", 400},
		{"SESS-08 two header lines, both the owner's", b.auth, post, owner, echo, func(id string) []string { return []string{id, id} }, "", 400},
	}
	require.GreaterOrEqual(t, len(rows), 20)
	succeeded, lost := 0, 0
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			stolen := b.begin(owner)
			send := func(ids []string) *httptest.ResponseRecorder {
				headers := []string{}
				for _, id := range ids {
					headers = append(headers, "Mcp-Session-Id: "+id)
				}
				if row.header == "" {
					return b.send(row.handler, row.method, row.token, row.body, headers...)
				}
				b.handler = row.handler
				return b.do(row.method, "/mcp", row.token, row.body, append(headers, row.header)...)
			}
			reached := b.reached.Load()
			w := send(row.ids(stolen))
			assert.Equal(t, row.status, w.Code, "%s", w.Body)
			if ran := b.reached.Load() - reached; row.status == http.StatusOK {
				assert.EqualValues(t, 1, ran)
				assert.Equal(t, []string{raw(stolen)}, b.seen.Load().Header["Mcp-Session-Id"], "the handler sees its own id")
			} else if ran > 0 {
				succeeded++
			}
			switch row.status {
			case http.StatusNotFound:
				assert.Equal(t, sessionAnswer(send([]string{sessionForged})), sessionAnswer(w), "a foreign session differs from none")
				assert.Contains(t, w.Body.String(), `"error":{"code":-31404,"message":"session not found"}`)
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				assert.Empty(t, w.Header().Get("WWW-Authenticate"))
			case http.StatusForbidden:
				assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
			case http.StatusBadRequest:
				assert.Contains(t, w.Body.String(), `"code":-32600`)
			}
			if !b.works(owner, stolen) {
				lost++
			}
		})
	}
	assert.Zero(t, succeeded, "attempts that succeeded")
	assert.Zero(t, lost, "owners who lost a session")
	assert.True(t, b.works(foreign, own))
}

// TestSessionIsNoCredential_SESS_01_TOK_08: with a good session and no good token, every verb is 401.
func TestSessionIsNoCredential_SESS_01_TOK_08(t *testing.T) {
	b := newSessionBed(t)
	id := b.begin(b.token(nil))
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		reached := b.reached.Load()
		w := b.send(b.auth, method, "", legacyCall("echo"), "Mcp-Session-Id: "+id, "Last-Event-ID: 1")
		b.refused(w, http.StatusUnauthorized, bareChallenge)
		w = b.send(b.auth, method, b.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}), legacyCall("echo"), "Mcp-Session-Id: "+id)
		b.refused(w, http.StatusUnauthorized, invalidToken("token expired"))
		assert.Equal(t, reached, b.reached.Load(), method)
	}
	assert.True(t, b.works(b.token(nil), id))
}

// TestSessionModern_SESS_07: what a modern request says of sessions is neither looked at nor passed on.
func TestSessionModern_SESS_07(t *testing.T) {
	b := newSessionBed(t)
	stolen := b.begin(b.token(nil))
	for name, id := range map[string]string{"foreign": stolen, "forged": sessionForged, "handler's own": strings.Split(stolen, ".")[0], "over-long": strings.Repeat("a", 999)} {
		t.Run(name, func(t *testing.T) {
			headers := append(modernHeaders("tools/call", "echo"), "Mcp-Session-Id: "+id, "Mcp-Session-Id: again", "Last-Event-ID: 1")
			b.handler = b.auth
			tools := b.tools.Load()
			w := b.post(b.token(mcpauthtest.Claims{"sub": "user-2"}), wholeCall("echo"), headers...)
			require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
			assert.Equal(t, tools+1, b.tools.Load())
			assert.Empty(t, w.Header().Get("Mcp-Session-Id"))
			assert.NotContains(t, b.seen.Load().Header, "Mcp-Session-Id")
			assert.NotContains(t, b.seen.Load().Header, "Last-Event-Id")
		})
	}
	assert.True(t, b.works(b.token(nil), stolen))
}

// TestSessionEnds_SESS_09: only the handler ends a session.
func TestSessionEnds_SESS_09(t *testing.T) {
	b := newSessionBed(t)
	owner := b.token(nil)
	id := b.begin(owner)
	w := b.send(b.auth, http.MethodDelete, owner, "", "Mcp-Session-Id: "+id)
	assert.Equal(t, http.StatusOK, w.Code)
	w = b.send(b.auth, http.MethodPost, owner, legacyCall("echo"), "Mcp-Session-Id: "+id)
	assert.Equal(t, http.StatusNotFound, w.Code, "the handler's own answer: %s", w.Body)

	f := newFixture(t, nil)
	status := 0
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", "abc")
		w.WriteHeader(status)
	}
	status = http.StatusOK
	id = f.post(f.token(nil), sessionInitialize).Header().Get("Mcp-Session-Id")
	for _, status = range []int{http.StatusMethodNotAllowed, http.StatusInternalServerError, http.StatusNoContent} {
		assert.Equal(t, status, f.do(http.MethodDelete, "/mcp", f.token(nil), "", "Mcp-Session-Id: "+id).Code)
		assert.Equal(t, "abc", f.last.Header.Get("Mcp-Session-Id"))
	}
	status = http.StatusOK
	w = f.post(f.token(nil), legacyCall("echo"), sessionVersion, "Mcp-Session-Id: "+id)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, id, w.Header().Get("Mcp-Session-Id"), "a handler that repeats the id changes nothing")
}

// TestSessionEcho_SESS_12: nobody gets an id sealed that another has begun, by
// having the handler repeat it.
func TestSessionEcho_SESS_12(t *testing.T) {
	f := newFixture(t, nil)
	echo := false
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		switch id := r.Header.Get("Mcp-Session-Id"); {
		case echo && id != "":
			w.Header().Set("Mcp-Session-Id", id)
		case !echo:
			w.Header().Set("Mcp-Session-Id", "victim")
		}
	}
	sealed := f.post(f.token(nil), sessionInitialize).Header().Get("Mcp-Session-Id")
	require.Regexp(t, `^victim\.`, sealed)
	echo = true
	other := f.token(mcpauthtest.Claims{"sub": "user-2"})
	for _, id := range []string{"victim", sealed} {
		for _, w := range []*httptest.ResponseRecorder{
			f.post(other, sessionInitialize, "Mcp-Session-Id: "+id),
			f.post(other, legacyCall("echo"), "Mcp-Session-Id: "+id),
			f.post(other, modernCall("echo"), append(modernHeaders("tools/call", "echo"), "Mcp-Session-Id: "+id)...),
			f.do(http.MethodGet, "/mcp", other, "", "Mcp-Session-Id: "+id),
			f.post(other, sessionInitialize, "Mcp_Session_Id: "+id),
		} {
			assert.Empty(t, w.Header().Get("Mcp-Session-Id"))
		}
	}
}

// TestSessionSpellings_SESS_04: no spelling of the header reaches the handler unverified.
func TestSessionSpellings_SESS_04(t *testing.T) {
	for _, name := range []string{"mcp-session-id", "MCP-SESSION-ID", "Mcp_Session_Id", "mcp_session_id", "Mcp-Session_Id"} {
		f := newFixture(t, nil)
		r := f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"), sessionVersion)
		r.Header[name] = []string{"victim"} // as a handler in front of us could write it
		f.served(f.serve(r))
		assert.NotContains(t, f.last.Header, name)
		assert.Equal(t, []string{"victim"}, r.Header[name], "the outer request is unchanged")
	}
}

// TestSessionIDs_SESS_06_SESS_08: whatever a handler mints, the client's id leads
// back to it, or to nothing.
func TestSessionIDs_SESS_06_SESS_08(t *testing.T) {
	for _, row := range []struct {
		name, id string
		usable   bool
	}{
		{"plain", "abc", true},
		{"one character", "a", true},
		{"dots", "a.b..c.", true},
		{"like a sealed one", sessionForged, true},
		{"base64", "YWJj+/==", true},
		{"all of visible ASCII", `!"#$%&'()*+,-./09:;<=>?@AZ[\]^_` + "`az{|}~", true},
		{"267 characters", strings.Repeat("a", 267), true},
		{"4,096 characters", strings.Repeat("a", 4096), true},
		{"4,097 characters", strings.Repeat("a", 4097), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Mcp-Session-Id") == "" {
					w.Header().Set("Mcp-Session-Id", row.id)
				}
			}
			sealed := f.post(f.token(nil), sessionInitialize).Header().Get("Mcp-Session-Id")
			f.ran = 0
			w := f.post(f.token(nil), legacyCall("echo"), sessionVersion, "Mcp-Session-Id: "+sealed)
			if !row.usable {
				assert.Empty(t, sealed)
				f.ran = 0
				w = f.post(f.token(nil), legacyCall("echo"), sessionVersion, "Mcp-Session-Id: "+row.id+"."+strings.Repeat("A", 22))
				f.refused(w, http.StatusNotFound, "")
				return
			}
			f.served(w)
			assert.Equal(t, row.id, f.last.Header.Get("Mcp-Session-Id"))
			f.refused(f.post(f.token(mcpauthtest.Claims{"sub": "user-2"}), legacyCall("echo"), sessionVersion, "Mcp-Session-Id: "+sealed), http.StatusNotFound, "")
		})
	}
}

// TestSessionLeftOut_SESS_08_SESS_10: who begins anew is not asked for what was before, and an
// empty id is none.
func TestSessionLeftOut_SESS_08_SESS_10(t *testing.T) {
	b := newSessionBed(t)
	owner, foreign := b.token(nil), b.token(mcpauthtest.Claims{"sub": "user-2"})
	stolen := b.begin(owner)
	for name, row := range map[string]struct{ token, id string }{
		"own": {owner, stolen}, "foreign": {foreign, stolen}, "forged": {owner, sessionForged}, "the handler's own": {foreign, strings.Split(stolen, ".")[0]},
		"none": {owner, ""}, "over-long": {owner, strings.Repeat("a", 9999)}, "a list": {owner, stolen + ", " + stolen},
	} {
		t.Run("SESS-10 initialize with an id: "+name, func(t *testing.T) {
			w := b.send(b.auth, http.MethodPost, row.token, sessionInitialize, "Mcp-Session-Id: "+row.id)
			require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
			assert.NotContains(t, b.seen.Load().Header, "Mcp-Session-Id")
			fresh := w.Header().Get("Mcp-Session-Id")
			assert.NotEqual(t, row.id, fresh)
			assert.True(t, b.works(row.token, fresh), "the new session")
			assert.True(t, b.works(owner, stolen), "the old one")
			assert.Equal(t, http.StatusNotFound, b.send(b.auth, http.MethodPost, b.token(mcpauthtest.Claims{"sub": "user-3"}), legacyCall("echo"), "Mcp-Session-Id: "+fresh).Code)
		})
	}
	f, a := newArrivalLog(t, nil)
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		for _, empty := range []string{"", " ", "\t"} {
			t.Run(fmt.Sprintf("SESS-08 an empty id, %s %q", method, empty), func(t *testing.T) {
				without := f.do(method, "/mcp", f.token(nil), legacyCall("echo"), sessionVersion)
				w := f.do(method, "/mcp", f.token(nil), legacyCall("echo"), sessionVersion, "Mcp-Session-Id: "+empty)
				assert.Equal(t, sessionAnswer(without), sessionAnswer(w))
				all := a.take()
				if method == http.MethodDelete {
					assert.Equal(t, http.StatusNotFound, w.Code)
					assert.Empty(t, all)
					return
				}
				require.NotEmpty(t, all)
				for _, one := range all {
					assert.Regexp(t, aliasPattern, one.session)
				}
			})
		}
	}
}

// TestSessionNotBegun_SESS_07_SESS_12: no response but a good one of the legacy era begins a session.
func TestSessionNotBegun_SESS_07_SESS_12(t *testing.T) {
	f := newFixture(t, nil)
	status, id := http.StatusOK, "abc"
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", id)
		w.WriteHeader(status)
	}
	minted := func(w *httptest.ResponseRecorder) []string { return w.Result().Header["Mcp-Session-Id"] }
	for _, status = range []int{300, 400, 404, 500} {
		assert.Empty(t, minted(f.post(f.token(nil), sessionInitialize)), status)
	}
	for _, status = range []int{200, 202} {
		assert.Len(t, minted(f.post(f.token(nil), sessionInitialize)), 1, status)
		assert.Empty(t, minted(f.call(f.token(nil), "echo")), "SESS-07")
	}
	for _, id = range []string{"a b", "a\x00", "a\r\nb", "\u00e4", strings.Repeat("a", 4097)} {
		f.log.Reset()
		assert.Empty(t, minted(f.post(f.token(nil), sessionInitialize)), "SESS-08 %q", id)
		assert.Contains(t, f.log.String(), "visible ASCII", "%q", id)
	}
}

// TestSessionAfterHeader_SESS_12: an id that is set too late is worth nothing to anybody.
func TestSessionAfterHeader_SESS_12(t *testing.T) {
	f := newFixture(t, nil)
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Mcp-Session-Id", "late")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`)
	}
	for _, body := range []string{sessionInitialize, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`} {
		f.post(f.token(nil), body)
	}
	f.ran = 0
	f.refused(f.post(f.token(nil), legacyCall("echo"), "Mcp-Session-Id: late"), http.StatusNotFound, "")
}

// TestSessionKeys_SESS_06: a random key unless one is given, and no short one.
func TestSessionKeys_SESS_06(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	resource := testResource
	sealed := func(key []byte) string {
		config := testConfig(issuer)
		config.Resource = resource
		config.SessionKey = key
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Mcp-Session-Id", "a") })).
			ServeHTTP(w, newRequest(http.MethodPost, "/mcp", issuer.TokenFor(resource), sessionInitialize))
		return w.Header().Get("Mcp-Session-Id")
	}
	key := []byte(strings.Repeat("key.", 8))
	assert.Equal(t, sealed(key), sealed(key))
	assert.NotEqual(t, sealed(key), sealed(append(key, 'k')))
	assert.NotEqual(t, sealed(nil), sealed(nil))
	one := sealed(key)
	resource = "https://mcp.example.com/other"
	assert.NotEqual(t, one, sealed(key), "an id of one resource is none of another")
	for _, short := range [][]byte{{}, []byte("k"), key[:31]} {
		config := testConfig(issuer)
		config.SessionKey = short
		_, err := mcpauth.New(config)
		var wrong *mcpauth.ConfigError
		require.ErrorAs(t, err, &wrong)
		assert.Equal(t, "SessionKey", wrong.Field)
		assert.Equal(t, fmt.Sprintf("%d bytes", len(short)), wrong.Value)
		assert.Contains(t, wrong.Reason, "32 random bytes")
	}
}

// TestPrincipalKey_MCP_73: equal for the tokens of one principal, different for any two.
func TestPrincipalKey_MCP_73(t *testing.T) {
	b := newSessionBed(t)
	key := func(token string) string {
		b.handler = b.auth
		w := b.post(token, sessionInitialize)
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		p, ok := mcpauth.FromContext(b.seen.Load().Context())
		require.True(t, ok)
		return p.Key()
	}
	base := key(b.token(nil))
	assert.Regexp(t, `^[A-Za-z0-9_-]{43}$`, base)
	assert.Equal(t, base, key(b.token(mcpauthtest.Claims{"jti": "j", "scope": "x", "client_id": "client-9"})))
	seen := map[string]bool{base: true}
	for _, token := range []string{
		b.token(mcpauthtest.Claims{"sub": "user-2"}), b.token(mcpauthtest.Claims{"client_id": "user-1"}),
		b.other.Token(mcpauthtest.Claims{"aud": testResource}), b.token(mcpauthtest.Claims{"sub": "user-1user"}),
	} {
		other := key(token)
		assert.False(t, seen[other])
		seen[other] = true
	}
	a, c := mcpauth.Principal{Issuer: "ab", Subject: "c"}, mcpauth.Principal{Issuer: "a", Subject: "bc"}
	assert.NotEqual(t, a.Key(), c.Key(), "where one field ends matters")
}

// TestVerbs_MCP_56_MCP_57_MCP_93_TOK_08: POST, GET and DELETE in the legacy era, POST alone in the modern one.
func TestVerbs_MCP_56_MCP_57_MCP_93_TOK_08(t *testing.T) {
	for _, row := range []struct {
		name, method, version string
		allow                 string // "": served
	}{
		{"MCP-56 GET", http.MethodGet, "", ""},
		{"MCP-56 GET of 2024-11-05", http.MethodGet, "2024-11-05", ""},
		{"MCP-56 GET of 2025-11-25", http.MethodGet, "2025-11-25", ""},
		{"MCP-56 DELETE", http.MethodDelete, "2025-06-18", ""},
		{"MCP-56 modern GET", http.MethodGet, "2026-07-28", "POST"},
		{"MCP-56 modern DELETE", http.MethodDelete, "2026-07-28", "POST"},
		{"MCP-56 GET of a later revision", http.MethodGet, "2027-01-01", "POST"},
		{"MCP-29 GET of no revision", http.MethodGet, "garbage", ""},
		{"MCP-29 DELETE of no revision", http.MethodDelete, "latest", ""},
		{"MCP-24 GET of one revision twice", http.MethodGet, "2025-11-25, 2025-11-25", ""},
		{"MCP-24 modern GET twice", http.MethodGet, "2026-07-28, 2026-07-28", "POST"},
		{"MCP-57 PUT", http.MethodPut, "", "POST, GET, DELETE"},
		{"MCP-57 modern PUT", http.MethodPut, "2026-07-28", "POST"},
		{"MCP-57 PATCH", http.MethodPatch, "", "POST, GET, DELETE"},
		{"MCP-57 HEAD", http.MethodHead, "", "POST, GET, DELETE"},
		{"MCP-57 TRACE", http.MethodTrace, "", "POST, GET, DELETE"},
		{"MCP-57 CONNECT", http.MethodConnect, "", "POST, GET, DELETE"},
		{"MCP-57 unknown", "FOO", "", "POST, GET, DELETE"},
		{"MCP-57 lower case", "get", "", "POST, GET, DELETE"},
		{"MCP-57 GET with a list that ends in it", "POST, GET", "", "POST, GET, DELETE"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, nil)
			request := func(token string) *http.Request {
				r := f.request(http.MethodGet, "/mcp", token, "not looked at", "MCP-Protocol-Version: "+row.version)
				r.Method = row.method
				if row.version == "" {
					r.Header.Del("MCP-Protocol-Version")
				}
				return r
			}
			f.refused(f.serve(request("")), http.StatusUnauthorized, bareChallenge)
			token := f.token(nil)
			session := f.session(t, token)
			r := request(token)
			r.Header.Set("Mcp-Session-Id", session)
			w := f.serve(r)
			if row.allow == "" {
				f.served(w)
				assert.Empty(t, f.body, "a body that was not read is not passed on")
				assert.Empty(t, f.last.Header.Get("Authorization"))
				return
			}
			f.refused(w, http.StatusMethodNotAllowed, "")
			assert.Equal(t, row.allow, w.Header().Get("Allow"))
		})
	}
	for _, upgrade := range []string{"websocket", "WebSocket", "h2c, websocket"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			f := newFixture(t, nil)
			w := f.do(method, "/mcp", f.token(nil), legacyCall("echo"), "Upgrade: "+upgrade, "Connection: Upgrade")
			f.refused(w, http.StatusMethodNotAllowed, "")
			f.refused(f.do(method, "/mcp", "", legacyCall("echo"), "Upgrade: "+upgrade), http.StatusUnauthorized, bareChallenge)
		}
	}
}

// sessionSSE is mcp-go's own server of the HTTP+SSE transport behind the wrapper, on a loopback listener.
type sessionSSE struct {
	*fixture
	url    string
	called atomic.Int32  // POSTs that reached the server
	query  atomic.Value  // of the last of them
	caller chan []string // subject per call of a tool
}

func newSessionSSE(t *testing.T, change func(*mcpauth.Config), options ...server.SSEOption) *sessionSSE {
	t.Helper()
	s := &sessionSSE{caller: make(chan []string, 100), fixture: newFixture(t, change)}
	inner := server.NewMCPServer("real", "1", server.WithToolCapabilities(false))
	for _, name := range []string{"echo", "admin_delete"} {
		inner.AddTool(mcp.NewTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			p, _ := mcpauth.FromContext(ctx)
			s.caller <- []string{name, p.Subject}
			return mcp.NewToolResultText("done by " + p.Subject), nil
		})
	}
	real := server.NewSSEServer(inner, options...)
	handler := s.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.called.Add(1)
			s.query.Store(r.URL.RawQuery + " " + r.RequestURI)
		}
		real.ServeHTTP(w, r)
	}))
	listener := httptest.NewServer(handler)
	t.Cleanup(func() { listener.CloseClientConnections(); listener.Close(); http.DefaultClient.CloseIdleConnections() })
	s.url = listener.URL
	return s
}

// connect is mcp-go's own client, as far as the end of its handshake.
func (s *sessionSSE) connect(token, path string) (c *client.Client, endpoint string) {
	s.tb.Helper()
	c, err := client.NewSSEMCPClient(s.url+path, transport.WithHeaders(map[string]string{"Authorization": "Bearer " + token}))
	require.NoError(s.tb, err)
	s.tb.Cleanup(func() { _ = c.Close() })
	require.NoError(s.tb, c.Start(s.tb.Context()))
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = "2024-11-05"
	request.Params.ClientInfo = mcp.Implementation{Name: "c", Version: "1"}
	_, err = c.Initialize(s.tb.Context(), request)
	require.NoError(s.tb, err)
	return c, c.GetTransport().(*transport.SSE).GetEndpoint().RequestURI()
}

// echo has the client call a tool.
func (s *sessionSSE) echo(c *client.Client) (string, error) {
	ctx, cancel := context.WithTimeout(s.tb.Context(), time.Minute)
	defer cancel()
	call := mcp.CallToolRequest{}
	call.Params.Name = "echo"
	result, err := c.CallTool(ctx, call)
	if err != nil {
		return "", err
	}
	text, _ := json.Marshal(result.Content)
	return string(text), nil
}

// raw makes one request of its own.
func (s *sessionSSE) raw(method, target, token, body string, headers ...string) string {
	s.tb.Helper()
	r := newRequest(method, s.url+target, token, body, headers...)
	r.RequestURI, r.Host = "", ""
	ctx, cancel := context.WithTimeout(s.tb.Context(), time.Minute)
	defer cancel()
	response, err := http.DefaultClient.Do(r.WithContext(ctx))
	require.NoError(s.tb, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.tb, err)
	response.Header.Del("Date")
	return fmt.Sprint(response.StatusCode, response.Header, string(text))
}

// TestHTTPSSE_MCP_92: mcp-go's client and server of 2024-11-05, with the
// wrapper between them, and the attacks on the session that stands in the query.
func TestHTTPSSE_MCP_92_SESS_04(t *testing.T) {
	s := newSessionSSE(t, nil)
	owner, foreign := s.token(nil), s.token(mcpauthtest.Claims{"sub": "user-2"})
	c, endpoint := s.connect(owner, "/sse")
	require.Regexp(t, `^/message\?sessionId=[0-9a-f-]{36}&mcpauth=[A-Za-z0-9_-]{22}$`, endpoint)
	d, own := s.connect(foreign, "/sse")
	text, err := s.echo(c)
	require.NoError(t, err)
	assert.Contains(t, text, "done by user-1")
	assert.Equal(t, []string{"echo", "user-1"}, <-s.caller)
	query, _, _ := strings.Cut(strings.TrimPrefix(endpoint, "/message?"), "&mcpauth=")
	assert.Equal(t, query+" /message?"+query, s.query.Load(), "the handler sees the query without the tag")
	tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	require.NoError(t, err)
	require.Len(t, tools.Tools, 1, "the list that comes over the stream is filtered")
	assert.Equal(t, "echo", tools.Tools[0].Name)

	session := strings.TrimPrefix(query, "sessionId=")
	tag := endpoint[len(endpoint)-22:]
	ownQuery, ownTag, _ := strings.Cut(strings.TrimPrefix(own, "/message?"), "&mcpauth=")
	forged := "/message?sessionId=00000000-0000-4000-8000-000000000000&mcpauth=AAAAAAAAAAAAAAAAAAAAAA"
	echo, modern := legacyCall("echo"), modernCall("echo")
	rows := []struct {
		name, token, query, body string
		headers                  []string
	}{
		{"SESS-02 stolen endpoint", foreign, query + "&mcpauth=" + tag, echo, nil},
		{"SESS-07 stolen endpoint, modern request", foreign, query + "&mcpauth=" + tag, modern, modernHeaders("tools/call", "echo")},
		{"SESS-07 no tag, modern request", foreign, query, modern, modernHeaders("tools/call", "echo")},
		{"SESS-02 no tag", foreign, query, echo, nil},
		{"SESS-02 no tag, the owner", owner, query, echo, nil},
		{"SESS-02 tag of another query", foreign, query + "&mcpauth=" + ownTag, echo, nil},
		{"SESS-02 two tags, own first", foreign, query + "&mcpauth=" + ownTag + "&mcpauth=" + tag, echo, nil},
		{"SESS-02 two tags, own last", foreign, query + "&mcpauth=" + tag + "&mcpauth=" + ownTag, echo, nil},
		{"SESS-02 tag in front", foreign, "mcpauth=" + ownTag + "&" + query, echo, nil},
		{"SESS-02 reordered query, the owner", owner, "mcpauth=" + tag + "&" + query, echo, nil},
		{"SESS-02 own query around the victim's", foreign, query + "&" + ownQuery + "&mcpauth=" + ownTag, echo, nil},
		{"SESS-02 own query, then the victim's", foreign, ownQuery + "&mcpauth=" + ownTag + "&" + query, echo, nil},
		{"SESS-02 own query, the victim's in front, hidden", foreign, "%73essionId=" + session + "&" + ownQuery + "&mcpauth=" + ownTag, echo, nil},
		{"SESS-02 percent-encoded name", foreign, "session%49d=" + session, echo, nil},
		{"SESS-02 percent-encoded name and tag", foreign, "session%49d=" + session + "&mcpauth=" + tag, echo, nil},
		{"SESS-02 other case", foreign, "SESSIONID=" + session, echo, nil},
		{"SESS-02 underscore", foreign, "session_id=" + session, echo, nil},
		{"SESS-02 after a semicolon", foreign, "a=b;sessionId=" + session, echo, nil},
		{"SESS-02 extra parameter before", owner, "a=b&" + query + "&mcpauth=" + tag, echo, nil},
		{"SESS-02 extra parameter after", owner, query + "&mcpauth=" + tag + "&a=b", echo, nil},
		{"SESS-02 extra parameter between", owner, query + "&a=b&mcpauth=" + tag, echo, nil},
		{"SESS-02 encoded tag name", owner, query + "&%6dcpauth=" + tag, echo, nil},
		{"SESS-02 truncated tag", owner, query + "&mcpauth=" + tag[:21], echo, nil},
		{"SESS-02 empty tag", owner, query + "&mcpauth=", echo, nil},
		{"SESS-02 tag in another case", owner, query + "&mcpauth=" + flipCase(tag), echo, nil},
		{"MCP-50 cancellation", foreign, query + "&mcpauth=" + tag, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`, nil},
		{"SESS-10 initialize", foreign, query + "&mcpauth=" + tag, sessionInitialize, nil},
	}
	calls := s.called.Load()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := s.raw(http.MethodPost, "/message?"+row.query, row.token, row.body, row.headers...)
			assert.True(t, strings.HasPrefix(got, "404"), got)
			assert.Equal(t, s.raw(http.MethodPost, forged, row.token, row.body, row.headers...), got)
		})
	}
	assert.Equal(t, calls, s.called.Load(), "attempts that succeeded")
	for verb, target := range map[string]string{"GET": endpoint, "DELETE": endpoint} {
		assert.True(t, strings.HasPrefix(s.raw(verb, target, foreign, ""), "404"), verb)
	}
	got := s.raw(http.MethodPost, endpoint, "", echo)
	assert.True(t, strings.HasPrefix(got, "401"), got)
	got = s.raw(http.MethodPost, endpoint, owner, echo, "Mcp-Session-Id: "+session+"."+tag)
	assert.True(t, strings.HasPrefix(got, "404"), "the tag of a query is none of a header: %s", got)
	got = s.raw(http.MethodPost, endpoint, owner, legacyCall("admin_delete"))
	assert.True(t, strings.HasPrefix(got, "403"), "SESS-05: %s", got)

	for subject, c := range map[string]*client.Client{"user-1": c, "user-2": d} {
		text, err := s.echo(c)
		require.NoError(t, err, "an owner lost the session")
		assert.Contains(t, text, "done by "+subject)
		assert.Equal(t, []string{"echo", subject}, <-s.caller)
	}
	assert.Empty(t, s.caller)
}

// TestHTTPSSERefused_MCP_92: a client of HTTP+SSE looks at the status of its POST alone, and would wait
// for an answer on its stream until its own timeout. So what is 200 elsewhere is none there.
func TestHTTPSSERefused_MCP_92(t *testing.T) {
	var last mcpauth.Decision
	s := newSessionSSE(t, func(c *mcpauth.Config) {
		soft := mcpauth.Scopes("mcp:admin")
		soft.InBand = true
		c.Policy = mcpauth.Rules{
			Tools:   map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read"), "soft": soft},
			Methods: map[string]mcpauth.Requirement{"tasks/get": mcpauth.Authenticated()},
		}
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { last = d }
	})
	c, endpoint := s.connect(s.token(nil), "/sse")
	for _, row := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a cursor", `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"cursor":"made up"}}`, 400, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"invalid cursor"}}`},
		{"a task", `{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"none"}}`, 400, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"task not found"}}`},
		{"in band", legacyCall("soft"), 403, `"code":-31403,"message":"insufficient scope"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			called := s.called.Load()
			got := s.raw(http.MethodPost, endpoint, s.token(nil), row.body)
			assert.True(t, strings.HasPrefix(got, strconv.Itoa(row.status)), got)
			assert.Contains(t, got, row.want)
			assert.Equal(t, row.status == 403, strings.Contains(got, "Www-Authenticate"), got)
			require.NotNil(t, last.Err)
			assert.Equal(t, row.status, last.Err.Status, "the record says what was sent")
			assert.Equal(t, called, s.called.Load())
		})
	}
	list := mcp.ListToolsRequest{}
	list.Params.Cursor = "made up"
	_, err := c.ListToolsByPage(t.Context(), list)
	assert.ErrorContains(t, err, "invalid cursor", "the client is told at once")
	call := mcp.CallToolRequest{}
	call.Params.Name = "soft"
	_, err = c.CallTool(t.Context(), call)
	assert.ErrorContains(t, err, "insufficient scope")
	_, err = s.echo(c)
	require.NoError(t, err, "and goes on")
}

// TestHTTPSSEModern_MCP_92: mcp-go's client may speak 2026-07-28 with its server on this transport.
func TestHTTPSSEModern_MCP_92(t *testing.T) {
	s := newSessionSSE(t, nil)
	sse, err := transport.NewSSE(s.url+"/sse", transport.WithHeaders(map[string]string{"Authorization": "Bearer " + s.token(nil)}))
	require.NoError(t, err)
	c := client.NewClient(sse, client.WithProtocolVersion("2026-07-28"))
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Start(t.Context()))
	request := mcp.InitializeRequest{}
	request.Params.ClientInfo = mcp.Implementation{Name: "c", Version: "1"}
	_, err = c.Initialize(t.Context(), request)
	require.NoError(t, err)
	text, err := s.echo(c)
	require.NoError(t, err)
	assert.Contains(t, text, "done by user-1")
}

// TestHTTPSSEQuery_MCP_92: a server that repeats the stream's query in the endpoint
// does not repeat a session that somebody put there.
func TestHTTPSSEQuery_MCP_92(t *testing.T) {
	s := newSessionSSE(t, nil, server.WithAppendQueryToMessageEndpoint())
	c, endpoint := s.connect(s.token(nil), "/sse?tenant=a%26b")
	require.Regexp(t, `^/message\?sessionId=[0-9a-f-]{36}&tenant=a%26b&mcpauth=[A-Za-z0-9_-]{22}$`, endpoint)
	text, err := s.echo(c)
	require.NoError(t, err)
	assert.Contains(t, text, "done by user-1")
	query, _, _ := strings.Cut(endpoint, "&")
	got := s.raw(http.MethodGet, "/sse?"+strings.TrimPrefix(query, "/message?"), s.token(mcpauthtest.Claims{"sub": "user-2"}), "")
	assert.True(t, strings.HasPrefix(got, "404"), got)
}

// TestEndpointEvents_MCP_92: what becomes of the reference in an endpoint event.
func TestEndpointEvents_MCP_92(t *testing.T) {
	for _, row := range []struct{ reference, want string }{
		{"/message?sessionId=a", `^/message\?sessionId=a&mcpauth=[\w-]{22}$`},
		{"/message?session_id=a&x=y", `^/message\?session_id=a&x=y&mcpauth=[\w-]{22}$`},
		{"?sessionid=a", `^\?sessionid=a&mcpauth=[\w-]{22}$`},
		{"https://mcp.example.com/m?x=1&sessionId=a#part", `^https://mcp\.example\.com/m\?x=1&sessionId=a&mcpauth=[\w-]{22}$`},
		{"/message/a#part?sessionId=a", `^/message/a\?mcpauth=[\w-]{22}$`}, // ISOL-09: the session may be in the path
		{"/message?session=%zz", `^/message\?session=%zz&mcpauth=[\w-]{22}$`},
	} {
		f := newFixture(t, nil)
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: endpoint\r\ndata: "+row.reference+"\r\n\r\n")
		}
		w := f.do(http.MethodGet, "/sse", f.token(nil), "")
		_, data, _ := strings.Cut(w.Body.String(), "data: ")
		assert.Regexp(t, row.want, strings.TrimSpace(data))
	}
}

// TestStreamableClient_SESS_02: mcp-go's own client and server keep a session through the wrapper.
func TestStreamableClient_SESS_02_SESS_05(t *testing.T) {
	b := newSessionBed(t)
	listener := httptest.NewServer(b.auth)
	defer listener.Close()
	token := b.token(nil)
	headers := func(context.Context) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	c, err := client.NewStreamableHttpClient(listener.URL+"/mcp", transport.WithHTTPHeaderFunc(headers))
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = "2025-11-25"
	request.Params.ClientInfo = mcp.Implementation{Name: "c", Version: "1"}
	_, err = c.Initialize(t.Context(), request)
	require.NoError(t, err)
	call := func(tool string) error {
		r := mcp.CallToolRequest{}
		r.Params.Name = tool
		_, err := c.CallTool(t.Context(), r)
		return err
	}
	require.NoError(t, call("echo"))
	require.Error(t, call("admin_delete"))
	token = b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin", "jti": "second"})
	require.NoError(t, call("admin_delete"), "step-up in the same session")
	token = b.token(mcpauthtest.Claims{"jti": "third"})
	require.Error(t, call("admin_delete"), "step-down in the same session")
	require.NoError(t, call("echo"))
	token = b.token(mcpauthtest.Claims{"sub": "user-2"})
	require.ErrorContains(t, call("echo"), "404", "another principal in the same session")
	assert.EqualValues(t, 3, b.tools.Load())
	require.NoError(t, c.Close())
	http.DefaultClient.CloseIdleConnections()
}

// TestEndpointTagStaysHere_MCP_92: our part of the endpoint's query is for us, in each revision, beside a session too.
func TestEndpointTagStaysHere_MCP_92(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=1\n\n")
	}
	_, endpoint, _ := strings.Cut(f.do(http.MethodGet, "/sse", token, "").Body.String(), "data: ")
	endpoint = strings.TrimSpace(endpoint)
	require.Contains(t, endpoint, "mcpauth=")
	f.inner = nil
	session := f.session(t, token)
	for name, send := range map[string]func() *httptest.ResponseRecorder{
		"no session": func() *httptest.ResponseRecorder { return f.do(http.MethodPost, endpoint, token, legacyCall("echo")) },
		"a session": func() *httptest.ResponseRecorder {
			return f.do(http.MethodPost, endpoint, token, legacyCall("echo"), "Mcp-Session-Id: "+session)
		},
		"modern": func() *httptest.ResponseRecorder {
			return f.do(http.MethodPost, endpoint, token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
		},
	} {
		f.ran = 0
		assert.Equal(t, http.StatusOK, send().Code, name)
		require.Equal(t, 1, f.ran, name)
		assert.Equal(t, "sessionId=1", f.last.URL.RawQuery, name)
		assert.Equal(t, "/message?sessionId=1", f.last.RequestURI, name)
	}
	f.ran = 0
	// One version that was sent in two lines is one.
	f.servedIn(t, f.post(token, legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "MCP-Protocol-Version: 2025-11-25"))
	assert.Equal(t, []string{"2025-11-25"}, f.last.Header.Values("Mcp-Protocol-Version"))
}

// TestEndpointBesideSession_MCP_92: a handler does not see our tag in the query, whether the request has a session id or not.
func TestEndpointBesideSession_MCP_92(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	session := f.session(t, token)
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /message?sessionId=1\n\n")
	}
	_, endpoint, _ := strings.Cut(strings.TrimSpace(f.do(http.MethodGet, "/sse", token, "").Body.String()), "data: ")
	require.Contains(t, endpoint, "mcpauth=")
	f.inner = nil
	for _, headers := range [][]string{nil, {"Mcp-Session-Id: " + session}} {
		f.ran = 0
		f.served(f.do(http.MethodPost, endpoint, token, legacyCall("echo"), headers...))
		assert.Equal(t, "sessionId=1", f.last.URL.RawQuery)
		assert.Equal(t, "/message?sessionId=1", f.last.RequestURI)
	}
}
