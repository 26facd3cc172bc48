package differential

import (
	"bytes"
	"encoding/json"
	"errors"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	sdkrpc "github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	segmentio "github.com/segmentio/encoding/json"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

// readMCPGo takes the steps of mcp-go v1.2.1: StreamableHTTPServer.handlePost
// tells responses from the rest, detectRequestEra finds the version, and
// MCPServer.HandleMessage decodes the envelope, then the whole again into the
// method's request type. The decoders are encoding/json and the types'
// UnmarshalJSON.
func readMCPGo(body []byte) (typed, error) {
	var post struct {
		ID     json.RawMessage `json:"id"`
		Result json.RawMessage `json:"result,omitempty"`
		Error  json.RawMessage `json:"error,omitempty"`
		Method mcpgo.MCPMethod `json:"method,omitempty"`
	}
	if err := json.Unmarshal(body, &post); err != nil {
		return typed{}, err
	}
	t := typed{Method: string(post.Method)}
	if post.Method == "" && post.ID != nil {
		t.Kind = jsonrpc.Response
		if string(post.ID) != "null" {
			t.ID = canonicalRaw(post.ID)
		}
		return t, nil
	}
	var era struct {
		Params struct {
			Meta *mcpgo.Meta `json:"_meta"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &era) == nil {
		version := era.Params.Meta.ProtocolVersion()
		t.Version = &version
	}
	var base struct {
		JSONRPC string          `json:"jsonrpc"`
		Method  mcpgo.MCPMethod `json:"method"`
		ID      any             `json:"id,omitempty"`
		Result  any             `json:"result,omitempty"`
	}
	if err := json.Unmarshal(body, &base); err != nil {
		return typed{}, err
	}
	switch {
	case base.JSONRPC != mcpgo.JSONRPC_VERSION:
		return typed{}, errors.New("version of JSON-RPC")
	case base.ID == nil:
		var n mcpgo.JSONRPCNotification
		err := json.Unmarshal(body, &n)
		t.Kind, t.Method = jsonrpc.Notification, n.Method
		return t, err
	case base.Result != nil:
		t.Kind = jsonrpc.Response
	}
	t.Method, t.ID = string(base.Method), canonical(base.ID)
	return t, mcpGoParams(body, &t)
}

// mcpGoParams is the switch in MCPServer.HandleMessage, as far as it is about
// methods with a target.
func mcpGoParams(body []byte, t *typed) (err error) {
	switch mcpgo.MCPMethod(t.Method) {
	case mcpgo.MethodToolsCall:
		var r mcpgo.CallToolRequest
		err = json.Unmarshal(body, &r)
		arguments := ""
		if r.Params.Arguments != nil {
			arguments = canonical(r.Params.Arguments)
		}
		t.Name, t.Arguments = &r.Params.Name, &arguments
	case mcpgo.MethodPromptsGet:
		var r mcpgo.GetPromptRequest
		err = json.Unmarshal(body, &r)
		t.Name, t.PromptArguments = &r.Params.Name, stringMap(r.Params.Arguments)
	case mcpgo.MethodResourcesRead:
		var r mcpgo.ReadResourceRequest
		err = json.Unmarshal(body, &r)
		t.URI = &r.Params.URI
	case mcpgo.MethodResourcesSubscribe:
		var r mcpgo.SubscribeRequest
		err = json.Unmarshal(body, &r)
		t.URI = &r.Params.URI
	case mcpgo.MethodResourcesUnsubscribe:
		var r mcpgo.UnsubscribeRequest
		err = json.Unmarshal(body, &r)
		t.URI = &r.Params.URI
	case mcpgo.MethodTasksGet:
		var r mcpgo.GetTaskRequest
		err = json.Unmarshal(body, &r)
		t.TaskID = &r.Params.TaskId
	case mcpgo.MethodTasksResult:
		var r mcpgo.TaskResultRequest
		err = json.Unmarshal(body, &r)
		t.TaskID = &r.Params.TaskId
	case mcpgo.MethodTasksCancel:
		var r mcpgo.CancelTaskRequest
		err = json.Unmarshal(body, &r)
		t.TaskID = &r.Params.TaskId
	case mcpgo.MethodCompletionComplete:
		var r mcpgo.CompleteRequest
		err = json.Unmarshal(body, &r)
		switch ref := r.Params.Ref.(type) {
		case mcpgo.PromptReference:
			t.RefType, t.RefName = &ref.Type, &ref.Name
		case mcpgo.ResourceReference:
			t.RefType, t.RefURI = &ref.Type, &ref.URI
		}
	case mcpgo.MethodSubscriptionsListen:
		var r mcpgo.SubscriptionsListenRequest
		err = json.Unmarshal(body, &r)
		n := r.Params.Notifications
		t.Listen = typedListen(n.ToolsListChanged, n.PromptsListChanged, n.ResourcesListChanged, n.ResourceSubscriptions)
	}
	return err
}

// readGoSDK takes the steps of go-sdk v1.8.0: streamableServerConn.servePOST
// tries an array, then jsonrpc.DecodeMessage, reads the version with
// extractRequestMeta, and the session decodes params into the method's type.
func readGoSDK(body []byte) (typed, error) {
	var batch []json.RawMessage
	if sdkUnmarshal(body, &batch) == nil {
		return typed{Method: "a batch"}, nil
	}
	message, err := sdkrpc.DecodeMessage(body)
	if err != nil {
		return typed{}, err
	}
	switch m := message.(type) {
	case *sdkrpc.Response:
		return typed{Kind: jsonrpc.Response, ID: sdkID(m.ID)}, nil
	case *sdkrpc.Request:
		t := typed{Kind: jsonrpc.Notification, Method: m.Method}
		if m.IsCall() {
			t.Kind, t.ID = jsonrpc.Request, sdkID(m.ID)
		}
		var meta struct {
			Meta sdk.Meta `json:"_meta"`
		}
		if len(m.Params) > 0 && sdkUnmarshal(m.Params, &meta) == nil {
			version, _ := meta.Meta[versionMember].(string)
			t.Version = &version
		}
		return t, goSDKParams(m, &t)
	}
	return typed{}, errors.New("no message")
}

// sdkUnmarshal is Unmarshal of the go-sdk's internal/json without the limit on
// depth, which is far above ours.
func sdkUnmarshal(data []byte, v any) error {
	d := segmentio.NewDecoder(bytes.NewReader(data))
	d.DontMatchCaseInsensitiveStructFields()
	return d.Decode(v)
}

func sdkID(id sdkrpc.ID) string {
	if n, ok := id.Raw().(int64); ok {
		return canonical(float64(n))
	}
	return canonical(id.Raw())
}

// goSDKParams is serverMethodInfos of the go-sdk, as far as it is about methods
// with a target.
func goSDKParams(m *sdkrpc.Request, t *typed) (err error) {
	if len(m.Params) == 0 {
		return nil
	}
	switch m.Method {
	case "tools/call":
		var p sdk.CallToolParamsRaw
		err = sdkUnmarshal(m.Params, &p)
		arguments := ""
		if string(p.Arguments) != "null" {
			arguments = canonicalRaw(p.Arguments)
		}
		t.Name, t.Arguments = &p.Name, &arguments
	case "prompts/get":
		var p sdk.GetPromptParams
		err = sdkUnmarshal(m.Params, &p)
		t.Name, t.PromptArguments = &p.Name, stringMap(p.Arguments)
	case "resources/read":
		var p sdk.ReadResourceParams
		err = sdkUnmarshal(m.Params, &p)
		t.URI = &p.URI
	case "resources/subscribe":
		var p sdk.SubscribeParams
		err = sdkUnmarshal(m.Params, &p)
		t.URI = &p.URI
	case "resources/unsubscribe":
		var p sdk.UnsubscribeParams
		err = sdkUnmarshal(m.Params, &p)
		t.URI = &p.URI
	case "completion/complete":
		var p sdk.CompleteParams
		err = sdkUnmarshal(m.Params, &p)
		if p.Ref != nil {
			t.RefType, t.RefName, t.RefURI = &p.Ref.Type, &p.Ref.Name, &p.Ref.URI
		}
	case "subscriptions/listen":
		var p sdk.SubscriptionsListenParams
		err = sdkUnmarshal(m.Params, &p)
		if n := p.Notifications; n != nil {
			t.Listen = typedListen(n.ToolsListChanged, n.PromptsListChanged, n.ResourcesListChanged, n.ResourceSubscriptions)
		}
	}
	return err
}

func stringMap(m map[string]string) *string {
	values := make(map[string]any, len(m))
	for name, value := range m {
		values[name] = value
	}
	s := canonical(values)
	return &s
}

func typedListen(tools, prompts, resources bool, uris []string) *string {
	s := listenText(tools, prompts, resources, uris)
	return &s
}
