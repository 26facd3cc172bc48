package main

import (
	"encoding/json"
	"net/http"
)

const (
	version   = "2026-07-28"
	extension = "io.modelcontextprotocol/tasks"
)

// object is any JSON object.
type object = map[string]any

// request is what the server reads of a JSON-RPC request.
type request struct {
	ID     any    `json:"id"`
	Method string `json:"method"`
	Params struct {
		Name      string                    `json:"name"`
		TaskID    string                    `json:"taskId"`
		Responses map[string]map[string]any `json:"inputResponses"`
		Arguments struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"arguments"`
		Meta struct {
			Version      string `json:"io.modelcontextprotocol/protocolVersion"`
			Capabilities struct {
				Extensions object `json:"extensions"`
			} `json:"io.modelcontextprotocol/clientCapabilities"`
		} `json:"_meta"`
	} `json:"params"`
}

// knowsTasks reports whether the client declared the extension.
func (r *request) knowsTasks() bool { return r.Params.Meta.Capabilities.Extensions[extension] != nil }

// target is what Mcp-Name must repeat.
func (r *request) target() string {
	switch r.Method {
	case "tools/call":
		return r.Params.Name
	case "tasks/get", "tasks/update", "tasks/cancel":
		return r.Params.TaskID
	}
	return ""
}

// failure is a JSON-RPC error and the HTTP status that goes with it.
type failure struct {
	status  int
	code    int
	message string
	data    any
}

var (
	unknownMethod = &failure{status: http.StatusNotFound, code: -32601, message: "method not found"}
	unknownTask   = &failure{status: http.StatusOK, code: -32602, message: "unknown task"}
	unknownTool   = &failure{status: http.StatusOK, code: -32602, message: "unknown tool"}
	mismatch      = &failure{status: http.StatusBadRequest, code: -32020, message: "header mismatch"}
	unnegotiated  = &failure{
		status: http.StatusBadRequest, code: -32021, message: "missing required client capability",
		data: object{"requiredCapabilities": object{"extensions": object{extension: object{}}}},
	}
)

// ServeHTTP answers one request with one JSON document.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req request
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	result, failed := s.dispatch(r.Header, &req)
	answer, status := object{"jsonrpc": "2.0", "id": req.ID}, http.StatusOK
	if failed != nil {
		status = failed.status
		described := object{"code": failed.code, "message": failed.message}
		if failed.data != nil {
			described["data"] = failed.data
		}
		answer["error"] = described
	} else {
		if result["resultType"] == nil {
			result["resultType"] = "complete"
		}
		answer["result"] = result
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client has gone
}

// dispatch checks that the headers repeat the body, and calls the method.
func (s *server) dispatch(h http.Header, r *request) (object, *failure) {
	if h.Get("Mcp-Method") != r.Method || h.Get("Mcp-Protocol-Version") != r.Params.Meta.Version || h.Get("Mcp-Name") != r.target() {
		return nil, mismatch
	}
	switch r.Method {
	case "server/discover":
		return object{
			"supportedVersions": []string{version}, "ttlMs": 0, "cacheScope": "public",
			"capabilities": object{"tools": object{}, "extensions": object{extension: object{}}},
			"serverInfo":   object{"name": "tasks", "version": "1.0.0"},
		}, nil
	case "tools/list":
		return object{"tools": listed(), "ttlMs": 0, "cacheScope": "public"}, nil
	case "tools/call":
		return s.call(r)
	case "tasks/get", "tasks/update", "tasks/cancel":
		if !r.knowsTasks() {
			return nil, unnegotiated
		}
		return s.onTask(r)
	}
	return nil, unknownMethod
}
