package mcpauth

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/dpop"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// A verified token is found again for a minute, and what is found is not what
// callers get to see.
func TestSeen_TOK_62(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s, other := leaseMiddleware(t).generation().verifier.ordered[0], leaseMiddleware(t).generation().verifier.ordered[0]
		proof := proofOf(t, s)
		now := time.Now()
		good := func() *verified {
			return &verified{principal: Principal{Expiry: now.Add(time.Hour), Scopes: []string{"a"}}, evidence: evidence{issuer: s, proof: proof}, notBefore: now.UnixMicro()}
		}
		key := m.tokens.Key("token")
		for name, row := range map[string]struct {
			change func(*verified)
			after  time.Duration
			found  bool
		}{
			"at once":                          {nil, 0, true},
			"59 s later":                       {nil, 59 * time.Second, true},
			"TOK-62 a minute later":            {nil, time.Minute, false},
			"TOK-62 expired, within leeway":    {func(v *verified) { v.principal.Expiry = now.Add(-29 * time.Second) }, 0, true},
			"TOK-62 expired, beyond leeway":    {func(v *verified) { v.principal.Expiry = now.Add(10 * time.Second) }, 40 * time.Second, false},
			"INTRO-05 answered, 59 s ago":      {func(v *verified) { v.answer = &answer{asked: now.Add(-59 * time.Second)} }, 0, true},
			"INTRO-05 answered, expired":       {func(v *verified) { v.answer, v.principal.Expiry = &answer{asked: now}, now.Add(10*time.Second) }, 10 * time.Second, false},
			"JWKS-21 of another key set":       {func(v *verified) { v.proof = proofOf(t, other) }, 0, false},
			"the clock was set back, slightly": {func(v *verified) { v.notBefore = now.Add(30 * time.Second).UnixMicro() }, 0, true},
			"the clock was set back":           {func(v *verified) { v.notBefore = now.Add(31 * time.Second).UnixMicro() }, 0, false},
		} {
			v := good()
			if row.change != nil {
				row.change(v)
			}
			m.put(key, v, now, 30*time.Second)
			found := m.get(key, now.Add(row.after), 30*time.Second)
			assert.Equal(t, row.found, found != nil, name)
			m.tokens.Remove(key)
		}
	})
}

// A verified token that has expired is found no more by a machine that slept.
func TestSeen_EitherClock_TOK_62(t *testing.T) {
	m, s, now := newMemory(), leaseMiddleware(t).generation().verifier.ordered[0], time.Now()
	exp := now.Add(10 * time.Second).Round(0) // as a claim has it, without a monotonic reading
	key := m.tokens.Key("token")
	m.put(key, &verified{principal: Principal{Expiry: exp}, evidence: evidence{issuer: s, proof: proofOf(t, s)}}, now, 30*time.Second)
	slept := func(d time.Duration) time.Time { return shiftMonotonic(now.Add(d), -d) }
	assert.NotNil(t, m.get(key, slept(39*time.Second), 30*time.Second))
	assert.Nil(t, m.get(key, slept(41*time.Second), 30*time.Second))
}

// Whoever changes a principal changes a copy.
func TestPrincipalCopies_TOK_64(t *testing.T) {
	p := &Principal{Subject: "u", Scopes: []string{"a"}, Audiences: []string{"b"}, AMR: []string{"c"}, Actors: []string{"d"}, claims: `{}`}
	c := p.clone()
	assert.Equal(t, p, c)
	for _, list := range [][]string{c.Scopes, c.Audiences, c.AMR, c.Actors} {
		list[0] = "admin"
	}
	c.Subject = "root"
	assert.Equal(t, &Principal{Subject: "u", Scopes: []string{"a"}, Audiences: []string{"b"}, AMR: []string{"c"}, Actors: []string{"d"}, claims: `{}`}, p)
	assert.Nil(t, (*Principal)(nil).clone())
}

// TestMemoryIsFull_TOK_62: the operator is told once that tokens in use are forgotten, and can ask how many.
func TestMemoryIsFull_TOK_62(t *testing.T) {
	m := leaseMiddleware(t)
	var log bytes.Buffer
	m.operator.log = slog.New(slog.NewTextHandler(&log, nil))
	s, now := m.generation().verifier.ordered[0], time.Now()
	proof, claims := proofOf(t, s), strings.Repeat("c", 1<<20)
	room := 0
	for i := range 100 {
		v := &verified{principal: Principal{Issuer: s.url, Subject: strconv.Itoa(i), Expiry: now.Add(time.Hour), claims: claims}, evidence: evidence{issuer: s, proof: proof}}
		if m.memory.put(m.memory.tokens.Key(strconv.Itoa(i)), v, now, 0) {
			m.operator.tellFull(m.memory.tokens.Use().Entries)
		}
		use := m.TokenMemory()
		if i == 0 {
			room = use.MaxBytes / use.Bytes
			require.Less(t, room, 80)
		}
		require.Equal(t, TokenMemory{Tokens: min(i+1, room), Bytes: use.Bytes, MaxBytes: maxSeenBytes, Evicted: uint64(max(0, i+1-room))}, use)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), "level=WARN msg=\"mcpauth: more tokens are in use than there is memory for")
	assert.NotContains(t, log.String(), "ccc")
	assert.Zero(t, new(Middleware).TokenMemory())

	m.memory = memory{tokencache.New(maxSeen, 2<<10, (*verified).size)}
	log.Reset()
	for i := range 8 {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+leaseToken(t, fmt.Sprintf(
			`{"iss":"https://as.example.com","aud":"https://mcp.example.com/mcp","sub":"%d","client_id":"c","jti":"%[1]d","iat":%d,"exp":%d}`, i, now.Unix(), now.Unix()+3600)))
		_, err := m.Authenticate(r)
		require.NoError(t, err)
		if i == 0 {
			assert.Empty(t, log.String())
		}
	}
	assert.Equal(t, 1, strings.Count(log.String(), "mcpauth: more tokens are in use than there is memory for"), log.String())
}

// A verified takes what is booked for it.
func TestSizeOfVerified_TOK_62(t *testing.T) {
	if size := int(reflect.TypeFor[verified]().Size()); strconv.IntSize == 64 {
		assert.Equal(t, sizeOfVerified, allocated(size), "%d bytes", size)
		assert.Equal(t, sizeOfAnswer, allocated(int(reflect.TypeFor[answer]().Size())))
	}
	bound := &verified{binding: dpop.NewBinding(jose.Thumbprint{}, "u")}
	assert.GreaterOrEqual(t, bound.size()-new(verified).size(), jose.MaxKnown, "a key that is known again is booked")
	for size, want := range map[int]int{0: 0, 1: 16, 16: 16, 17: 32, 100: 112, 129: 144, 768: 768, 769: 865, 1000: 1125} {
		assert.Equal(t, want, allocated(size), size)
	}
	claims := `{"a":"` + strings.Repeat("c", 92) + `"}`
	for name, row := range map[string]struct {
		v    verified
		want int
	}{
		"nothing":     {verified{}, 352},
		"claims":      {verified{principal: Principal{claims: claims}}, 352 + 112},
		"escapes":     {verified{principal: Principal{claims: strings.Replace(claims, "c", `\`, 1)}}, 352 + 2*112},
		"a binding":   {verified{binding: new(dpop.Binding)}, 352 + 2448},
		"an answer":   {verified{evidence: evidence{answer: new(answer)}}, 352 + 64},
		"lists":       {verified{principal: Principal{Scopes: make([]string, 1, 3), Audiences: make([]string, 7), AMR: []string{"a"}, Actors: []string{"b"}}}, 352 + 48 + 112 + 16 + 16},
		"empty lists": {verified{principal: Principal{Scopes: []string{}}}, 352},
	} {
		assert.Equal(t, row.want, row.v.size(), name)
	}
}
