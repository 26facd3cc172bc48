package mcpauth

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
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

// The public reasons are those of the catalogue, and have its words.
func TestReasons_OBS_07(t *testing.T) {
	known := map[string]bool{}
	for _, e := range refusal.Catalogue() {
		known[string(e.Reason)] = true
		assert.Equal(t, e.Code, Reason(e.Reason).Code())
	}
	for name, reason := range reasonsInSource(t) {
		assert.True(t, known[string(reason)], name)
	}
	assert.Equal(t, "other", Reason("something new").Code())
}

// Whatever is wrapped in a refusal, what leaves the package has reasons of the package.
func TestDeniedErrorWraps_CHAL_23(t *testing.T) {
	inner := errors.New("inner")
	err := deniedError(refusal.For(refusal.Unavailable, "no good answer", refusal.For(refusal.Revoked, "jti", inner)))
	assert.EqualError(t, err, "mcpauth: authorization temporarily unavailable: no good answer: token revoked: jti: inner")
	for _, target := range []error{ErrUnavailable, ErrRevoked, inner} {
		assert.ErrorIs(t, err, target)
	}
	assert.NotErrorIs(t, err, ErrExpired)
	var reason Reason
	require.ErrorAs(t, err, &reason)
	assert.Equal(t, ErrUnavailable, reason)
	assert.Equal(t, ErrUnavailable, err.reason())
	unsettled := refusal.New(refusal.UnknownKey, "kid", "k1", "")
	unsettled.Unsettled = true
	assert.ErrorIs(t, deniedError(unsettled), ErrUnavailable)
	assert.ErrorIs(t, deniedError(unsettled), ErrUnknownKey)
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

// Retry-After is in whole seconds, rounded up, from 1 to 30, and no more than two of them are jitter.
func TestRetryAfter_FRESH_04(t *testing.T) {
	for _, row := range []struct {
		wait     time.Duration
		from, to int
	}{
		{-time.Hour, 1, 1}, {0, 1, 2}, {1, 1, 3}, {time.Second, 1, 3}, {time.Second + 1, 2, 4}, {29 * time.Second, 29, 30},
		{30 * time.Second, 30, 30}, {time.Hour, 30, 30},
	} {
		seen := map[int]bool{}
		for range 200 {
			seen[retryAfter(row.wait)] = true
		}
		all := slices.Sorted(maps.Keys(seen))
		assert.Equal(t, []int{row.from, row.to}, []int{all[0], all[len(all)-1]}, row.wait)
	}
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
