package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// live talks to a running MCP server as a client does, without redirects and
// without a proxy, so that what answers is the server.
type live struct {
	url    string
	client *http.Client

	spoken []string // headers of the revision that the server speaks; nil before it was asked
	meta   string   // members of params that it demands
}

const (
	liveTimeout = 10 * time.Second
	maxReply    = 8 << 20
)

func newLive(url string) *live {
	return &live{url: url, client: &http.Client{
		Timeout:       liveTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is an answer of the server.
type reply struct {
	status    int
	header    http.Header
	body      []byte
	message   json.RawMessage // the JSON-RPC response in it, if there is one
	challenge string          // all of WWW-Authenticate
}

func (l *live) get(ctx context.Context, url string) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	return l.do(r)
}

const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
	clientInfo    = `{"name":"mcpauth","version":"1"}`
	initialize    = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacyVersion + `","capabilities":{},"clientInfo":` + clientInfo + `}}`
	modernMeta    = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientInfo":` + clientInfo + `,"io.modelcontextprotocol/clientCapabilities":{}}`
)

// post sends a JSON-RPC message with a token, "" for none, and further headers in pairs.
func (l *live) post(ctx context.Context, token, body string, headers ...string) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return l.do(r)
}

func (l *live) do(r *http.Request) (*reply, error) {
	response, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	out := &reply{status: response.StatusCode, header: response.Header, challenge: strings.Join(response.Header.Values("WWW-Authenticate"), ", ")}
	body := io.LimitReader(response.Body, maxReply)
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); mediaType == "text/event-stream" {
		out.message = firstResponse(body)
		return out, nil
	}
	if out.body, err = io.ReadAll(body); err == nil && json.Valid(out.body) {
		out.message = out.body
	}
	return out, err
}

// firstResponse reads an event stream up to the first event that is a response.
func firstResponse(stream io.Reader) json.RawMessage {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxReply)
	event := ""
	for lines.Scan() {
		line := lines.Text()
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			event += data
			continue
		}
		if line != "" {
			continue
		}
		var response struct{ Result, Error json.RawMessage }
		if json.Unmarshal([]byte(event), &response) == nil && (response.Result != nil || response.Error != nil) {
			return json.RawMessage(event)
		}
		event = ""
	}
	return nil
}

// errRefused says that the server did not serve a list.
var errRefused = errors.New("the server does not list its tools")

// listKind is one of the lists of a server.
type listKind struct{ method, member, name string }

// listed are the lists that a policy is about.
var listed = []listKind{
	{"tools/list", "tools", "name"},
	{"prompts/list", "prompts", "name"},
	{"resources/list", "resources", "uri"},
	{"resources/templates/list", "resourceTemplates", "uriTemplate"},
}

// list names what the server lists, in the revision that it speaks. A list that it
// does not have is empty.
func (l *live) list(ctx context.Context, token string, kind listKind) ([]string, error) {
	if l.spoken == nil {
		if err := l.greet(ctx, token); err != nil {
			return nil, err
		}
	}
	return l.pages(ctx, token, kind)
}

// greet finds out which revision the server speaks, and begins a session where that has any.
func (l *live) greet(ctx context.Context, token string) error {
	hello, err := l.post(ctx, token, initialize)
	if err != nil {
		return err
	}
	l.meta, l.spoken = modernMeta, []string{"MCP-Protocol-Version", modernVersion}
	if hello.status != http.StatusOK || hello.message == nil {
		return nil
	}
	headers := []string{"MCP-Protocol-Version", legacyVersion, "Mcp-Session-Id", hello.header.Get("Mcp-Session-Id")}
	if _, err := l.post(ctx, token, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, headers...); err != nil {
		return err
	}
	ping, err := l.post(ctx, token, `{"jsonrpc":"2.0","id":2,"method":"ping"}`, headers...)
	if err == nil && ping.status == http.StatusOK {
		l.meta, l.spoken = "", headers
	}
	return err
}

// maxPages bounds a list.
const maxPages = 100

func (l *live) pages(ctx context.Context, token string, kind listKind) (names []string, err error) {
	cursor, headers := "", l.spoken
	if l.meta != "" {
		headers = append(slices.Clone(headers), "Mcp-Method", kind.method)
	}
	for range maxPages {
		params := l.meta
		if cursor != "" {
			quoted, _ := json.Marshal(cursor)
			if params != "" {
				params += ","
			}
			params += `"cursor":` + string(quoted)
		}
		answer, err := l.post(ctx, token, `{"jsonrpc":"2.0","id":2,"method":"`+kind.method+`","params":{`+params+`}}`, headers...)
		if err != nil {
			return nil, err
		}
		page, next, err := readPage(answer, kind)
		if err != nil {
			return nil, err
		}
		names = append(names, page...)
		if cursor = next; cursor == "" {
			break
		}
	}
	return names, nil
}

// methodNotFound is what a server answers that has no list of a kind.
const methodNotFound = -32601

func readPage(answer *reply, kind listKind) (names []string, next string, err error) {
	var message struct {
		Result map[string]json.RawMessage `json:"result"`
		Error  struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(answer.message, &message) != nil || message.Result == nil {
		if message.Error.Code == methodNotFound {
			return nil, "", nil
		}
		return nil, "", &statusError{answer.status}
	}
	var entries []map[string]any
	err = json.Unmarshal(message.Result[kind.member], &entries) // without the member it is no list
	if text := message.Result["nextCursor"]; err == nil && text != nil {
		err = json.Unmarshal(text, &next)
	}
	if err != nil || answer.status != http.StatusOK {
		return nil, "", &statusError{answer.status}
	}
	for _, entry := range entries {
		if name, ok := entry[kind.name].(string); ok {
			names = append(names, name)
		}
	}
	return names, next, nil
}

// statusError is a list that was refused.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("%v: status %d", errRefused, e.status)
}

func (e *statusError) Unwrap() error { return errRefused }
