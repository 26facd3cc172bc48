package mcpauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// crowd is a bed whose handler begins a task with each call: its name stands in the
// call's argument "task".
func crowd(tb testing.TB, more ...func(*mcpauth.Config)) *taskBed {
	b := newTaskBed(tb, func(c *mcpauth.Config) {
		for _, change := range more {
			change(c)
		}
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Authenticated(), nil
		})
	})
	b.handler = b.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body, _ := io.ReadAll(r.Body)
		_, named, isCall := strings.Cut(string(body), `"task":"`)
		if !isCall {
			b.ran++
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			return
		}
		id, _, _ := strings.Cut(named, `"`)
		_, _ = io.WriteString(w, taskLegacy(id))
	}))
	return b
}

// starts has the bearer of a token begin a task with arguments of this many bytes.
func (b *taskBed) starts(token, id string, size int) {
	head := fmt.Sprintf(`{"task":%q,"filler":"`, id)
	arguments := head + strings.Repeat("a", max(size-len(head)-2, 0)) + `"}`
	w := b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":`+arguments+`}}`, "MCP-Protocol-Version: 2025-11-25")
	if w.Code != http.StatusOK {
		b.tb.Fatalf("status %d, body %s", w.Code, w.Body)
	}
}

// has asserts that tasks/get of a task is served to the bearer of a token.
func (b *taskBed) has(token, id string) {
	b.tb.Helper()
	b.ran = 0
	w := b.legacyTask(token, "tasks/get", id)
	b.served(w)
	assert.Equal(b.tb, `{"jsonrpc":"2.0","id":1,"result":{}}`, w.Body.String(), id)
}

// TestTaskQuota_STORE_05_MCP_83: whoever begins more tasks than there is room for
// loses its own, the longest unused first, and nobody else loses any.
func TestTaskQuota_STORE_05_MCP_83(t *testing.T) {
	foreign := mcpauthtest.Claims{"sub": "user-2", "scope": nil}
	for _, row := range []struct {
		name          string
		tasks, size   int
		kept, dropped int // the longest unused of the flood that is there still, and one that is not
	}{
		{"MCP-83 1,030 calls with 64 KiB of arguments", 1030, 64 << 10, 1030 - 64, 1030 - 65},
		{"STORE-05 100,001 tasks", 100_001, 0, 100_001 - 1000, 100_001 - 1001},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := crowd(t)
			owner, flooder := b.token(nil), b.token(foreign)
			b.starts(owner, "mine", 64<<10)
			for i := range row.tasks {
				b.starts(flooder, fmt.Sprint("flood-", i), row.size)
			}
			b.has(owner, "mine")
			b.has(flooder, fmt.Sprint("flood-", row.kept))
			b.has(flooder, fmt.Sprint("flood-", row.tasks-1))
			b.ran = 0
			b.unknown(b.legacyTask(flooder, "tasks/get", fmt.Sprint("flood-", row.dropped)))
			b.unknown(b.legacyTask(flooder, "tasks/get", "mine"))
		})
	}
}

// TestTaskSybils_STORE_05: many principals that each fill their own quota, of tasks or of
// bytes, push out one another's tasks and not the few of somebody else.
func TestTaskSybils_STORE_05(t *testing.T) {
	for _, row := range []struct {
		name                string
		sybils, tasks, size int
	}{
		{"STORE-05 110 with 1,000 tasks", 110, 1000, 0},
		{"STORE-05 20 with 4 MiB of arguments", 20, 64, 64 << 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := crowd(t)
			owner := b.token(nil)
			b.starts(owner, "mine", 1<<10)
			for i := range row.sybils {
				sybil := b.token(mcpauthtest.Claims{"sub": fmt.Sprint("sybil-", i), "scope": nil})
				for j := range row.tasks {
					b.starts(sybil, fmt.Sprint(i, "-", j), row.size)
				}
			}
			b.has(owner, "mine")
			b.has(b.token(mcpauthtest.Claims{"sub": fmt.Sprint("sybil-", row.sybils-1)}), fmt.Sprint(row.sybils-1, "-", row.tasks-1))
			b.starts(owner, "another", 0)
			b.has(owner, "another")
			b.has(owner, "mine")
		})
	}
}

// TestTaskQuotaOfClients_STORE_05_LIMITS_13: another client of the same user, with fewer
// rights, uses up its own share and not that of the first.
func TestTaskQuotaOfClients_STORE_05_LIMITS_13(t *testing.T) {
	b := crowd(t)
	owner, other := b.token(nil), b.token(mcpauthtest.Claims{"client_id": "client-2", "scope": nil})
	b.starts(owner, "mine", 1<<10)
	for i := range 1001 {
		b.starts(other, fmt.Sprint("flood-", i), 0)
	}
	b.has(owner, "mine")
	b.has(other, "mine")
	b.has(other, "flood-1")
	b.ran = 0
	b.unknown(b.legacyTask(other, "tasks/get", "flood-0"))
}
