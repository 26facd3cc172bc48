package redisstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
)

const resource = "https://mcp.example.com/mcp"

var key = []byte(strings.Repeat("key.", 8))

// replicas are two servers of one resource that share a store, each with connections of its own. Two more ask a list of revoked tokens.
type replicas struct {
	tb     testing.TB
	issuer *mcpauthtest.Issuer
	tasks  [2]http.Handler
	lists  [2]http.Handler
	revoke [2]*revoke.List
	log    bytes.Buffer

	ran  sync.Map     // by the id of a request: the handler has had it
	over atomic.Int32 // requests that had no answer within a second
	id   atomic.Int64
}

func newReplicas(tb testing.TB, server *redisServer, address string) *replicas {
	return replicasOf(tb, mcpauthtest.NewIssuerAt(tb, "https://canary-issuer.example.com"), server, address)
}

func replicasOf(tb testing.TB, issuer *mcpauthtest.Issuer, server *redisServer, address string) *replicas {
	r := &replicas{tb: tb, issuer: issuer}
	log := slog.New(slog.NewTextHandler(&lockedWriter{w: &r.log}, nil))
	for i := range 2 {
		store, err := New(server.client(address), "px")
		require.NoError(tb, err)
		r.revoke[i], err = revoke.New(store, key)
		require.NoError(tb, err)
		config := mcpauth.Config{
			Resource: resource, Issuers: []mcpauth.Issuer{r.issuer.Config()}, Transport: r.issuer.Transport(), Logger: log,
			Policy: mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Authenticated(), nil }),
		}
		config.SessionKey, config.Store = key, store
		config.Issuers[0].DPoP = mcpauth.DPoPAccepted
		r.tasks[i] = r.wrap(config)
		config.Store, config.Revoked = nil, r.revoke[i].Revoked
		r.lists[i] = r.wrap(config)
	}
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (r *replicas) wrap(config mcpauth.Config) http.Handler {
	auth, err := mcpauth.New(config)
	require.NoError(r.tb, err)
	return auth.Wrap(http.HandlerFunc(r.serve))
}

// serve begins a task with each call, whose name its argument has, and lists those that the argument of a ping has.
func (r *replicas) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.ran.Store(member(body, `"id":`, ","), true)
	w.Header().Set("Content-Type", "application/json")
	id := member(body, `"id":`, ",")
	switch {
	case bytes.Contains(body, []byte("tools/call")):
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"task":{"taskId":%q,"status":"working"}}}`, id, member(body, `"task":"`, `"`))
	case bytes.Contains(body, []byte("tasks/list")):
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tasks":[{"taskId":"canary-mine"},{"taskId":"canary-theirs"}]}}`, id)
	default:
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{}}`, id)
	}
}

// member is what stands in a body behind one text and in front of another.
func member(body []byte, behind, front string) string {
	_, rest, _ := strings.Cut(string(body), behind)
	value, _, _ := strings.Cut(rest, front)
	return value
}

func (r *replicas) token(claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"aud": resource, "sub": "canary-user", "client_id": "canary-client", "jti": "canary-jti"}
	maps.Copy(all, claims)
	return r.issuer.Token(all)
}

// answer is what became of a request.
type answer struct {
	status int
	body   string
	ran    bool
}

// notFound reports whether the answer is that there is no such task.
func (a answer) notFound() bool { return strings.Contains(a.body, "task not found") }

// ask sends a request, and waits for its answer for a second.
func (r *replicas) ask(h http.Handler, token, method, params string) answer {
	return r.send(h, http.Header{"Authorization": {"Bearer " + token}}, method, params)
}

// prove sends a bound token with a proof.
func (r *replicas) prove(i int, token, proof string) answer {
	return r.send(r.tasks[i], http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}, "ping", "")
}

func (r *replicas) send(h http.Handler, header http.Header, method, params string) answer {
	id := fmt.Sprint(r.id.Add(1))
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s}}`, id, method, params)
	request := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(body))
	request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"}}
	maps.Copy(request.Header, header)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { defer close(done); h.ServeHTTP(w, request) }()
	select {
	case <-done:
	case <-ctx.Done():
		r.over.Add(1)
		<-done
	}
	_, ran := r.ran.LoadAndDelete(id)
	return answer{w.Code, w.Body.String(), ran}
}

func (r *replicas) begin(i int, token, id string) answer {
	return r.ask(r.tasks[i], token, "tools/call", fmt.Sprintf(`"name":"canary-tool","arguments":{"a":"canary-argument","task":%q}`, id))
}

func (r *replicas) get(i int, token, id string) answer {
	return r.ask(r.tasks[i], token, "tasks/get", fmt.Sprintf(`"taskId":%q`, id))
}

// TestTasksInRedis_STORE_04: what begins at one replica is its owner's at the other, and after a restart of both.
func TestTasksInRedis_STORE_04(t *testing.T) {
	server := startRedis(t, true)
	r := newReplicas(t, server, server.address)
	owner, other := r.token(nil), r.token(mcpauthtest.Claims{"sub": "other"})
	require.True(t, r.begin(0, owner, "t").ran)
	check := func(r *replicas) {
		for i := range 2 {
			assert.True(t, r.get(i, owner, "t").ran)
			foreign, never := r.get(i, other, "t"), r.get(i, other, "never")
			assert.False(t, foreign.ran)
			assert.True(t, foreign.notFound())
			_, said, _ := strings.Cut(foreign.body, `"error":`)
			_, toAll, _ := strings.Cut(never.body, `"error":`)
			assert.Equal(t, toAll, said)
		}
	}
	check(r)
	again := replicasOf(t, r.issuer, server, server.address)
	check(again)
	server.kill()
	server.start()
	eventually(t, "the store is asked again", func() bool { return again.get(0, owner, "t").status == 200 && again.get(1, owner, "t").status == 200 })
	check(again)
}

// faultTally is what a fault has done.
type faultTally struct {
	requests, served, doubts, wrongAllows, lost atomic.Int32
}

// TestFaults_STORE_15: whatever happens to the server, or on the way to it, nobody gets what is not his, no owner is told that its task is not
// there, no request takes a second, and all is as before when it is over, without a restart.
func TestFaults_STORE_15_STORE_07_STORE_09_STORE_14(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(*redisServer, *proxy)
		rounds     int // 0: 25
	}{
		"killed":                {func(s *redisServer, _ *proxy) { s.kill() }, func(s *redisServer, _ *proxy) { s.start() }, 0},
		"stopped":               {func(s *redisServer, _ *proxy) { s.signal(syscall.SIGSTOP) }, func(s *redisServer, _ *proxy) { s.signal(syscall.SIGCONT) }, 0},
		"partitioned":           {func(_ *redisServer, p *proxy) { p.partition() }, func(_ *redisServer, p *proxy) { p.heal() }, 0},
		"partitioned, then cut": {func(_ *redisServer, p *proxy) { p.partition() }, func(_ *redisServer, p *proxy) { p.heal(); p.cut() }, 0},
		"slow":                  {func(_ *redisServer, p *proxy) { p.slow(100 * time.Millisecond) }, func(_ *redisServer, p *proxy) { p.heal() }, 4},
		"too slow":              {func(_ *redisServer, p *proxy) { p.slow(200 * time.Millisecond) }, func(_ *redisServer, p *proxy) { p.heal() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t, true)
			p := startProxy(t, server.address)
			r := newReplicas(t, server, p.Addr().String())
			owner, other := r.token(nil), r.token(mcpauthtest.Claims{"sub": "other"})
			gone := r.token(mcpauthtest.Claims{"jti": "revoked"})
			until := time.Now().Add(time.Hour)
			require.True(t, r.begin(0, owner, "canary-mine").ran)
			require.True(t, r.begin(1, other, "canary-theirs").ran)
			require.NoError(t, r.revoke[0].RevokeToken(t.Context(), r.issuer.URL(), "revoked", until))

			fault.begin(server, p)
			var tally faultTally
			late := r.during(&tally, cmp.Or(fault.rounds, 25), owner, other, gone)
			fault.end(server, p)
			t.Logf("%d requests, %d served, %d answered with 503", tally.requests.Load(), tally.served.Load(), tally.doubts.Load())
			assert.Zero(t, tally.wrongAllows.Load(), "wrong allows")
			assert.Zero(t, tally.lost.Load(), "owners that were told that there is no such task")
			assert.Zero(t, r.over.Load(), "requests of more than a second")
			assert.Positive(t, tally.doubts.Load(), "there was no fault")

			for i := range 2 {
				eventually(t, "as before", func() bool {
					return r.get(i, owner, "canary-mine").ran && r.ask(r.lists[i], gone, "ping", "").status == http.StatusUnauthorized && r.ask(r.lists[i], owner, "ping", "").ran
				})
				assert.True(t, r.get(i, other, "canary-mine").notFound())
				assert.NotContains(t, r.ask(r.tasks[i], owner, "tasks/list", "").body, "theirs")
			}
			holder := mcpauthtest.NewKey("holder", "ES256")
			bound := r.issuer.BoundToken(holder, mcpauthtest.Claims{"aud": resource, "sub": "holder"})
			eventually(t, "proofs as before", func() bool {
				proof := holder.Proof(http.MethodPost, resource, bound, nil)
				return r.prove(0, bound, proof).ran && !r.prove(1, bound, proof).ran
			})
			for _, id := range late { // begun at the first one meanwhile
				require.True(t, r.get(0, owner, id).ran, id)
				assert.True(t, r.get(1, owner, id).ran, id)
				assert.True(t, r.get(1, other, id).notFound(), id)
			}
			assert.NotContains(t, r.log.String(), "canary-argument")
		})
	}
}

// TestProofsInRedis_STORE_08: a proof counts once at both replicas, and what stands in the server of it tells nothing and ends by itself.
func TestProofsInRedis_STORE_08(t *testing.T) {
	server := startRedis(t, false)
	r := newReplicas(t, server, server.address)
	holder := mcpauthtest.NewKey("canary-key", "ES256")
	token := r.issuer.BoundToken(holder, mcpauthtest.Claims{"aud": resource, "sub": "canary-user"})
	for i := range 100 {
		proof := holder.Proof(http.MethodPost, resource, token, mcpauthtest.Claims{"jti": fmt.Sprint("canary-", i)})
		require.True(t, r.prove(i%2, token, proof).ran)
		for j := range 2 {
			require.False(t, r.prove(j, token, proof).ran)
		}
	}
	client := server.client(server.address)
	for name, value := range all(t, client) {
		assert.Regexp(t, `^pxd:[\w-]{22}$`, name)
		assert.NotContains(t, name+value, "canary")
		life, err := client.PTTL(t.Context(), name).Result()
		require.NoError(t, err)
		assert.LessOrEqual(t, life, 10*time.Minute)
		assert.Greater(t, life, 9*time.Minute)
	}
	size, err := client.MemoryUsage(t.Context(), slices.Sorted(maps.Keys(all(t, client)))[0]).Result()
	require.NoError(t, err)
	t.Logf("%d bytes for a proof", size)
}

// during uses everything during a fault, by several at once, and returns the tasks that began at the first replica.
func (r *replicas) during(tally *faultTally, rounds int, owner, other, gone string) (late []string) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	holder := mcpauthtest.NewKey("holder", "ES256")
	bound := r.issuer.BoundToken(holder, mcpauthtest.Claims{"aud": resource, "sub": "holder"})
	note := func(a answer, mine, forbidden bool) {
		tally.requests.Add(1)
		switch {
		case a.status == http.StatusServiceUnavailable:
			tally.doubts.Add(1)
		case a.ran:
			tally.served.Add(1)
		case mine && a.notFound():
			tally.lost.Add(1)
		}
		if forbidden && a.ran {
			tally.wrongAllows.Add(1)
		}
	}
	for worker := range 4 {
		workers.Go(func() {
			for round := range rounds {
				i := (worker + round) % 2
				note(r.get(i, owner, "canary-mine"), true, false)
				note(r.get(i, other, "canary-mine"), false, true)
				note(r.ask(r.lists[i], gone, "ping", ""), false, true)
				note(r.ask(r.lists[i], owner, "ping", ""), false, false)
				list := r.ask(r.tasks[i], owner, "tasks/list", "")
				list.ran = list.ran && list.status == http.StatusOK
				note(list, false, strings.Contains(list.body, "theirs"))
				if list.ran && !strings.Contains(list.body, "mine") {
					tally.lost.Add(1)
				}
				id := fmt.Sprint("canary-late-", worker, "-", round)
				began := r.begin(i, owner, id)
				note(began, false, false)
				if !began.ran {
					tally.lost.Add(1) // the handler was not asked
				}
				if i == 0 {
					mu.Lock()
					late = append(late, id)
					mu.Unlock()
				}
				proof := holder.Proof(http.MethodPost, resource, bound, nil)
				first := r.prove(i, bound, proof)
				note(first, false, false)
				if !first.ran {
					tally.lost.Add(1) // a lawful request
				}
				note(r.prove(i, bound, proof), false, true)
				jti := fmt.Sprint("late-", worker, "-", round)
				if err := r.revoke[i].RevokeToken(context.Background(), r.issuer.URL(), jti, time.Now().Add(time.Hour)); err == nil {
					note(r.ask(r.lists[1-i], r.token(mcpauthtest.Claims{"jti": jti}), "ping", ""), false, true)
				}
			}
		})
	}
	workers.Wait()
	return late
}

// TestFloodInRedis_STORE_05: 100,000 tasks of one user leave another the one that it has, and no more than their places in the server.
func TestFloodInRedis_STORE_05(t *testing.T) {
	server := startRedis(t, false)
	r := newReplicas(t, server, server.address)
	owner, flooder := r.token(nil), r.token(mcpauthtest.Claims{"sub": "flooder"})
	require.True(t, r.begin(0, owner, "mine").ran)
	const flood, workers = 100_000, 16
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < flood; i += workers {
				if !r.begin(i%2, flooder, fmt.Sprint("flood-", i)).ran {
					t.Errorf("task %d was not begun", i)
				}
			}
		})
	}
	all.Wait()
	require.True(t, r.begin(0, flooder, "last").ran)
	for i := range 2 {
		assert.True(t, r.get(i, owner, "mine").ran)
		assert.True(t, r.get(i, flooder, "last").ran)
		assert.True(t, r.get(i, flooder, "flood-0").notFound())
		assert.True(t, r.get(i, flooder, "mine").notFound())
	}
	keys, err := server.client(server.address).Keys(t.Context(), "*").Result() // without those that are over, which the server takes away in its own time
	require.NoError(t, err)
	t.Logf("%d keys", len(keys))
	assert.LessOrEqual(t, len(keys), 3*1000+4+7+3*workers, "tasks, of each two places, and four counts of the flooder; seven of the owner")
	assert.NotContains(t, r.log.String(), "belongs to nobody")
	late := strings.Count(r.log.String(), "known to this process")
	assert.Less(t, late, 100, "of 100,000: a machine that is busy may be late now and then")
}

// TestSecretsInRedis_STORE_02: no key and no value of the server shows anything of a request, in no command that it is sent either.
func TestSecretsInRedis_STORE_02(t *testing.T) {
	server := startRedis(t, true)
	client := server.client(server.address)
	r := newReplicas(t, server, server.address)
	ctx := t.Context()
	owner := r.token(mcpauthtest.Claims{"sid": "canary-sid"})
	require.True(t, r.begin(0, owner, "canary-task").ran)
	require.True(t, r.get(1, owner, "canary-task").ran)
	until := time.Now().Add(time.Hour)
	require.NoError(t, r.revoke[0].RevokeToken(ctx, r.issuer.URL(), "canary-jti", until))
	require.NoError(t, r.revoke[0].RevokeSession(ctx, r.issuer.URL(), "canary-sid", until))
	require.NoError(t, r.revoke[0].RevokeSubject(ctx, r.issuer.URL(), "canary-user", time.Now(), until))
	assert.Equal(t, http.StatusUnauthorized, r.ask(r.lists[1], owner, "ping", "").status)
	found := all(t, client)
	assert.Len(t, found, 10, "a task, its places, and the counts of client and principal for this week and the last; a token, a session and a subject")
	for key, value := range found {
		assert.Regexp(t, `^px[a-z]:[\w-]{22}$`, key)
		for _, canary := range []string{"canary", owner[:40], "key.key.", "tools/call", resource} {
			assert.NotContains(t, value, canary)
		}
	}
	log, err := appendOnlyFile(server)
	require.NoError(t, err)
	assert.Contains(t, log, "pxt:")
	assert.NotContains(t, log, "canary")
}
