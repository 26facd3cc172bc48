// Package process runs servers that are other programs.
package process

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Ready is what a server prints, as one line of JSON, when it listens.
type Ready struct {
	Port    int
	Version string // of what it serves with, if it says so
}

// Start runs a command, with more environment, until the test ends. It waits
// for the command to say that it is ready. A command should end when its
// standard input does, for nobody else ends it if the test is killed.
func Start(t testing.TB, command *exec.Cmd, env ...string) Ready {
	t.Helper()
	command.Env = append(os.Environ(), env...)
	command.Stderr = t.Output()
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	read := make(chan struct{})
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Process.Kill()
		<-read
		_ = command.Wait()
	})
	var ready Ready
	for lines.Scan() && ready.Port == 0 {
		if line := lines.Text(); strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &ready); err != nil {
				t.Error(err)
			}
			break
		}
	}
	go func() {
		defer close(read)
		for lines.Scan() { // what it prints later must not block it
		}
	}()
	if ready.Port == 0 {
		t.Fatalf("%s ended before it was ready", command.Path)
	}
	return ready
}
