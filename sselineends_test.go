package mcpauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lineEnds are those of the standard for event streams.
var lineEnds = map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"}

// TestLineEndsOfAnswers_MCP_68_MCP_64: what is judged is judged with every line end, also behind an event so
// long that it has passed before its end; and a stream of carriage returns alone is an event stream.
func TestLineEndsOfAnswers_MCP_68_MCP_64(t *testing.T) {
	f := newFixture(t, listsPolicy)
	token := f.token(nil)
	long := strings.Repeat("x", 70<<10)
	hidden := fmt.Sprintf(heardMessages[0], "db://admin_delete")
	for name, first := range map[string]string{
		"progress": `{"jsonrpc":"2.0","method":"notifications/progress","params":{"message":"` + long + `"}}`,
		"result":   `{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"` + long + `"}]}}`,
		"short":    `{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"\u00fc"}]}}`,
	} {
		for endName, end := range lineEnds {
			for _, between := range []string{end + end, end + "\r", end + "\n\r", "\n\r", "\r\n\r"} {
				if end == "\r" && between == "\r\n\r" {
					between = "\r\r\n" // else the first is one line end
				}
				for _, size := range []int{0, 1000, 1} {
					if size == 1 && name != "short" {
						continue
					}
					text := "data: " + first + between + "data: " + hidden + end + end + "data: {\"last\":1}" + end + end
					f.inner = writeInPieces(listsStream, text, size, true)
					w := f.serve(f.request(http.MethodPost, "/mcp", token, legacyCall("echo")))
					f.served(w)
					got := w.Body.String()
					require.NotContains(t, got, "admin_delete", "%s %s %q %d", name, endName, between, size)
					require.Contains(t, got, first, "%s %s %q %d", name, endName, between, size)
					require.Contains(t, got, `data: {"last":1}`, "%s %s %q %d", name, endName, between, size)
					require.NotContains(t, got, "-32603")
				}
			}
		}
	}
}

// TestCarriageReturnsStream_MCP_64: an event that ends in carriage returns leaves when it has ended.
func TestCarriageReturnsStream_MCP_64(t *testing.T) {
	for name, request := range map[string]func(f *fixture) *http.Request{
		"call": func(f *fixture) *http.Request {
			return f.request(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo"))
		},
		"list": func(f *fixture) *http.Request { return listsRequest(f, "tools/list", f.token(nil), false) },
		"GET":  func(f *fixture) *http.Request { return f.request(http.MethodGet, "/mcp", f.token(nil), "") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, listsPolicy)
			goOn := make(chan struct{})
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", listsStream)
				_, _ = io.WriteString(w, "data: {\"method\":\"notifications/progress\"}\r\r")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-goOn:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "data: {\"id\":1,\"result\":{\"tools\":[]}}\r\r")
			}
			server, client := serverFor(t, f, false)
			resp := streamingDo(t, server, client, request(f))
			body := bufio.NewReader(resp.Body)
			line, err := body.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "data: {\"method\":\"notifications/progress\"}\r\n", line)
			close(goOn)
			rest, err := io.ReadAll(body)
			require.NoError(t, err)
			assert.Equal(t, "\r\ndata: {\"id\":1,\"result\":{\"tools\":[]}}\r\n\r\n", string(rest))
		})
	}
}
