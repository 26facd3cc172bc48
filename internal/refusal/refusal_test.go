package refusal_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

func TestCatalogue_CHAL_11_CHAL_20_CHAL_21_OBS_01_OBS_07(t *testing.T) {
	entries := refusal.Catalogue()
	require.Greater(t, len(entries), 35)
	defined := map[int]bool{0: true, -32700: true, -32600: true, -32601: true, -32602: true, -32603: true, -32020: true}
	words, codes := map[refusal.Reason]bool{}, map[string]bool{}
	caused := map[string]bool{}
	for _, c := range explain.Causes() {
		caused[c.Reason] = true
	}
	for _, e := range entries {
		text := string(e.Reason)
		assert.False(t, words[e.Reason], "%q stands twice", text)
		assert.False(t, codes[e.Code], "%s stands twice", e.Code)
		words[e.Reason], codes[e.Code] = true, true
		assert.Equal(t, e, *e.Entry())
		assert.Regexp(t, `^[a-z_]+$`, e.Code)
		assert.True(t, caused[e.Code], "%s has no cause", e.Code)
		assert.NotEmpty(t, e.Means, e.Code)
		if e.Cause != "" {
			c, known := explain.ByID(e.Cause)
			require.True(t, known, e.Cause)
			assert.Equal(t, e.Code, c.Reason)
		}
		assert.Regexp(t, regexp.MustCompile(`^[\x20\x21\x23-\x5b\x5d-\x7e]{1,200}$`), text, "CHAL-11")
		assert.Equal(t, text, challenge.Description(text), "CHAL-11: nothing to repair")
		reserved := e.RPC <= -32000 && e.RPC >= -32768
		assert.True(t, defined[e.RPC] || !reserved, "CHAL-21: %s has code %d", e.Code, e.RPC)
		assert.True(t, e.RPC == 0 || e.RPC < 0 && e.RPC > -32769, e.Code)
		assert.Equal(t, e.Status == 401, e.RPC == 0, "CHAL-20: %s: a 401 is an OAuth error, everything else JSON-RPC", e.Code)
		switch e.Reason {
		case refusal.UnknownTask, refusal.UnknownCursor:
			assert.Equal(t, 200, e.Status, "MCP-67 MCP-80: as a handler answers for a task, or a cursor, that never was")
		case refusal.Cancelled:
			assert.Equal(t, 200, e.Status, "ISOL-07: nothing was refused")
		default:
			assert.GreaterOrEqual(t, e.Status, 400, e.Code)
		}
		switch e.OAuth {
		case "invalid_token", "invalid_dpop_proof", "use_dpop_nonce":
			assert.Equal(t, 401, e.Status, e.Code)
		case "insufficient_scope":
			assert.Equal(t, 403, e.Status, e.Code)
		case "invalid_request":
			assert.Equal(t, 400, e.Status, e.Code)
		default:
			assert.Empty(t, e.OAuth, e.Code)
		}
	}
	for _, c := range explain.Causes() {
		assert.True(t, c.Reason == "" || codes[c.Reason], "%s: no reason %s", c.ID, c.Reason)
	}
	assert.Equal(t, "other", refusal.Reason("something new").Entry().Code)
	assert.Equal(t, 401, refusal.Reason("something new").Entry().Status, "what is in no catalogue opens nothing")
}

// Every reason that is declared is in the catalogue: the list must not depend on somebody remembering it.
func TestDeclaredReasons_OBS_07(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var declared, listed []refusal.Reason
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			words, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared = append(declared, refusal.Reason(words))
		}
		return true
	})
	for _, e := range refusal.Catalogue() {
		listed = append(listed, e.Reason)
	}
	assert.ElementsMatch(t, declared, listed)
}

func TestRefusal(t *testing.T) {
	inner := errors.New("inner")
	for _, row := range []struct {
		refusal *refusal.Refusal
		text    string
	}{
		{refusal.New(refusal.Expired, "", "", ""), "token expired"},
		{refusal.New(refusal.Expired, "exp", "", ""), "token expired: exp"},
		{refusal.New(refusal.Expired, "exp", "a\nb", ""), `token expired: exp, got "a\nb"`},
		{refusal.New(refusal.Expired, "exp", "1", "2"), `token expired: exp, got "1", expected 2`},
		{refusal.For(refusal.Expired, "exp", inner), "token expired: exp: inner"},
	} {
		assert.Equal(t, row.text, row.refusal.Error())
		assert.ErrorIs(t, row.refusal, refusal.Expired)
		assert.NotErrorIs(t, row.refusal, refusal.Unavailable)
		assert.Equal(t, row.refusal.Err != nil, errors.Is(row.refusal, inner))
		assert.Equal(t, refusal.Expired, row.refusal.Said())
		assert.Equal(t, 401, row.refusal.Status())
		assert.Equal(t, "invalid_token", row.refusal.OAuth())
		assert.Equal(t, "token expired", refusal.Expired.Error())
		assert.Equal(t, "clock", row.refusal.Because("clock").Cause)
		assert.Same(t, row.refusal, row.refusal.Because("clock"))
	}
}

// Only what nobody knows is no answer.
func TestDoubt(t *testing.T) {
	for _, e := range refusal.Catalogue() {
		doubt := e.Reason == refusal.Unavailable || e.Reason == refusal.Policy
		assert.Equal(t, doubt, refusal.New(e.Reason, "", "", "").IsDoubt(), e.Code)
	}
}

// What nobody can judge yet is no fault of the token.
func TestUnsettled(t *testing.T) {
	r := refusal.New(refusal.UnknownKey, "kid", "k1", "")
	r.Unsettled = true
	assert.Equal(t, 503, r.Status())
	assert.Empty(t, r.OAuth())
	assert.Equal(t, refusal.Unavailable, r.Said())
	assert.ErrorIs(t, r, refusal.Unavailable)
	assert.ErrorIs(t, r, refusal.UnknownKey)
}

func TestByStatus(t *testing.T) {
	r := refusal.New(refusal.UnknownTask, "", "", "")
	assert.Equal(t, 200, r.Status())
	r.ByStatus = true
	assert.Equal(t, 400, r.Status())
	expired := refusal.New(refusal.Expired, "", "", "")
	expired.ByStatus = true
	assert.Equal(t, 401, expired.Status())
}
