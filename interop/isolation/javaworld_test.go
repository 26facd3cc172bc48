package isolation_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// javaPatience is how long a test waits for what must happen. Only a failure
// takes so long.
const javaPatience = 20 * time.Second

// javaSource is the program in Java, by its files.
var javaSource = []string{"java/pom.xml", "java/src/main/java/Server.java"}

// javaBuild lets Maven build the program, once for each version of it, into the
// user's cache: the source stays clean, and later runs need no Maven.
var javaBuild = sync.OnceValues(func() (folder string, err error) {
	version := sha256.New()
	for _, file := range javaSource {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(version, "%d %s", len(text), text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "mcpauth-interop")
	folder = filepath.Join(cache, fmt.Sprintf("java-isolation-%x", version.Sum(nil)[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	building, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(building) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	maven := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", javaSource[0], "-Doutput="+building, "process-classes")
	maven.WaitDelay = 10 * time.Second
	if output, err := maven.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	if err := os.Rename(building, folder); err != nil && !errors.Is(err, os.ErrExist) {
		if _, missing := os.Stat(folder); missing != nil { // nobody else was faster
			return "", err
		}
	}
	return folder, nil
})

// javaServer starts the program and returns its URL. It skips the test where that
// cannot be, and fails it if MCPAUTH_INTEROP is "required".
func javaServer(t *testing.T) (origin string) {
	t.Helper()
	unavailable := func(reason string) {
		t.Helper()
		if os.Getenv("MCPAUTH_INTEROP") == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(program + " is not installed")
		}
	}
	folder, err := javaBuild()
	if err != nil {
		unavailable("Maven could not build the server in Java: " + err.Error())
	}
	classes := filepath.Join(folder, "classes") + string(os.PathListSeparator) + filepath.Join(folder, "lib", "*")
	java := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes, "Server")
	ready := process.Start(t, java, "STAGE="+javaStageURL())
	return fmt.Sprintf("http://127.0.0.1:%d", ready.Port)
}

// javaStage is where the tools in Java meet the test: they wait at its gates and
// note what they did, by the tag of the call.
type javaStage struct {
	lock  sync.Mutex
	next  chan struct{} // closed when anything has happened
	gates map[string]chan struct{}
	notes map[string][]string
}

var theJavaStage = &javaStage{next: make(chan struct{}), gates: map[string]chan struct{}{}, notes: map[string][]string{}}

// javaStageURL serves it.
var javaStageURL = sync.OnceValue(func() string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /note", func(_ http.ResponseWriter, r *http.Request) {
		var note struct{ Tag, What string }
		_ = json.NewDecoder(r.Body).Decode(&note)
		theJavaStage.lock.Lock()
		theJavaStage.notes[note.Tag] = append(theJavaStage.notes[note.Tag], note.What)
		theJavaStage.lock.Unlock()
		theJavaStage.tell()
	})
	mux.HandleFunc("GET /gate/{name}", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-theJavaStage.gate(r.PathValue("name")):
		case <-r.Context().Done():
		}
	})
	return httptest.NewServer(mux).URL
})

func (s *javaStage) gate(name string) chan struct{} {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.gates[name] == nil {
		s.gates[name] = make(chan struct{})
	}
	return s.gates[name]
}

func (s *javaStage) open(name string) { close(s.gate(name)) }

// count is how often a call has noted that.
func (s *javaStage) count(tag, what string) (n int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, noted := range s.notes[tag] {
		if noted == what {
			n++
		}
	}
	return n
}

func (s *javaStage) tell() {
	s.lock.Lock()
	defer s.lock.Unlock()
	close(s.next)
	s.next = make(chan struct{})
}

// until waits for a condition, and reports false when that took longer than only
// a failure takes.
func (s *javaStage) until(condition func() bool) bool {
	late := time.After(javaPatience)
	for {
		s.lock.Lock()
		next := s.next
		s.lock.Unlock()
		if condition() {
			return true
		}
		select {
		case <-next:
		case <-late:
			return condition()
		}
	}
}

// javaUnique makes words that nothing else has.
var javaUnique = func() func(string) string {
	var last atomic.Int64
	return func(word string) string { return fmt.Sprintf("%s-%d-", word, last.Add(1)) }
}()

// javaTransport is one of the ways in which the program serves MCP.
type javaTransport struct {
	name, path string
	sessions   bool
	sse        bool // HTTP+SSE of 2024-11-05
}

var (
	javaStateless = javaTransport{name: "stateless", path: "/stateless"}
	javaSessions  = javaTransport{name: "sessions", path: "/sessions", sessions: true}
	javaSSE       = javaTransport{name: "HTTP+SSE", path: "/sse", sessions: true, sse: true}
)

// javaWorld is one transport, bare or behind mcpauth and a reverse proxy.
type javaWorld struct {
	javaTransport
	url           string // of the endpoint
	bare          bool
	first, second *mcpauthtest.Issuer

	lock   sync.Mutex
	behind []string // what came to the program: method and session id
}

var javaPassedOn = map[string]bool{
	"Accept": true, "Content-Type": true, "Last-Event-Id": true, "Mcp-Method": true, "Mcp-Name": true,
	"Mcp-Protocol-Version": true, "Mcp-Session-Id": true, "User-Agent": true,
}

func newJavaWorld(t *testing.T, origin string, transport javaTransport, bare bool) *javaWorld {
	t.Helper()
	w := &javaWorld{javaTransport: transport, bare: bare}
	upstream, err := url.Parse(origin + transport.path)
	require.NoError(t, err)
	// Jetty closes the connection after an answer that it gave before it had read the body, and does not say
	// so: on one that is used again the next request, anybody's, could come too late and be a 502.
	connections := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	var handler http.Handler = &httputil.ReverseProxy{ // as examples/proxy has it
		Transport:     connections,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header = http.Header{}
			for name, values := range r.In.Header {
				if javaPassedOn[name] {
					r.Out.Header[name] = values
				}
			}
			w.lock.Lock()
			w.behind = append(w.behind, r.Out.Method+" "+r.Out.Header.Get("Mcp-Session-Id"))
			w.lock.Unlock()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	outer := httptest.NewUnstartedServer(nil)
	w.url = "http://" + outer.Listener.Addr().String() + "/mcp"
	if !bare {
		w.first, w.second = mcpauthtest.NewIssuer(t), mcpauthtest.NewIssuer(t)
		auth, err := mcpauth.New(mcpauth.Config{
			Resource: w.url,
			Issuers:  []mcpauth.Issuer{w.first.Config(), w.second.Config()},
			Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
				"run": mcpauth.Scopes("mcp:run"), "look": mcpauth.Scopes("mcp:look"),
			}},
			Logger:                slog.New(slog.DiscardHandler),
			AllowInsecureLoopback: true,
		})
		require.NoError(t, err)
		handler = auth.Wrap(handler)
	}
	outer.Config.Handler = handler
	outer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	outer.Start()
	t.Cleanup(func() {
		outer.CloseClientConnections()
		outer.Close()
	})
	return w
}

// take returns what has come to the program since the last time.
func (w *javaWorld) take() (behind []string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	behind, w.behind = w.behind, nil
	return behind
}

// javaWho is somebody with a token.
type javaWho struct {
	sub, client, scope string
	elsewhere          bool // the token is of the second authorization server
}

const (
	javaNarrow = "mcp:look"
	javaBroad  = "mcp:look mcp:run"
)

var javaAlice = javaWho{"alice", "app", javaBroad, false}

// Revisions of MCP.
const (
	javaLatest = "2025-11-25"
	javaModern = "2026-07-28"
)

// javaCaller is a client that does no more than it is told, and writes down
// everything that it is sent.
type javaCaller struct {
	t        *testing.T
	world    *javaWorld
	token    string
	version  string
	session  string // the Mcp-Session-Id that it presents
	messages string // where its POSTs go
	ctx      context.Context
	lock     sync.Mutex
	seen     strings.Builder
}

// javaAnswer is the response to one request, which may still be coming.
type javaAnswer struct {
	begun  chan struct{} // closed when the header is there
	done   chan struct{} // closed at the end
	leave  context.CancelFunc
	status int
	header http.Header
	lock   sync.Mutex
	body   strings.Builder
}

func (a *javaAnswer) text() string {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.body.String()
}

// ended waits for the end of an answer, and returns its status.
func (a *javaAnswer) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(javaPatience):
		t.Fatalf("no end of the answer: %d %q", a.status, a.text())
	}
	return a.status
}

func (w *javaWorld) caller(t *testing.T, who javaWho) *javaCaller {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c := &javaCaller{t: t, world: w, version: javaLatest, messages: w.url, ctx: ctx}
	if w.sse {
		c.messages += "/message" // of no session
	}
	if !w.bare {
		issuer := w.first
		if who.elsewhere {
			issuer = w.second
		}
		c.token = issuer.Token(mcpauthtest.Claims{"sub": who.sub, "client_id": who.client, "scope": who.scope, "aud": w.url})
	}
	return c
}

var javaConnections = &http.Transport{MaxIdleConnsPerHost: 16}

// send makes a request and does not wait for anything. Headers are name, value, and so on.
func (c *javaCaller) send(method, url, body string, headers ...string) *javaAnswer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	a := &javaAnswer{begun: make(chan struct{}), done: make(chan struct{}), leave: cancel}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	for name, value := range map[string]string{"Authorization": c.token, "Mcp-Protocol-Version": c.version, "Mcp-Session-Id": c.session} {
		if name == "Authorization" && value != "" {
			value = "Bearer " + value
		}
		if value != "" && !(name == "Mcp-Session-Id" && strings.Contains(body, `"initialize"`)) {
			r.Header.Set(name, value)
		}
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	go func() {
		defer theJavaStage.tell()
		defer close(a.done)
		defer cancel()
		response, err := javaConnections.RoundTrip(r)
		if err != nil {
			close(a.begun)
			return
		}
		defer func() { _ = response.Body.Close() }()
		a.status, a.header = response.StatusCode, response.Header
		close(a.begun)
		for reader := bufio.NewReader(response.Body); err != io.EOF; {
			var line string
			line, err = reader.ReadString('\n')
			a.lock.Lock()
			a.body.WriteString(line)
			a.lock.Unlock()
			c.lock.Lock()
			c.seen.WriteString(line)
			c.lock.Unlock()
			theJavaStage.tell()
			if err != nil {
				return
			}
		}
	}()
	return a
}

// post sends a message, with the headers of 2026-07-28 if the caller speaks that.
func (c *javaCaller) post(body string) *javaAnswer {
	c.t.Helper()
	var headers []string
	if c.version == javaModern {
		var message struct {
			Method string
			Params struct{ Name string }
		}
		require.NoError(c.t, json.Unmarshal([]byte(body), &message))
		headers = append(headers, "Mcp-Method", message.Method)
		if message.Params.Name != "" {
			headers = append(headers, "Mcp-Name", message.Params.Name)
		}
	}
	return c.send(http.MethodPost, c.messages, body, headers...)
}

// listen opens the stream of the server's own.
func (c *javaCaller) listen(headers ...string) *javaAnswer {
	c.t.Helper()
	return c.send(http.MethodGet, c.world.url, "", headers...)
}

// saw is everything that the caller has been sent.
func (c *javaCaller) saw() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.seen.String()
}

// javaStep is one thing that a tool does.
type javaStep struct {
	Do   string `json:"do"`
	Text string `json:"text,omitempty"`
	N    int    `json:"n,omitempty"`
	From int    `json:"from,omitempty"`
	Gate string `json:"gate,omitempty"`
}

// message is a JSON-RPC request, or a notification where there is no id.
func (c *javaCaller) message(id any, method string, params map[string]any) string {
	message := map[string]any{"jsonrpc": "2.0", "method": method}
	if id != nil {
		message["id"] = id
	}
	if c.version == javaModern && id != nil {
		if params == nil {
			params = map[string]any{}
		}
		params["_meta"] = map[string]any{
			"io.modelcontextprotocol/protocolVersion":    javaModern,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "c", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		}
	}
	if params != nil {
		message["params"] = params
	}
	text, err := json.Marshal(message)
	require.NoError(c.t, err)
	return string(text)
}

func (c *javaCaller) call(id any, tool, tag string, steps ...javaStep) *javaAnswer {
	c.t.Helper()
	return c.post(c.callOf(id, tool, tag, steps...))
}

func (c *javaCaller) callOf(id any, tool, tag string, steps ...javaStep) string {
	if steps == nil {
		steps = []javaStep{}
	}
	return c.message(id, "tools/call", map[string]any{"name": tool, "arguments": map[string]any{"tag": tag, "steps": steps}})
}

const javaInitialize = `{"jsonrpc":"2.0","id":"begin","method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{"elicitation":{"form":{}}},"clientInfo":{"name":"c","version":"1"}}}`

var javaEndpoint = regexp.MustCompile(`event: endpoint\r?\ndata: (\S+)`)

// begin does what a client does first. It returns the stream that the session has.
func (c *javaCaller) begin() (stream *javaAnswer) {
	c.t.Helper()
	if c.world.sse {
		stream = c.listen()
		require.True(c.t, theJavaStage.until(func() bool { return javaEndpoint.MatchString(stream.text()) }), "%q", stream.text())
		c.messages = strings.TrimSuffix(c.world.url, "/mcp") + javaEndpoint.FindStringSubmatch(stream.text())[1]
		require.Equal(c.t, 200, c.post(javaInitialize).ended(c.t))
		require.True(c.t, theJavaStage.until(func() bool { return strings.Contains(stream.text(), `"begin"`) }), "%q", stream.text())
	} else {
		a := c.post(javaInitialize)
		require.Equal(c.t, 200, a.ended(c.t), "%s", a.text())
		c.session = a.header.Get("Mcp-Session-Id")
		require.NotEmpty(c.t, c.session)
		stream = c.listen() // the server sends no header before the first event
	}
	require.Less(c.t, c.post(c.message(nil, "notifications/initialized", nil)).ended(c.t), 300)
	c.mark(stream)
	return stream
}

// mark lets the server send a text to the stream of the caller's session until it has come: what was
// sent there before has come, too. The server drops what it has for a stream that is not there yet.
func (c *javaCaller) mark(stream *javaAnswer) {
	c.t.Helper()
	marker := javaUnique("marker")
	for late := time.Now().Add(javaPatience); ; {
		c.call("mark", "look", javaUnique("call"), javaStep{Do: "announce", Text: marker}).ended(c.t)
		if strings.Contains(stream.text(), marker) {
			return
		}
		select {
		case <-stream.done:
			c.t.Fatalf("the stream has ended: %d %q", stream.status, stream.text())
		default:
			require.True(c.t, time.Now().Before(late), "no marker on the stream: %q", stream.text())
		}
	}
}
