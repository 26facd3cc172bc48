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
	"strings"
	"time"
)

// live talks to a running MCP server as a client does, without redirects and
// without a proxy, so that what answers is the server.
type live struct {
	url    string
	client *http.Client
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

// tools lists the tools of the server, in the revision that it speaks.
func (l *live) tools(ctx context.Context, token string) ([]string, error) {
	hello, err := l.post(ctx, token, initialize)
	if err != nil {
		return nil, err
	}
	if hello.status == http.StatusOK && hello.message != nil {
		session := hello.header.Get("Mcp-Session-Id")
		headers := []string{"MCP-Protocol-Version", legacyVersion, "Mcp-Session-Id", session}
		if _, err := l.post(ctx, token, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, headers...); err != nil {
			return nil, err
		}
		if names, err := l.pages(ctx, token, "", headers); err == nil {
			return names, nil
		}
	}
	return l.pages(ctx, token, modernMeta, []string{"MCP-Protocol-Version", modernVersion, "Mcp-Method", "tools/list"})
}

// maxPages bounds a list.
const maxPages = 100

func (l *live) pages(ctx context.Context, token, meta string, headers []string) (names []string, err error) {
	cursor := ""
	for range maxPages {
		params := meta
		if cursor != "" {
			quoted, _ := json.Marshal(cursor)
			if params != "" {
				params += ","
			}
			params += `"cursor":` + string(quoted)
		}
		answer, err := l.post(ctx, token, `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{`+params+`}}`, headers...)
		if err != nil {
			return nil, err
		}
		var list struct {
			Result *struct {
				Tools []struct {
					Name string `json:"name"`
				} `json:"tools"`
				NextCursor string `json:"nextCursor"`
			} `json:"result"`
		}
		if answer.status != http.StatusOK || json.Unmarshal(answer.message, &list) != nil || list.Result == nil {
			return nil, &statusError{answer.status}
		}
		for _, tool := range list.Result.Tools {
			names = append(names, tool.Name)
		}
		if cursor = list.Result.NextCursor; cursor == "" {
			break
		}
	}
	return names, nil
}

// statusError is a list that was refused.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("%v: status %d", errRefused, e.status)
}

func (e *statusError) Unwrap() error { return errRefused }
