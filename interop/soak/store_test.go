package soak

import (
	"context"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/seed-1e292522/mcpauth/interop/process"
)

// storeServer is a Redis server of the soak's own, which is killed, or stops for a while, and forgets nothing.
type storeServer struct {
	t       testing.TB
	plan    plan
	address string
	command []string
	client  *redis.Client

	pid int
	end func()

	mu    sync.Mutex
	down  []span
	times int
}

func newStoreServer(t testing.TB, p plan) *storeServer {
	t.Helper()
	name, err := exec.LookPath("redis-server")
	if err != nil {
		process.Unavailable(t, "redis-server is not installed")
	}
	port := process.FreePort(t)
	s := &storeServer{t: t, plan: p, address: net.JoinHostPort("127.0.0.1", port), command: []string{
		name, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always",
		"--maxmemory-policy", "noeviction", "--loglevel", "warning",
	}}
	logging.Disable() // each attempt to connect would be a line
	s.client = redis.NewClient(&redis.Options{Addr: s.address, Protocol: 2, MaxRetries: -1})
	s.start()
	t.Cleanup(func() {
		_ = s.client.Close()
		s.end()
	})
	return s
}

// start runs the server behind a shell that ends it when this process ends, however it ends.
func (s *storeServer) start() {
	shell := exec.Command("sh", append([]string{"-c", `"$@" </dev/null >&2 & echo $!; cat >/dev/null; kill -9 $!; wait $!`, "sh"}, s.command...)...)
	input, err := shell.StdinPipe()
	if err == nil {
		var output io.Reader
		if output, err = shell.StdoutPipe(); err == nil {
			if err = shell.Start(); err == nil {
				_, err = fmt.Fscanln(output, &s.pid)
			}
		}
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	s.end = func() {
		_ = input.Close()
		_ = shell.Wait() // it was killed, and says so
	}
	s.await()
}

// await waits until the server answers.
func (s *storeServer) await() {
	for deadline := time.Now().Add(20 * time.Second); s.client.Ping(context.Background()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Error("redis-server does not answer")
			return
		}
	}
}

func (s *storeServer) signal(signal syscall.Signal) {
	if err := syscall.Kill(s.pid, signal); err != nil {
		s.t.Error(err)
	}
}

// live breaks the store now and then, and notes when it is slow by itself.
func (s *storeServer) live(done <-chan struct{}) {
	random := mathrand.New(mathrand.NewPCG(s.plan.seed, 2))
	wait := func(d time.Duration) bool {
		select {
		case <-done:
			return false
		case <-time.After(d):
			return true
		}
	}
	for wait(s.plan.storeUp + time.Duration(random.Int64N(int64(s.plan.storeUp)))) {
		s.goesDown()
		down := s.plan.storeDown/4 + time.Duration(random.Int64N(int64(s.plan.storeDown)))
		if s.times%2 == 0 {
			s.end()
			wait(down)
			s.start()
		} else {
			s.signal(syscall.SIGSTOP)
			wait(down)
			s.signal(syscall.SIGCONT)
			s.await()
		}
		s.isUp()
	}
}

// probe notes when the store is slow although it runs.
func (s *storeServer) probe(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
		}
		begun := time.Now()
		if err := s.client.Ping(context.Background()).Err(); err != nil || time.Since(begun) > 100*time.Millisecond {
			s.mu.Lock()
			s.down = append(s.down, span{begun, time.Now()})
			s.mu.Unlock()
		}
	}
}

func (s *storeServer) goesDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	s.down = append(s.down, span{from: time.Now()})
}

func (s *storeServer) isUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.down {
		if s.down[i].to.IsZero() {
			s.down[i].to = time.Now()
		}
	}
}

// storeBound is how long a store that was down may be left alone.
const storeBound = 30 * time.Second

// mayBeDown reports whether the store did not answer at some time, or was not asked because it had not: for at most as long again as it was down
// and a second, and never for longer than the bound.
func (s *storeServer) mayBeDown(w window) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.down {
		rest := storeBound
		if !d.to.IsZero() {
			rest = min(rest, 2*d.to.Sub(d.from)+time.Second)
		}
		if d.from.Before(w.answered.Add(slack)) && (d.to.IsZero() || d.to.Add(rest+slack).After(w.sent)) {
			return true
		}
	}
	return false
}

// prune forgets what no request can depend on any more.
func (s *storeServer) prune(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.down[:0]
	for _, d := range s.down {
		if d.to.IsZero() || d.to.After(before) {
			kept = append(kept, d)
		}
	}
	s.down = kept
}

// unless adds 503 to what may become of a request about which the store is asked, where that may be down: of one with a token that is
// good, or would be if it had not been revoked.
func (s *soak) unless(o outcomes, w window) outcomes {
	if (o[served] || o["revoked"]) && s.store.mayBeDown(w) {
		o = maps.Clone(o)
		o[unavailable] = true
	}
	return o
}

// reloads changes the configuration of all replicas in turns, and tries to with some that have mistakes.
func (s *soak) reloads(done <-chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(s.plan.reload):
		}
		s.gate.RLock()
		for replica := range s.replicas {
			for _, path := range paths {
				s.reload(replica, path, n)
			}
		}
		s.gate.RUnlock()
	}
}

// inForceSpan is a policy, from the call that made it so until the one that replaced it had returned.
type inForceSpan struct {
	policy   policy
	from, to time.Time
}

// reload has one middleware use another policy, or, each fourth time, one with mistakes, which changes nothing.
func (s *soak) reload(replica int, path string, n int) {
	at := fmt.Sprint(replica, path)
	which, next := "second", secondPolicy
	if n%2 == 0 {
		which, next = "first", firstPolicy
	}
	if n%4 == 3 {
		which = "broken"
	}
	begun := time.Now()
	var answer struct{ Failed bool }
	if which != "broken" { // it may be in force from now on
		s.mu.Lock()
		s.policies[at] = append(s.policies[at], inForceSpan{policy: next, from: begun})
		s.mu.Unlock()
	}
	s.ask(replica, "/soak/reload?path="+path+"&policy="+which, &answer)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloaded[at]++
	if answer.Failed != (which == "broken") {
		s.ledger.finding(reloadWrong, "%s: %s: failed %t", at, which, answer.Failed)
	}
	if which == "broken" {
		s.refusedReloads[at]++
		return
	}
	all := s.policies[at]
	all[len(all)-2].to = time.Now()
}

// inForce are the policies that a middleware may have had in that time.
func (s *soak) inForce(at string, w window) (found []policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.policies[at] {
		if p.from.Before(w.answered.Add(slack)) && (p.to.IsZero() || p.to.Add(slack).After(w.sent)) {
			found = append(found, p.policy)
		}
	}
	return found
}
