package mcpauth

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
)

// reasonsInSource reads the catalogue from the source, so that no reason can be forgotten here.
func reasonsInSource(t *testing.T) map[string]Reason {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	reasons := map[string]Reason{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			words, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			reasons[spec.Names[0].Name] = Reason(words)
		}
		return true
	})
	return reasons
}

func TestCatalogue_CHAL_11_CHAL_20_CHAL_21(t *testing.T) {
	reasons := reasonsInSource(t)
	require.Greater(t, len(reasons), 25)
	defined := map[int]bool{0: true, -32700: true, -32600: true, -32601: true, -32602: true, -32603: true, -32020: true}
	words := map[Reason]string{}
	for name, reason := range reasons {
		assert.Empty(t, words[reason], "%s has the words of another reason", name)
		words[reason] = name
		a := reason.answer()
		assert.Regexp(t, regexp.MustCompile(`^[\x20\x21\x23-\x5b\x5d-\x7e]{1,200}$`), string(reason), "CHAL-11")
		assert.Equal(t, string(reason), challenge.Description(string(reason)), "CHAL-11: nothing to repair")
		reserved := a.rpc <= -32000 && a.rpc >= -32768
		assert.True(t, defined[a.rpc] || !reserved, "CHAL-21: %s has code %d", name, a.rpc)
		assert.True(t, a.rpc == 0 || a.rpc < 0 && a.rpc > -32769, name)
		assert.Equal(t, a.status == 401, a.rpc == 0, "CHAL-20: %s: a 401 is an OAuth error, everything else JSON-RPC", name)
		switch reason {
		case errUnknownTask, errUnknownCursor:
			assert.Equal(t, 200, a.status, "MCP-67 MCP-80: as a handler answers for a task, or a cursor, that never was")
		case errCancelled:
			assert.Equal(t, 200, a.status, "ISOL-07: nothing was refused")
		default:
			assert.GreaterOrEqual(t, a.status, 400, name)
		}
		switch a.oauth {
		case "invalid_token":
			assert.Equal(t, 401, a.status, name)
		case "insufficient_scope":
			assert.Equal(t, 403, a.status, name)
		case "invalid_request":
			assert.Equal(t, 400, a.status, name)
		default:
			assert.Empty(t, a.oauth, name)
		}
	}
}

func TestCause(t *testing.T) {
	inner := errors.New("inner")
	for _, row := range []struct {
		cause *cause
		text  string
	}{
		{&cause{reason: ErrExpired}, "token expired"},
		{&cause{reason: ErrExpired, what: "exp"}, "token expired: exp"},
		{&cause{reason: ErrExpired, what: "exp", got: "a\nb"}, `token expired: exp, got "a\nb"`},
		{&cause{reason: ErrExpired, what: "exp", got: "1", want: "2"}, `token expired: exp, got "1", expected 2`},
		{&cause{reason: ErrExpired, what: "exp", err: inner}, "token expired: exp: inner"},
	} {
		assert.Equal(t, row.text, row.cause.Error())
		assert.ErrorIs(t, row.cause, ErrExpired)
		assert.Equal(t, row.cause.err != nil, errors.Is(row.cause, inner))
	}
	assert.Equal(t, ErrForbidden, (&DeniedError{Err: inner}).reason(), "an error of nobody's catalogue opens nothing")
}

func TestShown(t *testing.T) {
	assert.Equal(t, `"a\"b\n\x00\u202e\u200b\ufeff\u00ad\xff"`, shown("a\"b\n\x00\u202e\u200b\ufeff\u00ad\xff"))
	assert.Equal(t, `"`+strings.Repeat("x", 256)+`"`, shown(strings.Repeat("x", 256)))
	assert.Equal(t, `"`+strings.Repeat("x", 256)+`"...`, shown(strings.Repeat("x", 1<<20)))
	assert.Equal(t, `"https://h/p"`, shownURL("https://h/p"))
	assert.Equal(t, `"...@h/p"`, shownURL("https://u:p@ss@h/p"))
}

// CHAL-24: never sooner than the keys are tried again, 1 to 30 seconds, and not always the same.
func TestRetryAfterIsTruthful_CHAL_24(t *testing.T) {
	for _, wait := range []time.Duration{-time.Hour, 0, 1, time.Second, 1400 * time.Millisecond, 17 * time.Second, 29*time.Second + 1, 30 * time.Second} {
		seen := map[int]bool{}
		for range 300 {
			seconds := retryAfter(wait)
			require.True(t, seconds >= 1 && seconds <= 30)
			require.GreaterOrEqual(t, time.Duration(seconds)*time.Second, wait)
			seen[seconds] = true
		}
		if wait > 0 && wait < 28*time.Second {
			assert.Len(t, seen, 3, "%v", wait)
		}
	}
	assert.LessOrEqual(t, retryAfter(1<<62), 30)
}

func TestGrantFilter_CHAL_08(t *testing.T) {
	f := newGrantFilter([]string{"mcp:read", "tool:{name}:execute", "{name}"})
	assert.Nil(t, f.of(nil))
	f = newGrantFilter([]string{"mcp:read", "tool:{name}:execute"})
	p := &Principal{Scopes: []string{"openid", "tool:x:execute", "tool::execute", "tool:execute", "mcp:read", "xtool:x:execute", "tool:x:executed"}}
	assert.Equal(t, []string{"tool:x:execute", "mcp:read"}, f.of(p))
}

func TestAuthorizeWithoutPrincipal(t *testing.T) {
	err := new(Middleware).Authorize(context.Background(), nil)
	assert.ErrorIs(t, err, ErrNoCredentials)
}
