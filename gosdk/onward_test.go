package gosdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Each call of a session has the facts and the token of its own request, and neither when that is over.
func TestOnward_EXCH_02_EXCH_03(t *testing.T) {
	for name, stateless := range map[string]bool{"stateful": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			var got, shown []string
			var kept []context.Context
			s := newSiteOf(t, stateless, func(i *mcpauth.Issuer) { i.AllowTokenExchange = true }, gosdk.Middleware,
				func(next mcp.MethodHandler) mcp.MethodHandler {
					return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
						if method == "tools/call" {
							token, _, err := onward.Token(ctx)
							assert.NoError(t, err)
							assert.NoError(t, onward.Look(ctx, func(facts onward.Facts) {
								assert.Equal(t, "look", facts.Calls.([]mcpauth.Call)[0].Name)
							}))
							got, kept = append(got, token), append(kept, context.WithoutCancel(ctx))
							for _, v := range []any{ctx, req, req.GetExtra(), req.GetExtra().TokenInfo, req.GetExtra().TokenInfo.Extra} {
								encoded, _ := json.Marshal(v)
								shown = append(shown, fmt.Sprintf("%v %+v %#v %s", v, v, v, encoded))
							}
						}
						return next(ctx, method, req)
					}
				})
			client := &wallet{site: s}
			client.hold("a")
			first := client.token
			session := client.connect(t)
			require.NoError(t, call(t, session, "look"))
			client.hold("a", "b")
			require.NoError(t, call(t, session, "look"))
			assert.Equal(t, []string{first, client.token}, got)
			require.NotEmpty(t, shown)
			for _, text := range shown {
				assert.NotContains(t, text, first[len(first)-40:])
				assert.NotContains(t, text, client.token[len(client.token)-40:])
			}
			var err error
			for err == nil { // the client has its answer before the request ends
				runtime.Gosched()
				_, _, err = onward.Token(kept[0])
			}
			assert.Equal(t, onward.ErrOver, err)
		})
	}
}

// Where Middleware was forgotten there is nothing, rather than what an old request had.
func TestOnward_ForgottenMiddleware_EXCH_02(t *testing.T) {
	s := newSiteOf(t, false, func(i *mcpauth.Issuer) { i.AllowTokenExchange = true }, func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			_, _, err := onward.Token(ctx)
			assert.Equal(t, onward.ErrNone, err)
			return next(ctx, method, req)
		}
	})
	client := &wallet{site: s}
	client.hold("a")
	require.NoError(t, call(t, client.connect(t), "look"))
}
