package endtoend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// child is a running server process.
type child struct {
	address string
	command *exec.Cmd
	stdin   io.Closer
}

// start runs this very program again, as the server.
func start(s settings) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), environment+"="+string(text))
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

// cpu is the CPU time that the server has used so far, 0 where that cannot be
// known.
func (c *child) cpu() (time.Duration, error) {
	response, err := http.Get("http://" + c.address + cpuPath)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	microseconds, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(microseconds) * time.Microsecond, err
}
