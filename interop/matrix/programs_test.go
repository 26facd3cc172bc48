package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/node"
)

// opener reads what a program prints for its user. When that contains an
// authorization URL, it does what the user would: open it in the browser, and
// let the browser go back to the program.
type opener struct {
	ctx     context.Context
	browser *authservers.Browser
	denied  context.CancelFunc // called after the program was told that consent was refused

	mu     sync.Mutex
	text   bytes.Buffer
	opened map[string]bool
	walks  sync.WaitGroup
}

var authorizationURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/\S*[?&]redirect_uri=\S+\s`)

// Write never fails: the program's output is its own business.
func (o *opener) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(text)
	for _, found := range authorizationURL.FindAllString(o.text.String(), -1) {
		found = strings.TrimSpace(found)
		if o.opened[found] {
			continue
		}
		o.opened[found] = true
		o.walks.Go(func() { o.open(found) })
	}
	return len(text), nil
}

func (o *opener) open(authorization string) {
	back, err := o.browser.Walk(o.ctx, authorization)
	if err != nil {
		return // the program waits in vain, and says so
	}
	// Some programs listen only after they have printed the URL: a person is slower.
	for range 400 {
		request, err := http.NewRequestWithContext(o.ctx, http.MethodGet, back.String(), nil)
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-o.ctx.Done():
			return
		}
	}
	if back.Query().Has("error") && o.denied != nil {
		o.denied()
	}
}

func (o *opener) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newOpener(ctx context.Context, browser *authservers.Browser) *opener {
	return &opener{ctx: ctx, browser: browser, opened: map[string]bool{}}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// mcpRemote is mcp-remote, a program between a client that knows only standard
// input and output, here the go-sdk's, and a server with authorization.
func mcpRemote(t *testing.T) client {
	return client{
		name:    "mcp-remote",
		version: node.Version(t, "mcp-remote"),
		run: func(t *testing.T, j job) []report {
			return drive(t, &remoteSession{job: j, port: freePort(t), home: t.TempDir()}, j)
		},
	}
}

type remoteSession struct {
	job        job
	port, home string
	session    *sdk.ClientSession
	screen     *opener
}

func (s *remoteSession) connect(ctx context.Context) error {
	arguments := []string{node.Path("node_modules", "mcp-remote", "dist", "proxy.js"), s.job.url, s.port,
		"--host", "127.0.0.1", "--transport", "http-only", "--auth-timeout", "30"}
	if s.job.clientID != "" {
		arguments = append(arguments, "--static-oauth-client-info", fmt.Sprintf(`{"client_id":%q}`, s.job.clientID))
	}
	command := exec.Command("node", arguments...)
	command.Env = append(os.Environ(), "MCP_REMOTE_CONFIG_DIR="+s.home, "BROWSER=true")
	s.screen = newOpener(ctx, s.job.browser)
	command.Stderr = s.screen
	// A refusal is told to the person and not to the client, which waits in vain. Once
	// it is connected it is told.
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	s.screen.denied = cancel
	own := sdk.NewClient(&sdk.Implementation{Name: "interop", Version: "1.0.0"}, nil)
	session, err := own.Connect(ctx, &sdk.CommandTransport{Command: command, TerminateDuration: time.Second}, nil)
	if err != nil {
		return fmt.Errorf("%w: %s", err, refusal(s.screen.String()))
	}
	s.session = session
	return nil
}

func (s *remoteSession) list(ctx context.Context) ([]string, error) { return listWith(ctx, s.session) }

func (s *remoteSession) call(ctx context.Context, tool string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	return callWith(ctx, s.session, tool)
}

func (s *remoteSession) close() {
	if s.session != nil {
		_ = s.session.Close() // the test is over, whatever it says
	}
	s.screen.walks.Wait()
}

// refusal is the line that tells why authorization failed, or else the last.
func refusal(screen string) string {
	for line := range strings.Lines(screen) {
		if strings.Contains(line, "Authorization failed") {
			return strings.TrimSpace(line)
		}
	}
	return lastLine(screen)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// inspector is the command line of MCP Inspector. Each step is a run of its
// own, and what it learned is kept in a file between them.
func inspector(t *testing.T) client {
	program := node.Newer(t)
	return client{
		name:    "Inspector CLI",
		version: node.Version(t, "@modelcontextprotocol/inspector"),
		run: func(t *testing.T, j job) []report {
			s := &inspectorSession{job: j, node: program, port: freePort(t), home: t.TempDir()}
			if j.redirects != nil {
				j.redirects(s.callback())
			}
			return drive(t, s, j)
		},
	}
}

type inspectorSession struct {
	job              job
	node, port, home string
	listed           []string // what connect got
}

// connect lists: the Inspector connects for each step anew.
func (s *inspectorSession) connect(ctx context.Context) (err error) {
	s.listed, err = s.list(ctx)
	return err
}

func (s *inspectorSession) list(ctx context.Context) ([]string, error) {
	if s.listed != nil {
		return s.listed, nil
	}
	output, err := s.invoke(ctx, "--method", "tools/list")
	if err != nil {
		return nil, err
	}
	var result struct{ Tools []struct{ Name string } }
	if err := decodeResult(output, &result); err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func (s *inspectorSession) call(ctx context.Context, tool string) (string, error) {
	output, err := s.invoke(ctx, "--method", "tools/call", "--tool-name", tool)
	if err != nil {
		return "", err
	}
	var result struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := decodeResult(output, &result); err != nil {
		return "", err
	}
	if result.IsError || len(result.Content) != 1 {
		return "", errors.New("the tool failed")
	}
	return result.Content[0].Text, nil
}

// decodeResult takes the last JSON object of the output.
func decodeResult(output []byte, into any) error {
	start := bytes.IndexByte(output, '{')
	if start < 0 {
		return errors.New("no result")
	}
	var envelope struct{ Result json.RawMessage }
	if err := json.Unmarshal(output[start:], &envelope); err == nil && envelope.Result != nil {
		return json.Unmarshal(envelope.Result, into)
	}
	return json.Unmarshal(output[start:], into)
}

func (s *inspectorSession) callback() string {
	return "http://127.0.0.1:" + s.port + "/oauth/callback"
}

func (s *inspectorSession) invoke(ctx context.Context, arguments ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	arguments = append([]string{node.Path("node_modules", "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js"),
		"--cli", "--server-url", s.job.url, "--transport", "http", "--format", "json",
		"--callback-url", s.callback()}, arguments...)
	if s.job.clientID != "" {
		arguments = append(arguments, "--client-id", s.job.clientID)
	}
	if s.job.secret != "" {
		arguments = append(arguments, "--client-secret", s.job.secret)
	}
	command := exec.CommandContext(ctx, s.node, arguments...)
	command.Env = append(os.Environ(), "HOME="+s.home, "BROWSER=true", "MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file")
	screen := newOpener(ctx, s.job.browser)
	var output bytes.Buffer
	command.Stdin = strings.NewReader("y\n") // the answer when it asks whether to step up
	command.Stderr = screen
	command.Stdout = &output
	command.WaitDelay = time.Second
	err := command.Run()
	cancel()
	screen.walks.Wait()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(screen.String()))
	}
	return output.Bytes(), nil
}

func (s *inspectorSession) close() {}
