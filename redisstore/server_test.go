package redisstore

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// redisServer is a redis-server of the test's own.
type redisServer struct {
	tb      testing.TB
	address string
	args    []string
	process *exec.Cmd
	output  bytes.Buffer
}

// startRedis starts a server that keeps what it has, or forgets it with its process.
func startRedis(tb testing.TB, keeps bool) *redisServer {
	tb.Helper()
	name, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("MCPAUTH_INTEROP") == "required" {
			tb.Fatal("redis-server is not installed: apt-get install redis-server")
		}
		tb.Skip("redis-server is not installed")
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	address := port.Addr().String()
	_, number, _ := net.SplitHostPort(address)
	appends := map[bool]string{true: "yes", false: "no"}[keeps]
	s := &redisServer{tb: tb, address: address, args: []string{name, "--bind", "127.0.0.1", "--port", number, "--dir", tb.TempDir(),
		"--save", "", "--appendonly", appends, "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--loglevel", "warning"}}
	require.NoError(tb, port.Close())
	s.start()
	tb.Cleanup(s.kill)
	return s
}

// start starts the process, and waits until it answers.
func (s *redisServer) start() {
	s.tb.Helper()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	require.NoError(s.tb, s.process.Start())
	client := s.client(s.address)
	defer client.Close()
	eventually(s.tb, "redis-server answers", func() bool { return client.Ping(context.Background()).Err() == nil })
}

// kill is SIGKILL.
func (s *redisServer) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

func (s *redisServer) signal(signal syscall.Signal) {
	require.NoError(s.tb, s.process.Process.Signal(signal))
}

// client is a client with the settings that go-redis has by itself.
func (s *redisServer) client(address string) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: address, Protocol: 2})
	s.tb.Cleanup(func() { _ = client.Close() })
	return client
}

// eventually waits for another process, or for a pause that the code makes.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			tb.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// proxy stands in front of a server, and can be a bad network.
type proxy struct {
	net.Listener
	backend string

	mu    sync.Mutex
	delay time.Duration // of each piece
	open  chan struct{} // is closed while the network passes anything on
	conns map[net.Conn]bool
}

func startProxy(tb testing.TB, backend string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &proxy{Listener: l, backend: backend, open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.open)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { p.serve(front) })
		}
	})
	tb.Cleanup(func() {
		p.heal()
		_ = l.Close()
		p.cut()
		wait.Wait()
	})
	return p
}

func (p *proxy) serve(front net.Conn) {
	defer front.Close()
	back, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer back.Close()
	p.mu.Lock()
	p.conns[front], p.conns[back] = true, true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); p.copy(back, front); _ = front.Close(); _ = back.Close() }()
	p.copy(front, back)
	_ = front.Close()
	_ = back.Close()
	<-done
}

// copy passes bytes on as the network is.
func (p *proxy) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		delay, open := p.delay, p.open
		p.mu.Unlock()
		<-open
		<-time.After(delay)
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// partition swallows all that comes from now on, and closes no connection.
func (p *proxy) partition() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// heal passes everything on again.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = 0
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	clear(p.conns)
}

// all returns every key of a server with all that it has of it.
func all(tb testing.TB, client *redis.Client) map[string]string {
	found := map[string]string{}
	keys := client.Scan(tb.Context(), 0, "*", 1000).Iterator()
	for keys.Next(tb.Context()) {
		key := keys.Val()
		value, err := client.Get(tb.Context(), key).Result()
		require.NoError(tb, err)
		dump, err := client.Dump(tb.Context(), key).Result()
		require.NoError(tb, err)
		life, err := client.PTTL(tb.Context(), key).Result()
		require.NoError(tb, err)
		assert.Positive(tb, life, "%s has no end", key)
		found[key] = value + "\n" + dump
	}
	require.NoError(tb, keys.Err())
	return found
}

// appendOnlyFile is what a server has written down of the commands that it was sent.
func appendOnlyFile(s *redisServer) (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(s.args[6], func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		all.Write(content)
		return err
	})
	return all.String(), err
}
