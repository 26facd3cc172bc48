package check

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// skip ends a test for want of a runtime, unless the environment says that all of them are there.
func skip(t *testing.T, why string, err error) {
	t.Helper()
	if os.Getenv("MCPAUTH_INTEROP") == "required" {
		t.Fatalf("%s: %v", why, err)
	}
	t.Skipf("%s: %v", why, err)
}

// TestTypeScript: the TypeScript SDK's server behind its own requireBearerAuth.
func TestTypeScript(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		skip(t, "Node.js is not here", err)
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules", "jose")); err != nil {
		install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		install.Dir = "node"
		if out, err := install.CombinedOutput(); err != nil {
			skip(t, "npm ci: "+string(out), err)
		}
	}
	issuer := issuerOn(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, _ := net.SplitHostPort(address)

	server := exec.CommandContext(t.Context(), node, "server.mjs")
	server.Dir = "node"
	server.Env = append(os.Environ(), "ISSUER="+issuer.Issuer(), "RESOURCE=http://"+address+"/mcp", "PORT="+port, "SCOPE="+scope)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "listening", strings.TrimSpace(line))
	complete(t, run(t, issuer, "http://"+address+"/mcp"))
}
