package conformance

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is an MCP server made for the suite, a program of its own.
type server struct {
	name    string
	program string // the package
	args    func(address string) (args, env []string)
	modern  bool // speaks 2026-07-28
	legacy  bool // speaks the revisions before

	// only are the scenarios for which a server of ours has the fixtures.
	only []string

	// delegate leaves it to the server to keep the tasks of principals apart.
	delegate bool

	// sealed puts a sealer between the wrapper and the server.
	sealed bool

	// explained are the checks that must come out differently, with the reason.
	explained map[string]string

	// unsteady are the scenarios in which the bare server itself sometimes
	// fails and sometimes does not, with the reason.
	unsteady map[string]string
}

// Both SDKs publish the servers that they run the suite against themselves.
// The go-sdk's speaks the older revisions with sessions and the newest without.
// rounds and tasks are ours: they have the fixtures that mcp-go's lacks, and
// those for the tasks extension, which neither SDK has yet.
var servers = []server{
	{
		name: "go-sdk, stateful", program: "github.com/modelcontextprotocol/go-sdk/conformance/everything-server", legacy: true,
		args: func(address string) ([]string, []string) {
			return []string{"-http", address, "-stateless=false"}, nil
		},
	},
	{
		name: "go-sdk, stateless", program: "github.com/modelcontextprotocol/go-sdk/conformance/everything-server", modern: true,
		args: func(address string) ([]string, []string) { return []string{"-http", address}, nil },
	},
	{
		name: "mcp-go", program: "github.com/mark3labs/mcp-go/examples/conformance", legacy: true, modern: true,
		args: func(address string) ([]string, []string) { return nil, []string{"CONFORMANCE_ADDR=" + address} },
		unsteady: map[string]string{
			"tools-call-with-logging":  lateNotification,
			"tools-call-with-progress": lateNotification,
		},
	},
	{
		name: "rounds (mcp-go)", program: "github.com/seed-1e292522/mcpauth/interop/conformance/rounds", modern: true, only: roundScenarios,
		args: func(address string) ([]string, []string) { return []string{address}, nil },
	},
	{
		name: "go-sdk, `sealed`", program: "github.com/modelcontextprotocol/go-sdk/conformance/everything-server", modern: true, only: inputScenarios(), sealed: true,
		args: func(address string) ([]string, []string) { return []string{"-http", address}, nil },
	},
	{
		name: "rounds (mcp-go), `sealed`", program: "github.com/seed-1e292522/mcpauth/interop/conformance/rounds", modern: true, only: inputScenarios(), sealed: true,
		args: func(address string) ([]string, []string) { return []string{address}, nil },
	},
	{
		name: "tasks", program: "github.com/seed-1e292522/mcpauth/interop/conformance/tasks", only: taskScenarios,
		args: func(address string) ([]string, []string) { return []string{address}, nil },
		explained: map[string]string{
			"sep-2663-tasks-methods-non-declaring": "A client without the extension asks for a task that nobody began. The server says -32021, that the extension\n" +
				"is missing. The wrapper says -32602, that there is no such task: it passes on nothing that belongs to nobody. With\n" +
				"`DelegateTasks` the server answers.",
		},
	},
	{
		name: "tasks, `DelegateTasks`", program: "github.com/seed-1e292522/mcpauth/interop/conformance/tasks", only: taskScenarios, delegate: true,
		args: func(address string) ([]string, []string) { return []string{address}, nil },
	},
}

// lateNotification is why mcp-go lists two scenarios as expected failures.
const lateNotification = "the last notification of a tool sometimes comes after its result"

// build compiles the program once per run of the tests.
func (s server) build(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(dir, path.Base(path.Dir(s.program))+"-"+path.Base(s.program))
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, s.program).CombinedOutput()
	require.NoError(t, err, "%s", output)
	return binary
}

// start runs a fresh server, so that no run sees what another one did, and
// returns its address.
func (s server) start(t *testing.T, binary string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	args, env := s.args(address)
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, binary, args...)
	command.Env = append(os.Environ(), env...)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})

	// Neither program says when it listens.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
			return address
		}
		require.True(t, time.Now().Before(deadline), "%s does not listen: %v", s.name, err)
	}
}
