package soak

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/interop/process"
)

var (
	duration = flag.Duration("soak", 0, "how long to soak; 0: not at all")
	seed     = flag.Uint64("seed", 19, "of all that is left to chance")
)

// plan says how a run goes.
type plan struct {
	duration, window, warm time.Duration
	rotate                 time.Duration // the keys of the authorization server
	keep                   time.Duration // published after they have signed
	calm                   time.Duration // until it is down for the first time
	shortest, longest      time.Duration // that it is down, and that it is up
	life                   time.Duration // of usual tokens, and four seconds more
	honest, hostile, quiet int           // callers; quiet ones listen
	rest                   time.Duration // between requests of a caller, at most
	seed                   uint64
	storeUp, storeDown     time.Duration // of the store: at least that, and at most so much and a quarter
	reload                 time.Duration // between changes of the configuration
	polls                  int           // of a replica, until it has settled
	proves                 bool          // each kind of request must have been there
	planted                []string
	lasting                []func(*caller) // ways of quiet callers
}

// planFor is one for a run of some minutes or more. A third of it is warm-up: what mcpauth remembers for minutes is full by then, or
// is accounted for.
func planFor(d time.Duration) plan {
	return plan{
		duration: d, warm: d / 3, window: max(d/6, 80*time.Second), rotate: 5 * time.Second, keep: 75 * time.Second, calm: 8 * time.Second,
		shortest: 5 * time.Second, longest: 40 * time.Second, life: 60 * time.Second, honest: 10, hostile: 6, quiet: 8,
		storeUp: 40 * time.Second, storeDown: 4 * time.Second, reload: 3 * time.Second, rest: 120 * time.Millisecond, polls: 100, proves: true, seed: *seed, lasting: lasting,
	}
}

// soak is one run.
type soak struct {
	t        testing.TB
	plan     plan
	as       *authServer
	store    *storeServer
	balancer *balancer
	ledger   *ledger
	http     *http.Client
	replicas []*url.URL
	audits   []*audit
	victims  chan victim
	gate     sync.RWMutex // held while something is measured
	began    time.Time

	mu             sync.Mutex
	listening      context.Context // of streams: ends with each window
	leave          context.CancelFunc
	until          time.Time      // the window ends
	ended          map[string]int // streams that have ended as they should, by kind
	readings       []reading
	policies       map[string][]inForceSpan // by middleware
	reloaded       map[string]int           // how often, and how often with mistakes
	refusedReloads map[string]int
	stacks         []string // of the replicas, at the last reading
}

// reading is what the replicas are like at the end of a window.
type reading struct {
	at       time.Duration
	requests int
	keeps    int // requests after which mcpauth may remember something for minutes: see kept
	replicas []measured
}

// onRequest skips what takes long, and a machine that is not too busy.
func onRequest(t *testing.T) {
	if *duration == 0 {
		t.Skip("make soak")
	}
}

// TestSoak is the run.
func TestSoak(t *testing.T) {
	onRequest(t)
	s := newSoak(t, planFor(*duration))
	s.ledger.tell = func(finding string) { t.Log(finding) }
	s.run()
	s.report()
	t.Log("\n" + s.table())
	for _, finding := range s.ledger.findings {
		t.Error(finding)
	}
	if len(s.ledger.found) > 0 {
		t.Errorf("findings: %v", s.ledger.found)
	}
}

func newSoak(t testing.TB, p plan) *soak {
	s := &soak{
		t: t, plan: p, ledger: newLedger(), as: newAuthServer(t, p), balancer: newBalancer(t), victims: make(chan victim, 64), began: time.Now(),
		ended: map[string]int{}, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}},
	}
	s.policies, s.reloaded, s.refusedReloads = map[string][]inForceSpan{}, map[string]int{}, map[string]int{}
	s.store = newStoreServer(t, p)
	key, dir := make([]byte, 32), t.TempDir()
	_, _ = rand.Read(key)
	for n := range 2 {
		one := setting{Number: n, Origin: s.balancer.url, Issuer: s.as.url, Secret: s.as.secret, SessionKey: key, Dir: dir, Store: s.store.address, Planted: p.planted}
		command := exec.Command(os.Args[0], "-test.run=^TestReplica$", "-test.timeout=0")
		ready := process.Start(t, command, settingVariable+"="+text(one))
		s.balancer.add(ready.Port)
		s.replicas = append(s.replicas, s.balancer.replica(n))
		for _, path := range paths {
			at := fmt.Sprint(n, path)
			s.audits = append(s.audits, &audit{path: one.auditPath(path), at: at})
			s.policies[at] = []inForceSpan{{policy: firstPolicy}}
		}
	}
	return s
}

// run lets everybody loose until the time is over, and measures after each window.
func (s *soak) run() {
	done := make(chan struct{})
	var servers, callers sync.WaitGroup
	servers.Go(func() { s.as.live(done) })
	servers.Go(func() { s.store.live(done) })
	servers.Go(func() { s.store.probe(done) })
	servers.Go(func() { s.reloads(done) })
	s.openWindow()
	crowd := func(name string, n int, ways []func(*caller), rest time.Duration) {
		for i := range n {
			c := s.newCaller(len(name)*100+i, fmt.Sprint(name, "-", i))
			callers.Go(func() { c.live(done, ways, rest) })
		}
	}
	crowd("honest", s.plan.honest, honest, s.plan.rest)
	crowd("hostile", s.plan.hostile, hostile, 2*s.plan.rest)
	crowd("quiet", s.plan.quiet, s.plan.lasting, 4*s.plan.rest)
	for over := false; !over; {
		time.Sleep(s.plan.window)
		over = s.plan.duration-time.Since(s.began) < s.plan.window/2
		s.measure(func() {
			if over {
				close(done)
			}
		})
	}
	callers.Wait()
	servers.Wait()
}

// live makes requests until the end, and waits while something is measured.
func (c *caller) live(done <-chan struct{}, ways []func(*caller), rest time.Duration) {
	for {
		c.gate.RLock()
		select {
		case <-done:
			c.gate.RUnlock()
			return
		default:
		}
		ways[c.rand.IntN(len(ways))](c)
		c.gate.RUnlock()
		c.rest(rest)
	}
}

func (s *soak) openWindow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening, s.leave = context.WithCancel(context.Background())
	s.until = time.Now().Add(s.plan.window)
}

// window is the context of streams, and how much is left of the window.
func (s *soak) window() (context.Context, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listening, time.Until(s.until)
}

// endedWell counts a stream that the server has ended when it should.
func (s *soak) endedWell(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[kind]++
}

// revoke revokes a JWT. The list that the replicas share for one server may be out of reach: then nobody knows whether it was.
func (s *soak) revoke(f *facts) {
	f.revoked.from = time.Now()
	done := true
	for n := range s.replicas {
		var answer struct{ Failed bool }
		s.ask(n, "/soak/revoke?id="+f.id+"&until="+strconv.FormatInt(f.exp.Unix(), 10), &answer)
		done = done && !answer.Failed
	}
	if done {
		f.revoked.to = time.Now()
	}
}

// ask asks a replica itself.
func (s *soak) ask(replica int, path string, into any) {
	response, err := s.http.Get(s.replicas[replica].String() + path)
	if err != nil {
		s.ledger.finding(noAnswer, "replica %d %s: %v", replica, path, err)
		return
	}
	defer response.Body.Close()
	if into != nil {
		if err = json.NewDecoder(response.Body).Decode(into); err != nil {
			s.ledger.finding(noAnswer, "replica %d %s: %v", replica, path, err)
		}
	}
}
