package endtoend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// child is a running server process.
type child struct {
	address string
	command *exec.Cmd
	stdin   io.Closer
}

// start runs this very program again, as the server.
func start(s settings, env ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), environment+"="+string(text), "GOGC=100", "GOMEMLIMIT=off")
	command.Env = append(command.Env, env...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	c := &child{address: strings.TrimSpace(line), command: command, stdin: stdin}
	if err != nil {
		return nil, fmt.Errorf("the server did not start: %w, %w", err, c.stop())
	}
	return c, nil
}

// stop lets the server end and waits for it.
func (c *child) stop() error {
	_ = c.stdin.Close()
	return c.command.Wait()
}

// usage is what a process has used of the machine.
type usage struct {
	CPU     int64  // microseconds so far, 0 where that cannot be known
	Memory  uint64 // bytes that the Go runtime has from the system
	Garbage uint64 // bytes allocated so far
	Objects uint64 // allocations so far
}

func (c *child) usage() (u usage, err error) {
	response, err := http.Get("http://" + c.address + usagePath)
	if err != nil {
		return u, err
	}
	defer response.Body.Close()
	return u, json.NewDecoder(response.Body).Decode(&u)
}
