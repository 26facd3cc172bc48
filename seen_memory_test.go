package mcpauth_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What stays in memory of a verified token is what it was found to say. The token
// itself is gone, signature and all: a look into the memory of the process
// must not give an hour's worth of tokens away, and the bound of the memory is
// counted without them.
func TestSeenKeepsNoToken_TOK_62(t *testing.T) {
	const tokens, payload = 256, 8 << 10
	f := newFixture(t, nil)
	serve := func() {
		token := f.token(mcpauthtest.Claims{"padding": strings.Repeat("p", payload)})
		if f.call(token, "echo").Code != http.StatusOK {
			t.Error("refused")
		}
	}
	inUse := func() uint64 {
		var stats runtime.MemStats
		for range 3 { // pools are empty after the second
			runtime.GC()
		}
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	serve()
	before := inUse()
	for range tokens {
		serve()
	}
	kept := int(inUse()-before) / tokens
	runtime.KeepAlive(f)
	assert.Greater(t, kept, payload, "nothing was remembered")
	assert.Less(t, kept, payload*5/4+2048, "bytes for each token: more than its claims is kept")
}
