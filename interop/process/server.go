package process

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// patience is how long a server may take until it serves: a product that makes
// its database first takes some seconds, and more on a busy machine.
const patience = 60 * time.Second

// Serve runs a server that knows nothing of us, with more environment, until the
// test ends, and waits until ready says that it serves. A shell stands in between
// that ends it when this process ends, however it ends.
func Serve(t testing.TB, command []string, ready func() bool, env ...string) {
	t.Helper()
	shell := exec.Command("sh", append([]string{"-c", `"$@" </dev/null & server=$!; cat >/dev/null; kill $server; wait $server`, "sh"}, command...)...)
	shell.Env = append(os.Environ(), env...)
	shell.Stdout, shell.Stderr = t.Output(), t.Output()
	input, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = shell.Wait() // it was killed, and says so
	})
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not serve", command[0])
		}
	}
}

// FreePort is a port of 127.0.0.1 that was free a moment ago.
func FreePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// Unavailable skips a test that lacks something, and fails it if MCPAUTH_INTEROP
// is "required", as in continuous integration.
func Unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("MCPAUTH_INTEROP") == "required" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
