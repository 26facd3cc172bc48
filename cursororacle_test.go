package mcpauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// pagedServer is mcp-go with pages of three tools, of which one is hidden from most.
func pagedServer(t *testing.T) *fixture {
	t.Helper()
	rules := map[string]mcpauth.Requirement{"launch_missiles": mcpauth.Scopes("mcp:admin")}
	inner := server.NewMCPServer("paged", "1", server.WithToolCapabilities(true), server.WithPaginationLimit(3))
	for _, name := range []string{"alpha", "bravo", "kilo", "launch_missiles", "mike", "oscar", "papa", "zulu"} {
		if _, ok := rules[name]; !ok {
			rules[name] = mcpauth.Scopes("mcp:read")
		}
		inner.AddTool(mcp.NewTool(name), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	}
	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: rules} })
	handler := server.NewStreamableHTTPServer(inner, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	f.inner = handler.ServeHTTP
	return f
}

// page asks for the tools after a cursor, "" for the first ones.
func (f *fixture) page(t *testing.T, token, cursor string) (names []string, next string) {
	t.Helper()
	w := f.serve(pageRequest(f, "tools/list", token, fmt.Sprintf("%q", cursor), false))
	require.Equal(t, http.StatusOK, w.Code)
	if strings.Contains(w.Body.String(), `"error"`) {
		return nil, ""
	}
	return listsNames(t, w.Body.String(), "tools", "name"), strings.Trim(cursorOf(t, w.Body.String()), `"`)
}

// TestPages_MCP_67: everybody gets through all pages, and has all that is for him.
func TestPages_MCP_67(t *testing.T) {
	f := pagedServer(t)
	for scope, want := range map[string]string{
		"mcp:read": "alpha bravo kilo mike oscar papa zulu", "mcp:admin": "launch_missiles",
		"mcp:read mcp:admin": "alpha bravo kilo launch_missiles mike oscar papa zulu", "other": "",
	} {
		var all []string
		cursor, lengths := "", map[int]bool{}
		for range 4 {
			names, next := f.page(t, f.token(mcpauthtest.Claims{"scope": scope}), cursor)
			all = append(all, names...)
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
				if text, err := encoding.DecodeString(next); err == nil {
					assert.NotRegexp(t, "missiles|alpha|bravo|kilo|oscar", string(text))
				}
			}
			if next != "" {
				lengths[len(next)] = true
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		assert.Empty(t, cursor)
		assert.Len(t, lengths, 1)
		assert.Equal(t, want, strings.Join(all, " "), scope)
	}
}

// TestMadeUpCursors_MCP_67: who can ask for the page after any name sees where the hidden one stands by where
// the page ends, and finds it letter by letter. Nobody can.
func TestMadeUpCursors_MCP_67(t *testing.T) {
	f := pagedServer(t)
	token := f.token(nil)
	requests := 0
	// hides reports that one of the three tools after a name is missing.
	hides := func(after string) bool {
		requests++
		names, _ := f.page(t, token, base64.StdEncoding.EncodeToString([]byte(after)))
		return len(names) != 3
	}
	// Between kilo and mike there is one: its name is the first after which none is missing any more.
	found, low, high := "", byte('k'), byte('m')
	for len(found) < len("launch_missile") {
		for low < high {
			if middle := low + (high-low+1)/2; hides(found + string(middle)) {
				low = middle
			} else {
				high = middle - 1
			}
		}
		found, low, high = found+string(low), ' ', '~'
	}
	t.Logf("%q after %d requests", found, requests)
	assert.NotEqual(t, "launch_missile", found)
}
