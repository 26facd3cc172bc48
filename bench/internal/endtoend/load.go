package endtoend

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// load is a fixed number of requests. It writes requests that were made
// beforehand, because on a machine with few cores a client's work is taken from
// the server.
type load struct {
	address string
	body    []byte
	total   int
	token   func(i int) string // "" for none
	status  int                // what every answer must be

	// stop, if set, ends the load early.
	stop <-chan struct{}
}

// outcome is what a load found.
type outcome struct {
	wall      time.Duration
	latencies []time.Duration // sorted
}

func (o outcome) percentile(p float64) time.Duration {
	if len(o.latencies) == 0 {
		return 0
	}
	return o.latencies[min(len(o.latencies)-1, int(p*float64(len(o.latencies))))]
}

// run sends the load over so many connections: on each a client sends a request,
// waits for the answer and sends the next.
func (l load) run(connections int) (outcome, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	all := make([][]time.Duration, connections)
	var workers sync.WaitGroup
	begun := time.Now()
	for worker := range connections {
		workers.Go(func() {
			var err error
			if all[worker], err = l.work(&next); err != nil {
				failed.Store(&err)
			}
		})
	}
	workers.Wait()
	o := outcome{wall: time.Since(begun), latencies: slices.Concat(all...)}
	slices.Sort(o.latencies)
	if err := failed.Load(); err != nil {
		return o, *err
	}
	return o, nil
}

func (l load) work(next *atomic.Int64) ([]time.Duration, error) {
	connection, err := net.Dial("tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	head := l.head()
	latencies := make([]time.Duration, 0, min(l.total, 1<<17))
	var out bytes.Buffer
	for {
		i := int(next.Add(1)) - 1
		if i >= l.total || l.stopped() {
			return latencies, nil
		}
		out.Reset()
		out.Write(head)
		if token := l.token(i); token != "" {
			out.WriteString("Authorization: Bearer ")
			out.WriteString(token)
			out.WriteString("\r\n")
		}
		out.WriteString("\r\n")
		out.Write(l.body)
		begun := time.Now()
		if _, err := connection.Write(out.Bytes()); err != nil {
			return latencies, err
		}
		if err := l.answer(reader); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(begun))
	}
}

func (l load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// head is everything of a request before the token.
func (l load) head() []byte {
	var b bytes.Buffer
	b.WriteString("POST /mcp HTTP/1.1\r\nHost: " + l.address + "\r\nUser-Agent: mcp-client/1.0\r\n")
	for name, value := range fixture.Headers(tool) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(l.body)) + "\r\n")
	return b.Bytes()
}

func (l load) answer(reader *bufio.Reader) error {
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != l.status {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("status %d, expected %d: %s", response.StatusCode, l.status, text)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
