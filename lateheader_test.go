package mcpauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// lateFields is what a careless handler does to the header that it has sent,
// as it believes. The server's own writer takes no notice of it.
func lateFields(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Mcp-Session-Id", "raw-canary")
	h.Add("Set-Cookie", "sid=canary")
	h.Set("Content-Length", "3")
	h.Set("Content-Type", "text/html")
	h.Set("ETag", `"whole-list-canary"`)
	h.Set("X-Late", "canary")
	h.Set("Trailer", "X-Undeclared")
	h.Set("X-Undeclared", "canary")
	h["X-Early"][0] = "canary" // in place, in the list that was there
	h["X-Early"] = append(h["X-Early"], "canary")
	if vary := h["Vary"]; len(vary) > 0 {
		vary[0] = "canary"
	}
	h.Del("X-Kept")
}

// lateWays are the ways by which an answer of a handler is held back, or is not.
var lateWays = []struct {
	name, body string
	change     func(*mcpauth.Config)
	request    func(f *fixture) *http.Request
}{
	{"passed on", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"), app)
	}},
	{"held for a task", taskLegacy("t"), streamingTasks, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"), app)
	}},
	{"too long to be held for a task", taskLegacy(strings.Repeat("t", 70<<10)), streamingTasks, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"), app)
	}},
	{"a filtered list", `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, app)
	}},
	{"a list that cannot be filtered", `{"jsonrpc":"2.0","id":1,"result":{"tools":7}}`, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, app)
	}},
	{"an empty list", ``, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, app)
	}},
	{"a list that goes on", `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}],"nextCursor":""}}`, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, app)
	}},
	{"a batch of lists", `[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"}]}}]`, nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`, app)
	}},
	{"a list too large to be filtered", strings.Repeat(" ", maxHeld+1), nil, func(f *fixture) *http.Request {
		return f.request(http.MethodPost, "/mcp", f.token(nil), `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`, app)
	}},
}

const maxHeld = 16 << 20

// TestLateFields_ISOL_16_CHAL_18: what a handler does to the header after its
// first Write or WriteHeader has no effect, whether the answer is held or not:
// a second answer, of a handler that leaves the header alone, is the same.
func TestLateFields_ISOL_16_CHAL_18(t *testing.T) {
	for _, way := range lateWays {
		for _, h2 := range []bool{false, true} {
			for how, send := range map[string]func(w http.ResponseWriter, late func(http.ResponseWriter)){
				"WriteHeader": func(w http.ResponseWriter, late func(http.ResponseWriter)) {
					w.WriteHeader(http.StatusOK)
					late(w)
					_, _ = io.WriteString(w, way.body)
				},
				"Write": func(w http.ResponseWriter, late func(http.ResponseWriter)) {
					half := len(way.body) / 2
					_, _ = io.WriteString(w, way.body[:half])
					late(w)
					_, _ = io.WriteString(w, way.body[half:])
				},
				"Flush": func(w http.ResponseWriter, late func(http.ResponseWriter)) {
					half := len(way.body) / 2
					_, _ = io.WriteString(w, way.body[:half])
					late(w)
					w.(http.Flusher).Flush()
					_, _ = io.WriteString(w, way.body[half:])
					late(w)
				},
			} {
				t.Run(fmt.Sprint(way.name, " ", how, " h2=", h2), func(t *testing.T) {
					f := newFixture(t, func(c *mcpauth.Config) {
						allowApp(c)
						if way.change != nil {
							way.change(c)
						}
					})
					server, client := serverFor(t, f, h2)
					answer := func(late func(http.ResponseWriter)) (http.Header, http.Header, string) {
						f.inner = func(w http.ResponseWriter, _ *http.Request) {
							h := w.Header()
							h.Set("Content-Type", "application/json")
							h.Set("Mcp-Session-Id", "session-1")
							h.Set("Set-Cookie", "early=1")
							h.Set("X-Early", "early")
							h.Set("X-Kept", "kept")
							send(w, late)
						}
						resp := streamingDo(t, server, client, way.request(f))
						body, err := io.ReadAll(resp.Body)
						require.NoError(t, err)
						resp.Header.Del("Date")
						return resp.Header, resp.Trailer, string(body)
					}
					header, trailer, body := answer(func(http.ResponseWriter) {})
					lateHeader, lateTrailer, lateBody := answer(lateFields)
					assert.Equal(t, header, lateHeader)
					assert.Equal(t, trailer, lateTrailer)
					assert.Equal(t, body, lateBody)
					assert.NotContains(t, fmt.Sprint(lateHeader, lateTrailer, lateBody), "canary")
					assert.Len(t, lateHeader.Values("Mcp-Session-Id"), len(header.Values("Mcp-Session-Id")))
					assert.Equal(t, []string{"https://app.example.com"}, lateHeader.Values("Access-Control-Allow-Origin"))
					assert.NotContains(t, lateHeader.Get("Cache-Control"), "public")
					assert.Equal(t, "kept", lateHeader.Get("X-Kept"))
					if strings.HasSuffix(way.name, "be filtered") {
						assert.Empty(t, lateHeader.Values("Mcp-Session-Id"), "an error begins no session")
						return
					}
					// The id that went out is the one that was sealed, once.
					r := way.request(f)
					r.Header.Set("Mcp-Session-Id", lateHeader.Get("Mcp-Session-Id"))
					f.inner = nil
					require.Equal(t, http.StatusOK, f.serve(r).Code)
					assert.Equal(t, "session-1", f.last.Header.Get("Mcp-Session-Id"))
				})
			}
		}
	}
}

// TestTrailers_ISOL_16: what a handler may say after its first Write, it may
// say of an answer that is held, too: each trailer that comes without us comes with us.
func TestTrailers_ISOL_16(t *testing.T) {
	long := strings.Repeat(" ", 5000) // more than the server keeps before it sends the header
	for _, way := range lateWays {
		if strings.HasSuffix(way.name, "be filtered") || way.body == "" {
			continue
		}
		for _, h2 := range []bool{false, true} {
			for name, declared := range map[string]bool{"declared": true, "by prefix": false} {
				for _, flush := range []bool{false, true} {
					t.Run(fmt.Sprint(way.name, " ", name, " h2=", h2, " flush=", flush), func(t *testing.T) {
						f := newFixture(t, func(c *mcpauth.Config) {
							allowApp(c)
							if way.change != nil {
								way.change(c)
							}
						})
						f.inner = func(w http.ResponseWriter, _ *http.Request) {
							w.Header().Set("Content-Type", "application/json")
							prefix := http.TrailerPrefix
							if declared {
								prefix = ""
								w.Header().Set("Trailer", "X-Sum, x-empty")
							}
							_, _ = io.WriteString(w, way.body+long)
							if flush {
								w.(http.Flusher).Flush()
							}
							w.Header().Set(prefix+"X-Sum", "sum")
							w.Header().Set("X-Other", "canary")
						}
						server, client := serverFor(t, f, h2)
						resp := streamingDo(t, server, client, way.request(f))
						_, err := io.Copy(io.Discard, resp.Body)
						require.NoError(t, err)
						bare := httptest.NewUnstartedServer(http.HandlerFunc(f.inner))
						bare.EnableHTTP2 = h2
						defer bare.Close()
						if h2 {
							bare.StartTLS()
						} else {
							bare.Start()
						}
						want := streamingDo(t, bare, bare.Client(), way.request(f))
						_, err = io.Copy(io.Discard, want.Body)
						require.NoError(t, err)
						require.Equal(t, "sum", want.Trailer.Get("X-Sum"), "the server's own writer")
						assert.Equal(t, want.Trailer, resp.Trailer)
						assert.Empty(t, resp.Header.Get("X-Sum"))
						assert.Empty(t, resp.Header.Get("X-Other"))
					})
				}
			}
		}
	}
}

// TestNoTrailerOfTheWhole_ISOL_16: a digest of a list as it was is none of
// the list that is sent, and tells of what was taken out.
func TestNoTrailerOfTheWhole_ISOL_16(t *testing.T) {
	f := newFixture(t, allowApp)
	for _, prefix := range []string{"", http.TrailerPrefix} {
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Trailer", "Repr-Digest, X-Sum, Cache-Control, Mcp-Session-Id")
			_, _ = io.WriteString(w, lateWays[3].body)
			for name, value := range map[string]string{"Repr-Digest": "canary", "content-digest": "canary", "X-Sum": "sum"} {
				w.Header()[prefix+name] = []string{value}
			}
			w.Header().Set("Cache-Control", "public") // declared, but no header field for that
			w.Header().Set("Mcp-Session-Id", "raw-canary")
		}
		server, client := serverFor(t, f, false)
		resp := streamingDo(t, server, client, lateWays[3].request(f))
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`, string(body))
		assert.Equal(t, "sum", resp.Trailer.Get("X-Sum"))
		assert.Equal(t, "private", resp.Header.Get("Cache-Control"))
		assert.Empty(t, resp.Header.Values("Mcp-Session-Id"))
		assert.NotContains(t, fmt.Sprint(resp.Header, body), "canary")
		assert.Empty(t, resp.Trailer.Get("Repr-Digest")+resp.Trailer.Get("Content-Digest"))
	}
}

// TestLateFieldsOfModernAnswers_ISOL_16: an answer of 2026-07-28 that is changed while it passes is no exception.
func TestLateFieldsOfModernAnswers_ISOL_16(t *testing.T) {
	for _, way := range []struct{ method, params, name, contentType, body string }{
		{"tools/call", `"name":"echo","arguments":{}`, "echo", listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"public","content":[]}}`},
		{"tools/call", `"name":"echo","arguments":{}`, "echo", listsStream, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"cacheScope\":\"public\"}}\n\n"},
		{"tools/list", "", "", listsJSON, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"}],"nextCursor":""}}`},
		{"tools/list", "", "", listsStream, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"admin_delete\"}]}}\n\n"},
	} {
		for _, flush := range []bool{false, true} {
			f := newFixture(t, allowApp)
			server, client := serverFor(t, f, false)
			answer := func(late func(http.ResponseWriter)) (http.Header, string) {
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", way.contentType)
					w.Header().Set("X-Early", "early")
					w.Header().Set("X-Kept", "kept")
					_, _ = io.WriteString(w, way.body[:40])
					late(w)
					if flush {
						w.(http.Flusher).Flush()
					}
					_, _ = io.WriteString(w, way.body[40:])
					late(w)
				}
				resp := streamingDo(t, server, client, f.request(http.MethodPost, "/mcp", f.token(nil), modernBody(way.method, way.params), append(modernHeaders(way.method, way.name), app)...))
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Header.Del("Date")
				return resp.Header, string(body)
			}
			header, body := answer(func(http.ResponseWriter) {})
			lateHeader, lateBody := answer(lateFields)
			assert.Equal(t, header, lateHeader, way)
			assert.Equal(t, body, lateBody)
			assert.NotContains(t, fmt.Sprint(lateHeader, lateBody), "canary")
			assert.NotContains(t, lateBody, "public")
		}
	}
}
