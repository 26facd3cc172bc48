// Command replicas shows two servers that share a Redis, behind a proxy which sends each request to the next one: tasks that go on at whichever is asked, a
// file with rules that changes while calls run, a revocation, and what becomes of all that when Redis is away. It needs redis-server.
//
//	go run -C examples/replicas .
//
// server.go is the part that one would write.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const resource = "https://mcp.example.com/mcp"

func main() {
	redis.SetLogger(silence{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if err := run(ctx, os.Stdout, log); err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		os.Exit(1)
	}
}

// silence is for go-redis, which says of itself that it cannot dial: that is part of the story.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// run sets the stage and tells the story.
func run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "replicas")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	database, err := newDatabase(dir)
	if err != nil {
		return err
	}
	defer database.kill()
	if err = database.start(ctx); err != nil {
		return err
	}
	l, err := newLogin()
	if err != nil {
		return err
	}
	s := &story{ctx: ctx, out: out, login: l, database: database, file: filepath.Join(dir, "mcpauth.json"), client: &http.Client{Timeout: 5 * time.Second}}
	if err = s.rules("reports:read"); err != nil {
		return err
	}
	end, err := s.serve(log)
	if err != nil {
		return err
	}
	defer end()
	return s.tell()
}

// serve starts two replicas, which follow the file, and the proxy.
func (s *story) serve(log *slog.Logger) (end func(), err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	var backends []*url.URL
	var closers []io.Closer
	ctx, stop := context.WithCancel(s.ctx)
	inner := newServer(ctx)
	end = func() {
		stop()
		for _, c := range closers {
			_ = c.Close()
		}
	}
	for range 2 {
		client := redis.NewClient(&redis.Options{Addr: s.database.address})
		closers = append(closers, client)
		r, err := newReplica(s.file, key, client, inner, log)
		if err != nil {
			return end, err
		}
		s.replicas = append(s.replicas, r)
		go r.follow(ctx, s.file)
		address, server, err := listen(r)
		if err != nil {
			return end, err
		}
		closers = append(closers, server)
		backends = append(backends, &url.URL{Scheme: "http", Host: address})
	}
	var next atomic.Uint32
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backends[int(next.Add(1))%len(backends)])
		r.Out.Host = r.In.Host
	}}
	address, server, err := listen(proxy)
	s.url = "http://" + address + "/mcp"
	closers = append(closers, server)
	return end, err
}

func listen(handler http.Handler) (address string, server *http.Server, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), server, nil
}

// database is a redis-server of the program's own, which keeps what it has over a restart.
type database struct {
	address string
	args    []string
	process *exec.Cmd
}

func newDatabase(dir string) (*database, error) {
	name, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed: apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return &database{address: l.Addr().String(), args: []string{name, "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--dir", dir, "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"}}, l.Close()
}

// start starts it, and waits until it answers.
func (d *database) start(ctx context.Context) error {
	d.process = exec.Command(d.args[0], d.args[1:]...)
	if err := d.process.Start(); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: d.address})
	defer client.Close()
	return until(ctx, func() bool { return client.Ping(ctx).Err() == nil })
}

func (d *database) kill() {
	if d.process != nil {
		_ = d.process.Process.Kill()
		_ = d.process.Wait()
		d.process = nil
	}
}

// until waits until something is so.
func until(ctx context.Context, is func() bool) error {
	for !is() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
