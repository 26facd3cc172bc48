package soak

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// generation is a key that signs for a while, and is published for a while longer.
type generation struct {
	n                    int
	key                  *mcpauthtest.Key
	published, withdrawn time.Time // withdrawn: zero while it is published
}

// fault is how the authorization server is down.
type fault string

const (
	healthy     fault = ""
	reset       fault = "connections are reset"
	broken      fault = "500"
	hung        fault = "no answer"
	notModified fault = "304 with another body"
	garbage     fault = "200 with half a document"
)

var faults = []fault{reset, broken, hung, notModified, garbage}

// fetched is one answer to a question for the keys.
type fetched struct {
	by         string // which middleware has asked
	begun, end time.Time
	keys       map[*generation]bool
}

// asked is one answer to a question about an opaque token.
type asked struct {
	by     string
	at     time.Time
	active bool
}

// opaqueToken is a token that only the authorization server can read.
type opaqueToken struct {
	claims  map[string]any
	revoked time.Time // zero: never
	asked   []asked
}

// span is a time in which the authorization server was down.
type span struct{ from, to time.Time } // to is zero while it lasts

// authServer is an authorization server that rotates its keys, moves them, lies to conditional requests, and is down half of the
// time. It writes down what it has said, and to whom.
type authServer struct {
	url    string
	secret string
	plan   plan

	mu          sync.Mutex
	rand        *mathrand.Rand
	generations []*generation // of which the last one signs
	place       int           // of the keys
	moved       map[int]string
	fault       fault
	down        []span
	fetched     []fetched
	opaque      map[string]*opaqueToken
	conditions  int // conditional requests
	faulted     int // questions that were answered with a fault
	used        map[fault]bool
}

func newAuthServer(t testing.TB, p plan) *authServer {
	s := &authServer{
		plan: p, secret: rand.Text(), moved: map[int]string{}, opaque: map[string]*opaqueToken{}, used: map[fault]bool{},
		rand: mathrand.New(mathrand.NewPCG(p.seed, 1)),
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	s.rotate()
	return s
}

// live rotates, moves, breaks and mends the server until the run ends.
func (s *authServer) live(done <-chan struct{}) {
	rotation, turn := time.NewTicker(s.plan.rotate), time.NewTimer(s.plan.calm)
	defer rotation.Stop()
	defer turn.Stop()
	for {
		select {
		case <-rotation.C:
			s.rotate()
		case <-turn.C:
			turn.Reset(s.breakOrMend())
		case <-done:
			s.mend()
			return
		}
	}
}

// rotate publishes a new key, which signs from now on, under a new name or one that others have, and withdraws old ones. Now and
// then the keys move: their old place is empty, keeps what it had, or says nothing.
func (s *authServer) rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, n := time.Now(), len(s.generations)
	key := *mcpauthtest.NewKey(fmt.Sprint("soak-", n), "ES256")
	key.ID = fmt.Sprint("k", n)
	if n > 2 && s.rand.IntN(6) == 0 {
		key.ID = s.generations[n-2].key.ID
		if s.sharing(key.ID) > 2 { // more than four of one name are not tried
			key.ID = fmt.Sprint("k", n)
		}
	}
	if n > 0 && s.rand.IntN(5) == 0 {
		s.moved[s.place] = []string{"", s.document(), "silent"}[s.rand.IntN(3)]
		s.place++
	}
	s.generations = append(s.generations, &generation{n: n, key: &key, published: now})
	for i, g := range s.generations {
		if g.withdrawn.IsZero() && i+1 < len(s.generations) && now.Sub(s.generations[i+1].published) > s.plan.keep {
			g.withdrawn = now
		}
	}
}

// sharing counts the published keys of a name. It must be called with mu held.
func (s *authServer) sharing(kid string) (n int) {
	for _, g := range s.generations {
		if g.withdrawn.IsZero() && g.key.ID == kid {
			n++
		}
	}
	return n
}

func (s *authServer) breakOrMend() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == healthy {
		s.fault = faults[len(s.used)%len(faults)]
		if len(s.used) == len(faults) { // each was there
			s.fault = faults[s.rand.IntN(len(faults))]
		}
		s.used[s.fault] = true
		s.down = append(s.down, span{from: time.Now()})
	} else {
		s.mendLocked()
	}
	return s.plan.shortest + time.Duration(s.rand.Int64N(int64(s.plan.longest-s.plan.shortest)))
}

func (s *authServer) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mendLocked()
}

func (s *authServer) mendLocked() {
	if s.fault != healthy {
		s.fault = healthy
		s.down[len(s.down)-1].to = time.Now()
	}
}

// document is the key set. It must be called with mu held.
func (s *authServer) document() string {
	keys := []any{}
	for _, g := range s.generations {
		if g.withdrawn.IsZero() {
			keys = append(keys, g.key.JWK())
		}
	}
	text, _ := json.Marshal(map[string]any{"keys": keys})
	return string(text)
}

func (s *authServer) published() map[*generation]bool {
	keys := map[*generation]bool{}
	for _, g := range s.generations {
		if g.withdrawn.IsZero() {
			keys[g] = true
		}
	}
	return keys
}

// replicaHeader tells the authorization server who asks.
const replicaHeader = "Soak-Replica"

func (s *authServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, by := time.Now(), r.Header.Get(replicaHeader)
	s.mu.Lock()
	if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
		s.conditions++
	}
	conditional := r.Header.Get("If-None-Match") != ""
	fault, place := s.fault, fmt.Sprint("/keys/", s.place)
	if fault != healthy {
		s.faulted++
	}
	body, keys, found := "", map[*generation]bool(nil), true
	switch {
	case r.URL.Path == "/introspect":
		body = s.answer(r, by, fault)
	case strings.HasSuffix(r.URL.Path, "/oauth-authorization-server"):
		body = s.metadata()
	case r.URL.Path == place:
		body, keys = s.document(), s.published()
	case strings.HasPrefix(r.URL.Path, "/keys/"):
		old := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/keys/%d", &old)
		body = s.moved[old]
		keys, found = s.inDocument(body), body != ""
		if body == "silent" {
			fault = hung
		}
	default:
		found = false
	}
	s.mu.Unlock()
	if fault == healthy && conditional {
		fault = notModified // it always says that nothing has changed
	}
	if !found && fault == healthy {
		http.NotFound(w, r)
		return
	}
	if !respond(w, r, fault, body) || keys == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = append(s.fetched, fetched{by: by, begun: begun, end: time.Now(), keys: keys})
}

// inDocument are the generations in a key set that was kept. It must be called with mu held.
func (s *authServer) inDocument(text string) map[*generation]bool {
	var set struct{ Keys []map[string]any }
	if json.Unmarshal([]byte(text), &set) != nil {
		return nil
	}
	keys := map[*generation]bool{}
	for _, g := range s.generations {
		for _, jwk := range set.Keys {
			if jwk["x"] == g.key.JWK()["x"] {
				keys[g] = true
			}
		}
	}
	return keys
}

func (s *authServer) metadata() string {
	text, _ := json.Marshal(map[string]any{
		"issuer": s.url, "authorization_endpoint": s.url + "/authorize", "token_endpoint": s.url + "/token",
		"jwks_uri": fmt.Sprint(s.url, "/keys/", s.place), "introspection_endpoint": s.url + "/introspect",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
	})
	return string(text)
}

// answer is what is said about an opaque token, and written down unless it is not said. It must be called with mu held.
func (s *authServer) answer(r *http.Request, by string, fault fault) string {
	token, now := r.PostFormValue("token"), time.Now()
	o := s.opaque[token]
	active := o != nil && o.revoked.IsZero() && now.Unix() < o.claims["exp"].(int64)
	if o != nil && fault == healthy {
		o.asked = append(o.asked, asked{by, now, active})
	}
	if !active {
		return `{"active":false}`
	}
	text, _ := json.Marshal(o.claims)
	return string(text)
}

// respond reports whether the whole of the answer was sent.
func respond(w http.ResponseWriter, r *http.Request, fault fault, body string) bool {
	switch fault {
	case reset:
		hijack(w, "")
	case broken:
		http.Error(w, "down", http.StatusInternalServerError)
	case hung:
		select {
		case <-r.Context().Done():
		case <-time.After(8 * time.Second):
		}
		hijack(w, "")
	case notModified:
		hijack(w, fmt.Sprintf("HTTP/1.1 304 Not Modified\r\nETag: \"same\"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"same"`) // whatever is in it
		w.Header().Set("Cache-Control", "max-age=300")
		if fault == garbage {
			body = body[:len(body)/2]
		}
		_, err := w.Write([]byte(body))
		return err == nil && fault == healthy
	}
	return false
}

// hijack sends a text as it stands, and ends the connection.
func hijack(w http.ResponseWriter, text string) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := connection.(*net.TCPConn); ok && text == "" {
		_ = tcp.SetLinger(0)
	}
	_, _ = connection.Write([]byte(text))
	_ = connection.Close()
}

// signer is the key that signs now.
func (s *authServer) signer() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generations[len(s.generations)-1]
}

// mint makes a token, and the facts of it.
func (s *authServer) mint(resource string, f facts) facts {
	f.resource = resource
	now := time.Now()
	claims := map[string]any{
		"iss": s.url, "aud": resource, "sub": f.sub, "client_id": f.client, "scope": strings.Join(f.scopes, " "),
		"iat": now.Unix(), "exp": f.exp.Unix(), "jti": rand.Text(),
	}
	f.exp, f.id = time.Unix(f.exp.Unix(), 0), claims["jti"].(string)
	if f.key != nil {
		claims["cnf"] = map[string]any{"jkt": f.key.Thumbprint()}
	}
	maps.Copy(claims, f.claims)
	if f.kind == opaque {
		delete(claims, "jti")
		claims["active"], claims["token_type"] = true, "Bearer"
		f.text = "soak_" + rand.Text()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.opaque[f.text] = &opaqueToken{claims: claims}
		return f
	}
	f.signer = s.signer()
	header := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": f.signer.key.ID}
	maps.Copy(header, f.header)
	f.text = f.signer.key.Sign(text(header), text(claims))
	return f
}

// revoke takes an opaque token back.
func (s *authServer) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opaque[token].revoked = time.Now()
}

// prune forgets what no request can depend on any more.
func (s *authServer) prune(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[string]int{} // of each middleware the last answer stays
	for i, f := range s.fetched {
		last[f.by] = i
	}
	kept := s.fetched[:0]
	for i, f := range s.fetched {
		if f.end.After(before) || last[f.by] == i {
			kept = append(kept, f)
		}
	}
	s.fetched = kept
	maps.DeleteFunc(s.opaque, func(_ string, o *opaqueToken) bool { return o.claims["exp"].(int64) < before.Unix() })
	s.down = slices.DeleteFunc(s.down, func(d span) bool { return !d.to.IsZero() && d.to.Before(before) })
}

func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
