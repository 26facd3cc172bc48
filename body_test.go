package mcpauth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	unreadableBody     = `{"jsonrpc":"2.0","error":{"code":-32700,"message":"body is not one JSON text"}}`
	unknownSessionBody = `{"jsonrpc":"2.0","error":{"code":-31404,"message":"session not found"}}`
	tooLargeBody       = `{"jsonrpc":"2.0","error":{"code":-31413,"message":"request body too large"}}`
	mediaTypeBody      = `{"jsonrpc":"2.0","error":{"code":-31415,"message":"content type or encoding not supported"}}`
)

// openFixture has a policy under which nothing but the body can be wrong.
func openFixture(t *testing.T) *fixture {
	return newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil })
	})
}

// batchesOfCorpus are the bodies of the corpus that revision 2025-03-26 allows as a batch.
var batchesOfCorpus = map[string]bool{"MCP-58 batch of one": true, "MCP-59 batch after white space": true}

// Every body of the corpus, end to end: what the reader refuses never runs,
// with the code it earned; what it accepts arrives byte for byte.
func TestCorpus_MCP_13_MCP_14(t *testing.T) {
	f := openFixture(t)
	token := f.token(nil)
	require.Greater(t, len(corpus.Bodies), 300)
	messages := map[string]string{corpus.Parse: "body is not one JSON text", corpus.Invalid: "body is not an acceptable JSON-RPC message"}
	ends := map[string]int{}
	for _, row := range corpus.Bodies {
		t.Run(row.Name, func(t *testing.T) {
			w := f.post(token, row.Body)
			if batchesOfCorpus[row.Name] { // no single message, but a good batch
				assert.Equal(t, http.StatusOK, w.Code, "body %s", w.Body)
				assert.Equal(t, row.Body, string(f.body))
				assert.Equal(t, 1, f.ran)
				f.ran = 0
				ends["batch"]++
				w = f.post(token, row.Body, "MCP-Protocol-Version: 2025-06-18") // which has no batches
			}
			if row.Want == corpus.Accept {
				// Its method or target may still be one that nobody has.
				switch {
				case f.ran == 1:
					assert.Equal(t, http.StatusOK, w.Code)
					assert.Equal(t, row.Body, string(f.body))
				case strings.Contains(w.Body.String(), "task not found"):
					assert.Equal(t, http.StatusOK, w.Code)
					assert.Contains(t, row.Body, `"tasks/`)
				case strings.Contains(w.Body.String(), "invalid cursor"): // MCP-67: it is none of ours
					assert.Equal(t, http.StatusOK, w.Code)
					assert.Contains(t, row.Body, `"cursor"`)
				case w.Code == http.StatusAccepted: // ISOL-07: an answer or a cancellation, without a session
					var message map[string]any
					require.NoError(t, json.Unmarshal([]byte(row.Body), &message))
					_, answers := message["result"]
					assert.True(t, answers || message["error"] != nil || message["method"] == "notifications/cancelled")
				default:
					assert.Contains(t, []int{400, 403}, w.Code)
					assert.NotContains(t, w.Body.String(), corpus.Parse)
					assert.NotContains(t, w.Body.String(), corpus.Invalid)
				}
				ends[fmt.Sprint(corpus.Accept, w.Code)]++
				f.ran = 0
				return
			}
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Empty(t, w.Header().Values("WWW-Authenticate"))
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			assert.Contains(t, w.Body.String(), fmt.Sprintf(`"error":{"code":%s,"message":%q}}`, row.Want, messages[row.Want]))
			assert.Zero(t, f.ran, "the inner handler ran")
			ends[row.Want]++
		})
	}
	t.Logf("bodies: %d, %v", len(corpus.Bodies), ends)
	assert.Greater(t, ends["accept200"], 50)
	assert.Equal(t, len(batchesOfCorpus), ends["batch"])
}

// The bodies that the requirements name, with whole answers.
func TestBodies_MCP_01_MCP_02_MCP_03_MCP_04_MCP_05_MCP_06_MCP_07(t *testing.T) {
	f := openFixture(t)
	token := f.token(nil)
	withID := func(id string) string { return strings.Replace(invalidBody, `"2.0",`, `"2.0","id":`+id+`,`, 1) }
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + params + `}`
	}
	for _, row := range []struct{ id, body, want string }{
		{"MCP-01 a method by another case", `{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call"}`, invalidBody},
		{"MCP-01 a name twice", call(`{"name":"echo","name":"admin_delete"}`), invalidBody},
		{"MCP-01 params with a long s", `{"jsonrpc":"2.0","id":7,"method":"ping","param` + "\u017f" + `":{"name":"admin_delete"}}`, invalidBody},
		{"MCP-01 the same, escaped", `{"jsonrpc":"2.0","id":7,"method":"ping","param\u017f":{"name":"admin_delete"}}`, invalidBody},
		{"MCP-01 a name by another case", call(`{"name":"echo","NAME":"admin_delete"}`), withID("7")},
		{"MCP-01 a task id with a long s", call(`{"name":"echo","ta` + "\u017f" + `kId":"1"}`), withID("7")},
		{"MCP-01 duplicates in arguments", call(`{"name":"echo","arguments":{"a":1,"a":2}}`), invalidBody},
		{"MCP-02 a name twice through an escape", call(`{"name":"echo","\u006eame":"admin_delete"}`), invalidBody},
		{"MCP-03 params twice, one empty", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"admin_delete"},"params":{}}`, invalidBody},
		{"MCP-03 a name and null", call(`{"name":"admin_delete","name":null}`), invalidBody},
		{"MCP-04 a second text", `{"jsonrpc":"2.0","id":7,"method":"ping"}{"jsonrpc":"2.0","id":8,"method":"tools/call"}`, unreadableBody},
		{"MCP-04 something after", `{"jsonrpc":"2.0","id":7,"method":"ping"} x`, unreadableBody},
		{"MCP-04 a byte order mark", "\ufeff" + `{"jsonrpc":"2.0","id":7,"method":"ping"}`, unreadableBody},
		{"MCP-04 a comment", `{"jsonrpc":"2.0","id":7,/**/"method":"ping"}`, unreadableBody},
		{"MCP-04 NaN", call(`{"name":"echo","arguments":{"a":NaN}}`), unreadableBody},
		{"MCP-05 bad UTF-8", call("{\"name\":\"adm\xffin\"}"), unreadableBody},
		{"MCP-05 a lone surrogate", call(`{"name":"echo\ud800"}`), withID("7")},
		{"MCP-06 65 levels", call(`{"name":"echo","arguments":{"a":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}}`), invalidBody},
		{"MCP-07 id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, invalidBody},
		{"MCP-07 id fractional", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, invalidBody},
		{"MCP-07 id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, invalidBody},
		{"MCP-07 params a list", call(`["echo"]`), withID("7")},
		{"MCP-07 version a number", `{"jsonrpc":2,"id":7,"method":"ping"}`, withID("7")},
		{"MCP-11 a request and a response", `{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`, withID("7")},
		{"MCP-11 neither", `{"jsonrpc":"2.0","id":7}`, withID("7")},
		{"MCP-12 nothing", ``, unreadableBody},
		{"MCP-12 blanks", " \r\n\t ", unreadableBody},
		{"MCP-15 a NUL in a name", call(`{"name":"echo\u0000"}`), withID("7")},
		{"MCP-59 a batch in a batch", `[[{"jsonrpc":"2.0","id":7,"method":"ping"}]]`, invalidBody},
		{"MCP-58 an empty batch after blanks", "\n\t []", invalidBody},
	} {
		t.Run(row.id, func(t *testing.T) {
			f.refusedWhole(t, f.post(token, row.body), http.StatusBadRequest, "", row.want)
			f.refusedWhole(t, f.post(token, row.body, modernHeaders("ping", "echo")...), http.StatusBadRequest, "", row.want)
		})
	}
	t.Run("MCP-06 two megabytes of brackets", func(t *testing.T) {
		f.log.Reset()
		w := f.post(token, strings.Repeat("[", 2<<20))
		f.refusedWhole(t, w, http.StatusBadRequest, "", invalidBody)
		assert.Contains(t, f.log.String(), "at byte 64", "the rest is not looked at")
	})
	t.Run("MCP-06 64 levels", func(t *testing.T) {
		f.servedIn(t, f.post(token, call(`{"name":"echo","arguments":{"a":`+strings.Repeat("[", 61)+strings.Repeat("]", 61)+`}}`)))
	})
	t.Run("MCP-15 names are compared as they are", func(t *testing.T) {
		f := newFixture(t, nil)
		token := f.token(nil)
		f.servedIn(t, f.post(token, call(`{"name":"\u0065cho"}`)))
		f.refusedWhole(t, f.post(token, call(`{"name":"Echo"}`)), 403, "", strings.Replace(forbiddenBody, ":1,", ":7,", 1))
	})
}

// The handler gets the bytes that were checked.
func TestSameBytes_MCP_08(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	body := " \r\n" + `{ "params" : {"arguments":{"big":1.00000000000000000000001e400, "s":"\u0041\/\ud83d\ude00"},` + "\t" +
		`"name":"\u0065cho","_meta":{"x":1}} ,"jsonrpc":"2.0",  "method":"tools\/call", "id":"1"}` + "\n\n"
	for name, send := range map[string]io.Reader{
		"MCP-08 with its length": strings.NewReader(body),
		"MCP-08 chunked":         io.MultiReader(strings.NewReader(body)),
		"MCP-08 byte by byte":    iotest.OneByteReader(strings.NewReader(body)),
		"MCP-08 with the end":    iotest.DataErrReader(strings.NewReader(body)),
	} {
		t.Run(name, func(t *testing.T) {
			r := f.request(http.MethodPost, "/mcp", token, body)
			if name != "MCP-08 with its length" {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			r.Body = io.NopCloser(send)
			var copies []string
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				for range 2 {
					again, err := r.GetBody()
					require.NoError(t, err)
					got, err := io.ReadAll(again)
					require.NoError(t, err)
					require.NoError(t, again.Close())
					copies = append(copies, string(got))
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			}
			f.servedIn(t, f.serve(r))
			assert.Equal(t, sha256.Sum256([]byte(body)), sha256.Sum256(f.body))
			assert.Equal(t, int64(len(body)), f.last.ContentLength)
			assert.Empty(t, f.last.TransferEncoding)
			require.Len(t, copies, 2, "GetBody, twice")
			assert.Equal(t, []string{body, body}, copies)
		})
	}
}

// What a handler keeps beyond its request is dead: the buffer of the body may
// be another request's by then.
func TestKeptBody_MCP_08(t *testing.T) {
	f := newFixture(t, nil)
	var kept []*http.Request
	handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = append(kept, r)
		w.WriteHeader(http.StatusAccepted)
	}))
	token := f.token(nil)
	for range 20 {
		handler.ServeHTTP(httptest.NewRecorder(), f.request(http.MethodPost, "/mcp", token, legacyCall("echo")))
	}
	require.Len(t, kept, 20)
	for _, r := range kept {
		got, err := io.ReadAll(r.Body)
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		assert.Empty(t, got)
		_, err = r.GetBody()
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		require.ErrorIs(t, r.Context().Err(), context.Canceled)
		<-r.Context().Done()
	}
}

// TestKeptContext_LIMITS_13: who keeps the context of a request, as servers do for a session or a job of their own, does not
// keep the body, nor an answer that was held: nobody counts them any more.
func TestKeptContext_LIMITS_13(t *testing.T) {
	const requests, size = 16, 1 << 20
	padding := strings.Repeat("p", size)
	for name, body := range map[string]string{
		"initialize": `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"},"x":"` + padding + `"}}`,
		"a tool":     `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":"` + padding + `"}}}`,
		"a page":     `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"` + padding + `"}}`,
		"once more":  `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"` + padding + `"}}`,
	} {
		f := newFixture(t, nil)
		var kept []context.Context
		handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name == "once more" && r.Header.Get("Mcp-Session-Id") != "" {
				w.WriteHeader(http.StatusNotFound) // it knows of no such session
				return
			}
			kept = append(kept, r.Context())
			w.Header().Set("Content-Type", "application/json")
			_, err := io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"x":"`+padding+`"}}`)
			assert.NoError(t, err)
		}))
		token := f.token(nil)
		serve := func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, f.request(http.MethodPost, "/mcp", token, body))
			w.Body = nil // it is the test's own
		}
		serve()
		before := heapInUse()
		for range requests {
			serve()
		}
		grown := heapInUse() - before
		require.Len(t, kept, requests+1, name)
		assert.Less(t, grown, requests*size/4, "%s: %d bytes", name, grown)
	}
}

// The operator's own code may keep what it is shown.
func TestKeptArguments_MCP_08(t *testing.T) {
	var kept []json.RawMessage
	keep := func(call mcpauth.Call) { kept = append(kept, call.Arguments) }
	for name, set := range map[string]func(*mcpauth.Config){
		"OnDecision": func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) { keep(d.Calls[0]) }
		},
		"Policy": func(c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
				keep(call)
				return mcpauth.Authenticated(), nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, set)
			token := f.token(nil)
			kept = nil
			for i := range 20 {
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":%d}}}`, 10+i)
				f.handler.ServeHTTP(httptest.NewRecorder(), f.request(http.MethodPost, "/mcp", token, body))
			}
			require.Len(t, kept, 20)
			for i, arguments := range kept {
				assert.Equal(t, fmt.Sprintf(`{"n":%d}`, 10+i), string(arguments))
			}
		})
	}
}

func TestMediaTypes_MCP_09_MCP_10(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, row := range []struct {
		id      string
		headers []string
		served  bool
	}{
		{"MCP-09 as it is", []string{"Content-Type: application/json"}, true},
		{"MCP-09 in UTF-8", []string{"Content-Type: application/json; charset=utf-8"}, true},
		{"MCP-09 in upper case", []string{`Content-Type: Application/JSON ;charset="UTF-8"`}, true},
		{"MCP-09 with another parameter", []string{"Content-Type: application/json; profile=x"}, true},
		{"MCP-09 none", []string{"Content-Type"}, false},
		{"MCP-09 empty", []string{"Content-Type: "}, false},
		{"MCP-09 text", []string{"Content-Type: text/plain"}, false},
		{"MCP-09 a form", []string{"Content-Type: application/x-www-form-urlencoded"}, false},
		{"MCP-09 another JSON", []string{"Content-Type: application/json-rpc"}, false},
		{"MCP-09 a longer JSON", []string{"Content-Type: application/jsonx"}, false},
		{"MCP-09 a suffix", []string{"Content-Type: application/mcp+json"}, false},
		{"MCP-09 UTF-16", []string{"Content-Type: application/json; charset=utf-16"}, false},
		{"MCP-09 UTF-8 without its hyphen", []string{"Content-Type: application/json; charset=utf8"}, true},
		{"MCP-09 UTF-8 without its hyphen, in upper case", []string{"Content-Type: application/json;Charset=UTF8"}, true},
		{"MCP-09 UTF-8 twice", []string{"Content-Type: application/json; charset=utf-8; charset=UTF-8"}, true},
		{"MCP-09 an empty charset", []string{`Content-Type: application/json; charset=""`}, true},
		{"MCP-09 a charset without value", []string{"Content-Type: application/json; charset="}, true},
		{"MCP-09 a parameter of OData", []string{"Content-Type: application/json; odata.metadata=none"}, true},
		{"MCP-09 a semicolon at the end", []string{"Content-Type: application/json; "}, true},
		{"MCP-09 Latin", []string{"Content-Type: application/json; charset=iso-8859-1"}, false},
		{"MCP-09 UTF-16 behind another parameter", []string{`Content-Type: application/json; profile="x"; CHARSET = "UTF-16"`}, false},
		{"MCP-09 UTF-16 in the long form", []string{"Content-Type: application/json; charset*=utf-8''utf-16"}, false},
		{"MCP-09 UTF-16 in parts", []string{"Content-Type: application/json; charset*0=utf-; charset*1=16"}, false},
		{"MCP-09 UTF-16 escaped", []string{`Content-Type: application/json; charset="utf\-16"`}, false},
		{"MCP-09 two charsets", []string{"Content-Type: application/json; charset=utf-8; charset=utf-16"}, false},
		{"MCP-09 a broken parameter", []string{"Content-Type: application/json; charset"}, true}, // for the handler to mind
		{"MCP-09 two types in one", []string{"Content-Type: application/json, text/plain"}, false},
		{"MCP-09 two lines", []string{"Content-Type: application/json", "Content-Type: application/json"}, false},
		{"MCP-10 identity", []string{"Content-Encoding: Identity"}, true},
		{"MCP-10 gzip", []string{"Content-Encoding: gzip"}, false},
		{"MCP-10 br", []string{"Content-Encoding: br"}, false},
		{"MCP-10 empty", []string{"Content-Encoding: "}, true},
		{"MCP-10 identity and more", []string{"Content-Encoding: identity, gzip"}, false},
		{"MCP-10 on a second line", []string{"Content-Encoding: identity", "Content-Encoding: deflate"}, false},
	} {
		t.Run(row.id, func(t *testing.T) {
			w := f.post(token, legacyCall("echo"), row.headers...)
			if row.served {
				f.servedIn(t, w)
				return
			}
			f.refusedWhole(t, w, http.StatusUnsupportedMediaType, "", mediaTypeBody)
		})
	}
}

// sized is a call of echo of this many bytes.
func sized(n int) string {
	const head, tail = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":"`, `"}}}`
	return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
}

// touched is a body that knows whether it was read, and how far.
type touched struct {
	io.Reader
	bytes int
}

func (b *touched) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.bytes += n
	return n, err
}

func (b *touched) Close() error { return nil }

func TestBodyBounds_LIMITS_02(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	const limit = 4 << 20
	t.Run("LIMITS-02 4 MiB", func(t *testing.T) {
		f.servedIn(t, f.post(token, sized(limit)))
		assert.Len(t, f.body, limit)
	})
	t.Run("LIMITS-02 4 MiB and a byte, announced", func(t *testing.T) {
		body := &touched{Reader: strings.NewReader(sized(limit + 1))}
		r := f.request(http.MethodPost, "/mcp", token, "")
		r.Body, r.ContentLength = body, limit+1
		f.refusedWhole(t, f.serve(r), http.StatusRequestEntityTooLarge, "", tooLargeBody)
		assert.Zero(t, body.bytes)
	})
	t.Run("LIMITS-02 4 MiB and a byte, chunked", func(t *testing.T) {
		r := f.request(http.MethodPost, "/mcp", token, "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sized(limit+1))), -1
		f.refusedWhole(t, f.serve(r), http.StatusRequestEntityTooLarge, "", tooLargeBody)
	})
	for _, bound := range []int{128 << 10, 4<<20 + 1, 16 << 20} {
		t.Run(fmt.Sprint("LIMITS-02 MaxBody ", bound), func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.MaxBody = int64(bound) })
			token := f.token(nil)
			for _, announced := range []bool{true, false} {
				send := func(body string) *httptest.ResponseRecorder {
					r := f.request(http.MethodPost, "/mcp", token, body)
					if !announced {
						r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
					}
					return f.serve(r)
				}
				f.servedIn(t, send(sized(bound)))
				assert.Len(t, f.body, bound)
				f.log.Reset()
				f.refusedWhole(t, send(sized(bound+1)), http.StatusRequestEntityTooLarge, "", tooLargeBody)
				assert.Contains(t, f.log.String(), fmt.Sprintf("at most %d bytes", bound))
				assert.Contains(t, f.log.String(), "Config.MaxBody")
			}
		})
	}
	t.Run("LIMITS-02 without end", func(t *testing.T) {
		body := &touched{Reader: endless('[')}
		r := f.request(http.MethodPost, "/mcp", token, "")
		r.Body, r.ContentLength = body, -1
		f.refusedWhole(t, f.serve(r), http.StatusRequestEntityTooLarge, "", tooLargeBody)
		assert.LessOrEqual(t, body.bytes, 2*limit)
	})
	t.Run("LIMITS-02 more than was announced", func(t *testing.T) {
		r := f.request(http.MethodPost, "/mcp", token, "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(legacyCall("echo"))), 10
		f.servedIn(t, f.serve(r))
		assert.Equal(t, legacyCall("echo"), string(f.body))
		assert.Equal(t, int64(len(f.body)), f.last.ContentLength)
	})
	t.Run("LIMITS-02 a body that breaks off", func(t *testing.T) {
		for _, err := range []error{io.ErrUnexpectedEOF, errors.New("canary"), context.Canceled, &net.OpError{Op: "read", Err: errors.New("connection reset")}} {
			r := f.request(http.MethodPost, "/mcp", token, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"jsonrpc":`), iotest.ErrReader(err)))
			f.refusedWhole(t, f.serve(r), http.StatusBadRequest, "", unreadableBody)
		}
	})
	t.Run("MCP-12 no body at all", func(t *testing.T) {
		r := f.request(http.MethodPost, "/mcp", token, "")
		r.Body, r.ContentLength = nil, 0
		f.refusedWhole(t, f.serve(r), http.StatusBadRequest, "", unreadableBody)
	})
	t.Run("LIMITS-02 over a connection", func(t *testing.T) {
		server := httptest.NewServer(f.handler)
		defer server.Close()
		request, err := http.NewRequest(http.MethodPost, server.URL+"/mcp", io.MultiReader(bytes.NewReader([]byte(sized(limit+1)))))
		require.NoError(t, err)
		request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		defer response.Body.Close()
		got, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		assert.Equal(t, tooLargeBody, string(got))
		assert.True(t, response.Close)
		assert.Zero(t, f.ran)
	})
}

type endless byte

func (b endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// Nothing is read of a body before its token is good.
func TestStrangersBodies_LIMITS_02(t *testing.T) {
	f := newFixture(t, nil)
	expired := f.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
	for name, token := range map[string]string{"LIMITS-02 no token": "", "LIMITS-02 no JWT": "x", "LIMITS-02 expired": expired} {
		t.Run(name, func(t *testing.T) {
			body := &touched{Reader: endless('{')}
			r := f.request(http.MethodPost, "/mcp", token, "")
			r.Body, r.ContentLength = body, -1
			w := f.serve(r)
			assert.Equal(t, http.StatusUnauthorized, w.Code)
			assert.Zero(t, body.bytes)
			assert.Zero(t, f.ran)
		})
	}
}

func TestMessageBounds_LIMITS_07(t *testing.T) {
	f := openFixture(t)
	token := f.token(nil)
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":0,`, i)
		}
		return b.String()
	}
	for _, row := range []struct {
		id, body string
		served   bool
	}{
		{"LIMITS-07 a method of 256 bytes", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, strings.Repeat("m", 256)), true},
		{"LIMITS-07 a method of 257 bytes", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, strings.Repeat("m", 257)), false},
		{"LIMITS-07 a name of 512 bytes", legacyCall(strings.Repeat("n", 512)), true},
		{"LIMITS-07 a name of 513 bytes", legacyCall(strings.Repeat("n", 513)), false},
		{"LIMITS-07 a URI of 8 KiB", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%q}}`, strings.Repeat("u", 8<<10)), true},
		{"LIMITS-07 a URI of 8 KiB and a byte", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%q}}`, strings.Repeat("u", 8<<10+1)), false},
		{"LIMITS-07 an id of 256 bytes", strings.Replace(legacyCall("echo"), `"id":1`, `"id":"`+strings.Repeat("i", 256)+`"`, 1), true},
		{"LIMITS-07 an id of 257 bytes", strings.Replace(legacyCall("echo"), `"id":1`, `"id":"`+strings.Repeat("i", 257)+`"`, 1), false},
		{"LIMITS-07 9000 members", strings.Replace(legacyCall("echo"), `"name"`, members(9000)+`"name"`, 1), true},
		{"LIMITS-07 10001 members", strings.Replace(legacyCall("echo"), `"name"`, members(10001)+`"name"`, 1), false},
	} {
		t.Run(row.id, func(t *testing.T) {
			w := f.post(token, row.body)
			if row.served {
				f.servedIn(t, w)
				return
			}
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Contains(t, w.Body.String(), `"error":{"code":-32600,"message":"body is not an acceptable JSON-RPC message"}}`)
			assert.Zero(t, f.ran)
		})
	}
}

// A token without kid is tried against eight keys at most.
func TestSignatureChecks_LIMITS_08(t *testing.T) {
	for _, n := range []int{8, 9} {
		t.Run(fmt.Sprintf("LIMITS-08 %d keys", n), func(t *testing.T) {
			f := newFixture(t, nil)
			var keys []*mcpauthtest.Key
			for i := range n {
				key := *mcpauthtest.NewKey(fmt.Sprintf("limits-%d", i), "EdDSA")
				key.ID = ""
				keys = append(keys, &key)
			}
			last := keys[n-1]
			f.issuer.Rotate(append([]*mcpauthtest.Key{last}, keys[:n-1]...)...)
			w := f.call(f.token(nil), "echo")
			if n == 8 {
				f.servedIn(t, w)
				return
			}
			f.refusedWhole(t, w, http.StatusUnauthorized, invalidToken("signing key unknown"), `{"error":"invalid_token","error_description":"signing key unknown"}`)
		})
	}
}

func TestHTTPMethods_MCP_56(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	const refusedBody = `{"jsonrpc":"2.0","error":{"code":-31405,"message":"HTTP method not allowed"}}`
	for _, method := range []string{"GET", "DELETE", "PUT", "PATCH", "HEAD", "TRACE", "CONNECT", "post", "get", "Delete", "X"} {
		for version, allow := range map[string]string{
			"MCP-Protocol-Version":               "POST, GET, DELETE", // absent
			"MCP-Protocol-Version: ":             "POST, GET, DELETE",
			"MCP-Protocol-Version: 2025-03-26":   "POST, GET, DELETE",
			"MCP-Protocol-Version: 2025-06-18":   "POST, GET, DELETE",
			"MCP-Protocol-Version: 2025-11-25":   "POST, GET, DELETE",
			"MCP-Protocol-Version: 2026-07-28":   "POST",
			"MCP-Protocol-Version:  2026-07-28 ": "POST",
			"MCP-Protocol-Version: 2027-01-01":   "POST",
			"MCP-Protocol-Version: garbage":      "POST, GET, DELETE", // MCP-29
		} {
			t.Run("MCP-56 MCP-57 "+method+" "+version, func(t *testing.T) {
				w := f.do(method, "/mcp", token, legacyCall("echo"), "Content-Type: application/json", version)
				if method == "DELETE" && allow != "POST" { // ISOL-06
					f.refusedWhole(t, w, http.StatusNotFound, "", unknownSessionBody)
					return
				}
				if method == "GET" && allow != "POST" {
					f.servedIn(t, w)
					assert.Empty(t, f.body, "what stands in its body was not decided on")
					assert.Zero(t, f.last.ContentLength)
					return
				}
				assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
				assert.Equal(t, []string{allow}, w.Header()["Allow"])
				assert.Empty(t, w.Header()["Www-Authenticate"])
				if method != "HEAD" {
					assert.Equal(t, refusedBody, w.Body.String())
				}
				assert.Zero(t, f.ran)
				w = f.do(method, "/mcp", "", legacyCall("echo"), "Content-Type: application/json", version)
				assert.Equal(t, http.StatusUnauthorized, w.Code, "MCP-57: a stranger learns nothing about methods")
			})
		}
	}
	for name, upgrades := range map[string][]string{
		"websocket": {"websocket"}, "in upper case": {"WebSocket"}, "in a list": {"h2c, websocket"}, "on a second line": {"h2c", "websocket"}, "with a version": {"websocket/13"},
	} {
		t.Run("MCP-57 upgrade to "+name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				r := f.request(method, "/mcp", token, legacyCall("echo"), "Connection: Upgrade")
				r.Header["Upgrade"] = upgrades
				w := f.serve(r)
				assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
				assert.Zero(t, f.ran)
			}
		})
	}
}
