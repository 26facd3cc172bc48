package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/redisstore"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// setting is what a replica is told by its parent.
type setting struct {
	Number     int
	Origin     string // of the balancer
	Issuer     string
	Secret     string // with which the issuer is asked
	SessionKey []byte
	Dir        string // of the audit
	Store      string // address
	Planted    []string
}

// settingVariable is where it stands.
const settingVariable = "MCPAUTH_SOAK_REPLICA"

// measured is what a replica says of itself when nothing is under way.
type measured struct {
	Heap       int
	Goroutines int
	Lost       uint64
	Tokens     int
}

// replica is a process with one protected server of each SDK.
type replica struct {
	setting
	auths      map[string]*mcpauth.Middleware
	store      mcpauth.Store
	list       *revoke.List
	queues     []*auditlog.Queue
	logs       []*auditlog.Log
	plants     *plants
	transports map[string]*saysWho
	mu         sync.Mutex
	ran        map[int]int // executions, by number of the request
	revoked    map[string]bool
}

// TestReplica is the process: it is no test on its own.
func TestReplica(t *testing.T) {
	asked := os.Getenv(settingVariable)
	if asked == "" {
		return
	}
	r := &replica{auths: map[string]*mcpauth.Middleware{}, transports: map[string]*saysWho{}, ran: map[int]int{}, revoked: map[string]bool{}}
	require.NoError(t, json.Unmarshal([]byte(asked), &r.setting))
	r.plants = newPlants(r.Planted)
	logging.Disable()
	client := redis.NewClient(&redis.Options{Addr: r.Store, Protocol: 2})
	store, err := redisstore.New(client, "soak:")
	require.NoError(t, err)
	slow := new(slowness)
	go slow.watch()
	r.store = &timedStore{store, slow}
	r.list, err = revoke.New(r.store, r.SessionKey)
	require.NoError(t, err)
	mux := http.NewServeMux()
	for name, backend := range map[string]http.Handler{"/mcpgo": mcpGoHandler(r.plants), "/gosdk": goSDKHandler(r.plants)} {
		mux.Handle(name, r.serve(t, name, backend))
		mux.Handle("/.well-known/oauth-protected-resource"+name, r.auths[name].Wrap(http.NotFoundHandler()))
	}
	mux.HandleFunc("/soak/measure", r.measure)
	mux.HandleFunc("/soak/ran", r.tellRan)
	mux.HandleFunc("/soak/stacks", func(w http.ResponseWriter, _ *http.Request) { _ = pprof.Lookup("goroutine").WriteTo(w, 1) })
	mux.HandleFunc("/soak/revoke", r.revoke)
	mux.HandleFunc("/soak/reload", r.reload)
	mux.HandleFunc("/soak/slow", slow.tell)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = server.Serve(listener) }()
	fmt.Printf("{\"Port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent ends
	_ = server.Close()
}

// serve puts mcpauth in front of a backend.
func (r *replica) serve(t *testing.T, name string, backend http.Handler) http.Handler {
	r.transports[name] = &saysWho{name: strconv.Itoa(r.Number) + name, asks: r.plants.on[plantAsks], next: &http.Transport{DisableKeepAlives: true}}
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: r.auditPath(name), SyncEvery: auditlog.NoSync})
	require.NoError(t, err)
	queue := auditlog.NewQueue(file, 4096)
	log, err := auditlog.New(queue, auditlog.Options{FailClosed: true, Remote: func(ctx context.Context, _ mcpauth.Decision) string {
		number, _ := ctx.Value(numberKey{}).(string)
		return number
	}})
	require.NoError(t, err)
	config := r.config(name, firstPolicy)
	config.OnDecision = r.plants.decisions(log.OnDecision)
	auth, err := mcpauth.New(config)
	require.NoError(t, err)
	r.auths[name] = auth
	r.queues, r.logs = append(r.queues, queue), append(r.logs, log)
	wrapped := auth.Wrap(r.noteRan(backend))
	return r.plants.handler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		wrapped.ServeHTTP(w, q.WithContext(context.WithValue(q.Context(), numberKey{}, q.Header.Get(numberHeader))))
	}), r.noteRan(backend))
}

type numberKey struct{}

func (s *setting) auditPath(name string) string {
	return filepath.Join(s.Dir, strconv.Itoa(s.Number)+strings.ReplaceAll(name, "/", "-")+".jsonl")
}

// config is what the documentation has for several replicas. One server asks a list of its own what is revoked, the other one that
// they share.
func (r *replica) config(name string, p policy) mcpauth.Config {
	config := mcpauth.Config{
		Resource: r.Origin + name,
		Issuers: []mcpauth.Issuer{{
			URL: r.Issuer, DPoP: mcpauth.DPoPAccepted,
			Introspect: &mcpauth.Introspection{Client: clientauth.SecretBasic("soak", r.Secret)},
		}},
		Policy:                rules(p),
		Scopes:                []string{"mcp:read"},
		Leeway:                leeway,
		AllowInsecureLoopback: true,
		Revoked:               r.list.Revoked,
		Transport:             r.transports[name],
	}
	config.SessionKey, config.Store = r.SessionKey, r.store
	if name == "/mcpgo" {
		config.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.revoked[p.TokenID], nil
		}
	}
	return config
}

// reload puts another configuration in force, or one with a mistake, which fails.
func (r *replica) reload(w http.ResponseWriter, q *http.Request) {
	path, name := q.FormValue("path"), q.FormValue("policy")
	config := r.config(path, map[string]policy{"first": firstPolicy, "second": secondPolicy}[name])
	if name == "broken" {
		config.Scopes = []string{"no scope"}
	}
	err := r.auths[path].Reload(q.Context(), config, "soak "+name)
	_ = json.NewEncoder(w).Encode(map[string]bool{"Failed": err != nil})
}

// rules are a policy for mcpauth.
func rules(p policy) mcpauth.Rules {
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{}, Methods: map[string]mcpauth.Requirement{}}
	for tool, scope := range p {
		rules.Tools[tool] = mcpauth.Scopes(scope)
	}
	for _, method := range []string{"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"} {
		rules.Methods[method] = mcpauth.Scopes("mcp:read")
	}
	return rules
}

// saysWho tells the authorization server which middleware asks.
type saysWho struct {
	name string
	asks bool // whether something has changed
	next http.RoundTripper
}

func (s *saysWho) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(replicaHeader, s.name)
	if s.asks && strings.HasPrefix(r.URL.Path, "/keys/") {
		r.Header.Set("If-None-Match", `"same"`)
	}
	return s.next.RoundTrip(r)
}

// noteRan counts what comes as far as the server.
func (r *replica) noteRan(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if number, err := strconv.Atoi(q.Header.Get(numberHeader)); err == nil && !r.plants.hit(plantIdle, q) {
			r.mu.Lock()
			r.ran[number]++
			if r.plants.hit(plantTwin, q) {
				r.ran[number]++
			}
			r.mu.Unlock()
		}
		next.ServeHTTP(w, q)
	})
}

// tellRan tells what ran since the last time.
func (r *replica) tellRan(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	ran := r.ran
	r.ran = map[int]int{}
	r.mu.Unlock()
	_ = json.NewEncoder(w).Encode(ran)
}

// revoke revokes a JWT in both lists.
func (r *replica) revoke(w http.ResponseWriter, q *http.Request) {
	until, _ := strconv.ParseInt(q.FormValue("until"), 10, 64)
	r.mu.Lock()
	r.revoked[q.FormValue("id")] = true
	r.mu.Unlock()
	err := r.list.RevokeToken(q.Context(), r.Issuer, q.FormValue("id"), time.Unix(until, 0))
	_ = json.NewEncoder(w).Encode(map[string]bool{"Failed": err != nil})
}

// sameStack is how many goroutines have a stack.
var sameStack = regexp.MustCompile(`(?m)^(\d+) @ `)

// waiting counts the goroutines in which mcp-go waits until it may forget a task.
func waiting() (n int) {
	var stacks bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	for block := range strings.SplitSeq(stacks.String(), "\n\n") {
		if found := sameStack.FindStringSubmatch(block); found != nil && strings.Contains(block, "scheduleTaskCleanup") {
			same, _ := strconv.Atoi(found[1])
			n += same
		}
	}
	return n
}

// measure waits until all records are written, and collects what nobody needs.
func (r *replica) measure(w http.ResponseWriter, _ *http.Request) {
	var m measured
	for i, queue := range r.queues {
		for deadline := time.Now().Add(10 * time.Second); queue.Pending() > 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		m.Lost += r.logs[i].Lost()
	}
	for _, auth := range r.auths {
		m.Tokens += auth.TokenMemory().Tokens
	}
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.Heap, m.Goroutines = int(stats.HeapAlloc), runtime.NumGoroutine()-waiting()
	if r.plants.on[plantLoss] {
		m.Lost++
	}
	_ = json.NewEncoder(w).Encode(m)
}
