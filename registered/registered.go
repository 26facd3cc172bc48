// Package registered asks an MCP server what it has, for [mcpauth.Middleware.Coverage]: at the start of a program, or in a test.
//
//	has, err := registered.By(ctx, server.NewStreamableHTTPServer(backend)) // the handler that Wrap is given
//	if err == nil {
//		err = auth.Coverage(has).Err()
//	}
package registered

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/inprocess"
)

// maxReply bounds a page of a list, in bytes, and maxPages how many there may be.
const (
	maxReply = 16 << 20
	maxPages = 10_000
)

// endpoint is where the server is asked: on loopback, which servers accept that look at the Host.
const endpoint = "http://localhost/mcp"

const (
	legacy     = "2025-11-25"
	modern     = "2026-07-28"
	clientInfo = `{"name":"mcpauth","version":"1"}`
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":` + clientInfo + `}}`
	meta       = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientInfo":` + clientInfo + `,"io.modelcontextprotocol/clientCapabilities":{}}`
)

// By asks a handler of the Streamable HTTP transport for all pages of its lists, in process and as a client does. It is
// the handler that [mcpauth.Middleware.Wrap] is given: it sees no caller, and must show all that it has.
func By(ctx context.Context, handler http.Handler) (mcpauth.Registered, error) {
	s := &server{client: http.Client{Transport: inprocess.Transport{Handler: handler}}}
	defer s.leave(context.WithoutCancel(ctx))
	var has mcpauth.Registered
	if err := s.greet(ctx); err != nil {
		return has, err
	}
	for _, list := range []struct {
		method, member, name string
		into                 *[]string
	}{
		{"tools/list", "tools", "name", &has.Tools},
		{"prompts/list", "prompts", "name", &has.Prompts},
		{"resources/list", "resources", "uri", &has.Resources},
		{"resources/templates/list", "resourceTemplates", "uriTemplate", &has.Templates},
	} {
		names, err := s.list(ctx, list.method, list.member, list.name)
		if err != nil {
			return has, fmt.Errorf("registered: %s: %w", list.method, err)
		}
		*list.into = names
	}
	return has, nil
}

// server is one that is asked.
type server struct {
	client  http.Client
	session string
	modern  bool
}

// greet begins a session, if the server speaks a revision that has them.
func (s *server) greet(ctx context.Context) error {
	answer, header, err := s.post(ctx, "initialize", initialize)
	if err != nil {
		return fmt.Errorf("registered: %w", err)
	}
	if s.modern = answer.Result == nil; s.modern {
		return nil
	}
	s.session = header.Get("Mcp-Session-Id")
	_, _, err = s.post(ctx, "notifications/initialized", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return err
}

// leave ends the session.
func (s *server) leave(ctx context.Context) {
	if s.session == "" {
		return
	}
	if answer, err := s.do(ctx, http.MethodDelete, "", ""); err == nil {
		_ = answer.Body.Close()
	}
}

// message is what matters of a JSON-RPC response.
type message struct {
	Result map[string]json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

const methodNotFound = -32601

// list returns the names of all pages; none for a list that the server does not have.
func (s *server) list(ctx context.Context, method, member, name string) (names []string, err error) {
	cursor := ""
	for range maxPages {
		var params []string
		if s.modern {
			params = append(params, meta)
		}
		if cursor != "" {
			quoted, _ := json.Marshal(cursor)
			params = append(params, `"cursor":`+string(quoted))
		}
		answer, _, err := s.post(ctx, method, `{"jsonrpc":"2.0","id":2,"method":"`+method+`","params":{`+strings.Join(params, ",")+`}}`)
		switch {
		case err != nil:
			return nil, err
		case answer.Error != nil && answer.Error.Code == methodNotFound:
			return nil, nil
		case answer.Result == nil:
			return nil, errors.New("the server does not answer: give the handler that Wrap is given, of the Streamable HTTP transport")
		}
		var entries []map[string]json.RawMessage
		if err := json.Unmarshal(answer.Result[member], &entries); err != nil {
			return nil, err
		}
		for _, entry := range entries {
			var text string
			if err := json.Unmarshal(entry[name], &text); err != nil {
				return nil, err
			}
			names = append(names, text)
		}
		next := ""
		_ = json.Unmarshal(answer.Result["nextCursor"], &next) // none, or null
		if next == "" {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		if next == cursor {
			return nil, errors.New("a page follows itself")
		}
		cursor = next
	}
	return nil, errors.New("the list has no end")
}

func (s *server) do(ctx context.Context, verb, method, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, verb, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	switch {
	case s.modern:
		r.Header.Set("Mcp-Method", method)
		r.Header.Set("MCP-Protocol-Version", modern)
	case method != "initialize":
		r.Header.Set("MCP-Protocol-Version", legacy)
	}
	if s.session != "" {
		r.Header.Set("Mcp-Session-Id", s.session)
	}
	return s.client.Do(r)
}

// post sends a message and reads the response to it, if there is one.
func (s *server) post(ctx context.Context, method, body string) (m message, header http.Header, err error) {
	answer, err := s.do(ctx, http.MethodPost, method, body)
	if err != nil {
		return m, nil, err
	}
	defer answer.Body.Close()
	limited := io.LimitReader(answer.Body, maxReply)
	if mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); mediaType == "text/event-stream" {
		return firstResponse(limited), answer.Header, nil
	}
	text, err := io.ReadAll(limited)
	_ = json.Unmarshal(text, &m) // what is no response says nothing
	return m, answer.Header, err
}

// firstResponse reads an event stream up to the first event that is a response.
func firstResponse(stream io.Reader) (m message) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxReply)
	var event bytes.Buffer
	for lines.Scan() {
		line := lines.Text()
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			event.WriteString(data)
			continue
		}
		if line != "" {
			continue
		}
		m = message{}
		if json.Unmarshal(event.Bytes(), &m) == nil && (m.Result != nil || m.Error != nil) {
			return m
		}
		event.Reset()
	}
	return message{}
}
