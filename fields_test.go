package mcpauth_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fieldsOfTheWhole are set by a handler that serves all of a list, and say something of all of it.
var fieldsOfTheWhole = []string{
	"ETag", "Content-MD5", "Content-Digest", "Digest", "Repr-Digest", "Last-Modified", "Link", "X-Total-Count", "Content-Range", "Content-Location",
}

// TestFieldsOfTheWholeList_MCP_65: what a handler says in header fields and trailers of the list before it was
// filtered does not go out, in no form of answer, of no status and in no spelling; other fields do.
func TestFieldsOfTheWholeList_MCP_65(t *testing.T) {
	f := newFixture(t, listsPolicy)
	server, client := serverFor(t, f, false)
	list := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`
	for _, modern := range []bool{false, true} {
		for contentType, text := range map[string]string{listsJSON: list, listsStream: "id: 3\ndata: " + list + "\n\n"} {
			for _, status := range []int{200, 400, 404, 500} {
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					h := w.Header()
					for _, name := range fieldsOfTheWhole {
						h.Set(name, "canary")
						h[strings.ToLower(name)] = []string{"canary"}
					}
					h.Set("X-Vendor", "own")
					h.Set("Content-Type", contentType)
					h.Set("Trailer", "Digest, X-Sum, Link")
					w.WriteHeader(status)
					_, _ = io.WriteString(w, text)
					h.Set("Digest", "canary")
					h.Set("Link", "canary")
					h.Set("X-Sum", "own")
					h.Set(http.TrailerPrefix+"Content-Digest", "canary")
					h.Set(http.TrailerPrefix+"ETag", "canary")
				}
				name := fmt.Sprint(modern, " ", contentType, " ", status)
				resp := streamingDo(t, server, client, listsRequest(f, "tools/list", f.token(nil), modern))
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, status, resp.StatusCode, name)
				assert.Contains(t, string(body), "echo", name)
				assert.NotContains(t, string(body), "admin_delete", name)
				assert.NotContains(t, fmt.Sprint(resp.Header, resp.Trailer), "canary", name)
				assert.Equal(t, "own", resp.Header.Get("X-Vendor"), name)
				assert.Equal(t, "own", resp.Trailer.Get("X-Sum"), name)
			}
		}
	}
}

// TestDigestsOfEditedAnswers_MCP_65: nor does a digest of an answer go out that is changed as it passes, or of a stream.
func TestDigestsOfEditedAnswers_MCP_65(t *testing.T) {
	f := newFixture(t, listsPolicy)
	server, client := serverFor(t, f, false)
	for name, request := range heardStreams(f, t) {
		for _, contentType := range []string{listsJSON, listsStream} {
			if contentType == listsJSON && (name == "legacy" || name == "batch" || name == "handshake") {
				continue // these pass byte by byte
			}
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.Header().Set("ETag", "canary")
				w.Header().Set("Content-Range", "canary")
				w.Header().Set("Trailer", "Digest")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"public"}}`+"\n\n")
				w.Header().Set("Digest", "canary")
				w.Header().Set(http.TrailerPrefix+"Content-Digest", "canary")
			}
			resp := streamingDo(t, server, client, request)
			_, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, 200, resp.StatusCode)
			assert.NotContains(t, fmt.Sprint(resp.Header, resp.Trailer), "canary", "%s %s", name, contentType)
			request = heardStreams(f, t)[name]
		}
	}
}

// TestOtherFieldsStay_MCP_65: what is said of something else than the bytes, or of no list, goes out: of an answer that is changed as it passes,
// and of a stream.
func TestOtherFieldsStay_MCP_65(t *testing.T) {
	f := newFixture(t, nil)
	for _, contentType := range []string{listsJSON, listsStream} {
		f.ran = 0
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", contentType)
			h.Set("Link", "<https://docs.example.com>; rel=help")
			h.Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			h.Set("Content-Location", "/mcp")
			h.Set("X-Total-Count", "1")
			h.Set("ETag", `"all"`)
			_, _ = io.WriteString(w, "data: "[:6*btoi(contentType == listsStream)]+`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`+"\n\n")
		}
		w := f.call(f.token(nil), "echo")
		f.served(w)
		assert.Equal(t, http.Header{
			"Content-Type": {contentType}, "Cache-Control": {"private"}, "Vary": {"Authorization"}, "Link": {"<https://docs.example.com>; rel=help"},
			"Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Content-Location": {"/mcp"}, "X-Total-Count": {"1"},
		}, w.Result().Header)
	}
}

// TestConditionsOfNothing_MCP_65: a request that asks for no content is passed on with its condition: nothing of an answer is at stake.
func TestConditionsOfNothing_MCP_65(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	session := f.session(t, token)
	f.do(http.MethodDelete, "/mcp", token, "", "Mcp-Session-Id: "+session, `If-Match: "all"`)
	require.Equal(t, http.MethodDelete, f.last.Method)
	assert.Equal(t, `"all"`, f.last.Header.Get("If-Match"))
}

// TestNoSharedCache_MCP_61: every answer took a token, and is not for a shared cache, whatever the handler says.
func TestNoSharedCache_MCP_61(t *testing.T) {
	f := newFixture(t, listsPolicy)
	for given, want := range map[string]string{
		"":                              "private",
		"public, s-maxage=600":          "private",
		"Public,max-age=60":             "private, max-age=60",
		"s-maxage=600, must-revalidate": "private, must-revalidate",
		"must-revalidate, max-age=9":    "private, must-revalidate, max-age=9",
		"no-store, must-revalidate":     "no-store, must-revalidate",
		"private, must-revalidate":      "private, must-revalidate",
		"no-cache":                      "no-cache",
		`private="x-y", public`:         "private",
		", public,, max-age=60 ,":       "private, max-age=60",
		// Two kinds of restriction: of all of the answer, and of some fields of it.
		"must-revalidate, private":                 "must-revalidate, private",
		`must-revalidate, private="x-y"`:           "private, must-revalidate",
		`private, must-revalidate, private="x-y"`:  `private, must-revalidate, private="x-y"`,
		`no-store, must-revalidate, private="x-y"`: `no-store, must-revalidate, private="x-y"`,
		"no-store, public":                         "private, no-store",
		// Blanks around the equals sign, which some caches skip.
		"max-age=60, s-maxage =600":        "private, max-age=60",
		"s-maxage\t= 600, must-revalidate": "private, must-revalidate",
		"public =1":                        "private",
		`must-revalidate, private ="x-y"`:  "private, must-revalidate",
		"must-revalidate =1, max-age=9":    "private, must-revalidate =1, max-age=9",
	} {
		for name, request := range heardStreams(f, t) {
			for _, status := range []int{200, 404} {
				f.inner = func(w http.ResponseWriter, _ *http.Request) {
					if given != "" {
						w.Header().Set("Cache-Control", given)
					}
					w.Header().Set("CDN-Cache-Control", "public, max-age=600")
					w.Header().Set("Surrogate-Control", "max-age=600")
					w.WriteHeader(status)
				}
				if given == "" && status == 404 {
					continue // nothing is said of it, and Vary is
				}
				w := f.serve(request)
				require.Equal(t, status, w.Code, name)
				require.Equal(t, want, w.Header().Get("Cache-Control"), "%s %q %d", name, given, status)
				require.Empty(t, w.Header().Get("CDN-Cache-Control"), name)
				require.Empty(t, w.Header().Get("Surrogate-Control"), name)
				request = heardStreams(f, t)[name]
			}
		}
	}
	for name, request := range heardStreams(f, t) { // nor if it says nothing else
		f.inner = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("CDN-Cache-Control", "public")
		}
		w := f.serve(request)
		require.Equal(t, "private, max-age=60", w.Header().Get("Cache-Control"), name)
		require.Empty(t, w.Header().Get("CDN-Cache-Control"), name)
	}
	for status, want := range map[int][]string{http.StatusOK: {"private"}, http.StatusIMUsed: {"private"}, http.StatusMultipleChoices: nil} {
		f.inner = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		w := f.legacyCall(f.token(nil), "echo")
		assert.Equal(t, status, w.Code)
		assert.Equal(t, http.Header{"Vary": {"Authorization"}}, func() http.Header {
			h := w.Result().Header
			assert.Equal(t, want, h["Cache-Control"], status)
			h.Del("Cache-Control")
			return h
		}())
	}
}

// TestNoConditions_MCP_65: what is asked for is a whole answer: of a piece nothing could be judged, and a condition on
// an entity tag or a date would tell whether a guess of the hidden part is right.
func TestNoConditions_MCP_65(t *testing.T) {
	f := newFixture(t, listsPolicy)
	text := `{"jsonrpc":"2.0","id":1,"result":{"contents":[],"cacheScope":"public","tools":[{"name":"admin_delete"}]}}`
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", listsJSON)
		w.Header().Set("ETag", `"all"`)
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(text))
	}
	for name, request := range heardStreams(f, t) {
		for _, field := range []string{"Range: bytes=20-", "If-Range: \"all\"", "If-None-Match: \"all\"", "If-Match: \"all\"", "If-Modified-Since: Mon, 02 Jan 2090 15:04:05 GMT", "If-Unmodified-Since: Mon, 02 Jan 2090 15:04:05 GMT"} {
			key, value, _ := strings.Cut(field, ": ")
			request.Header.Set(key, value)
		}
		w := f.serve(request)
		f.served(w)
		for _, key := range []string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			assert.Empty(t, f.last.Header.Values(key), name)
		}
	}
}
