package differential

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

// harmless are members of params that name no target and choose no behaviour
// which anybody is granted or refused: what they are called in another case
// makes no difference to a decision.
var harmless = map[string]bool{
	"progress": true, "total": true, "message": true, // of notifications/progress
	"reason": true, // of notifications/cancelled
}

// TestVocabulary is MCP-01 from the other side: every member that an SDK reads
// in the objects which decide something is refused in any other case. A member
// that a new version of an SDK adds fails here until somebody has thought of it.
func TestVocabulary(t *testing.T) {
	const params = `{"jsonrpc":"2.0","id":1,"method":"m","params":%s}`
	for _, tt := range []struct {
		object string
		body   string
		types  []any
	}{
		{"params", fmt.Sprintf(params, `{%q:1}`), []any{
			mcpgo.CallToolRequest{}.Params, mcpgo.GetPromptRequest{}.Params, mcpgo.ReadResourceRequest{}.Params,
			mcpgo.SubscribeRequest{}.Params, mcpgo.UnsubscribeRequest{}.Params, mcpgo.CompleteRequest{}.Params,
			mcpgo.GetTaskRequest{}.Params, mcpgo.TaskResultRequest{}.Params, mcpgo.CancelTaskRequest{}.Params,
			mcpgo.SubscriptionsListenRequest{}.Params, mcpgo.InitializeRequest{}.Params, mcpgo.ListToolsRequest{}.Params,
			mcpgo.SetLevelRequest{}.Params, mcpgo.CancelledNotification{}.Params, mcpgo.ProgressNotification{}.Params,
			sdk.CallToolParamsRaw{}, sdk.GetPromptParams{}, sdk.ReadResourceParams{}, sdk.SubscribeParams{}, sdk.UnsubscribeParams{},
			sdk.CompleteParams{}, sdk.SubscriptionsListenParams{}, sdk.InitializeParams{}, sdk.ListToolsParams{}, sdk.ListResourcesParams{},
			sdk.ListResourceTemplatesParams{}, sdk.ListPromptsParams{}, sdk.SetLoggingLevelParams{}, sdk.CancelledParams{}, sdk.ProgressNotificationParams{},
		}},
		{"params.ref", fmt.Sprintf(params, `{"ref":{%q:1}}`), []any{mcpgo.PromptReference{}, mcpgo.ResourceReference{}, sdk.CompleteReference{}}},
		{"params.notifications", fmt.Sprintf(params, `{"notifications":{%q:1}}`), []any{mcpgo.SubscriptionFilter{}, sdk.NotificationSubscriptions{}}},
		{"the envelope", `{"jsonrpc":"2.0","id":1,"method":"m",%q:1}`, []any{mcpgo.JSONRPCRequest{}, mcpgo.JSONRPCNotification{}, mcpgo.JSONRPCResponse{}, mcpgo.JSONRPCError{}}},
	} {
		t.Run("MCP-01 "+tt.object, func(t *testing.T) {
			names := map[string]bool{}
			for _, v := range tt.types {
				memberNamesOf(reflect.TypeOf(v), names)
			}
			require.NotEmpty(t, names)
			for name := range names {
				_, err := jsonrpc.Parse(fmt.Appendf(nil, tt.body, strings.ToUpper(name)))
				if !harmless[name] {
					assert.ErrorIs(t, err, jsonrpc.ErrCase, "%s, which an SDK reads in %s, is not guarded", name, tt.object)
				}
			}
		})
	}
	for _, name := range []string{
		mcpgo.MetaKeyProtocolVersion, mcpgo.MetaKeyClientInfo, mcpgo.MetaKeyClientCapabilities, mcpgo.MetaKeyLogLevel,
		sdk.MetaKeyProtocolVersion, sdk.MetaKeyClientInfo, sdk.MetaKeyClientCapabilities, sdk.MetaKeyLogLevel,
	} {
		_, err := jsonrpc.Parse(fmt.Appendf(nil, params, fmt.Sprintf(`{"_meta":{%q:1}}`, strings.ToUpper(name))))
		assert.ErrorIs(t, err, jsonrpc.ErrCase, "MCP-01 %s in params._meta", name)
	}
}

// memberNamesOf collects the names of the members that encoding/json fills.
func memberNamesOf(t reflect.Type, names map[string]bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name != "":
			names[name] = true
		case field.Anonymous:
			memberNamesOf(field.Type, names)
		case field.IsExported():
			names[field.Name] = true
		}
	}
}
