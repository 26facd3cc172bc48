package mcpauthtest_test

import (
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func TestMemoryStore_STORE_01(t *testing.T) {
	mcpauthtest.StoreConformance(t, mcpauth.MemoryStore())
}
