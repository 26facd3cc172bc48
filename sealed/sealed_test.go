package sealed_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/seal"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

func arguments(text string) json.RawMessage { return json.RawMessage(text) }

// kindOf asserts that an error is that of a state which is not accepted, with the fixed words, and returns its kind.
func kindOf(t *testing.T, err error) sealed.Kind {
	t.Helper()
	require.ErrorIs(t, err, sealed.ErrState)
	assert.NotErrorIs(t, err, io.EOF)
	assert.Equal(t, "request state not accepted", err.Error())
	var e *sealed.Error
	require.ErrorAs(t, err, &e)
	return e.Kind
}

// What a state is bound to: each of it changed is refused, with the same words, and nothing comes out.
func TestBound_STATE_01_STATE_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		s := newSealer(t, sealed.Config{Logger: log.logger()})
		u1, call := as("u1", "c1"), sealed.Tool("echo", arguments(`{"a":1,"b":[true,null]}`))
		state, err := s.Seal(u1, call, map[string]string{"secret": canary})
		require.NoError(t, err)
		assert.Empty(t, log.take(), "no wrapper, and so no other resource")

		user := mcpauth.Principal{Issuer: issuerURL, Subject: "u1", ClientID: "c1"}
		other := func(change func(p *mcpauth.Principal)) context.Context {
			p := user
			change(&p)
			return mcpauthtest.NewContext(t.Context(), &p)
		}
		refreshed := other(func(p *mcpauth.Principal) {
			p.Scopes, p.TokenID, p.Expiry, p.Audiences = []string{"mcp:admin"}, "another", time.Now(), []string{"x"}
		})
		changed := func(change func(c *mcpauth.Call)) mcpauth.Call {
			c := call
			change(&c)
			return c
		}
		for _, row := range []struct {
			name string
			ctx  context.Context
			call mcpauth.Call
			want sealed.Kind
		}{
			{"the same", u1, call, ""},
			{"a refreshed token with other scopes", refreshed, call, ""},
			{"another user", as("u2", "c1"), call, sealed.OtherPrincipal},
			{"the same subject of another issuer", other(func(p *mcpauth.Principal) { p.Issuer += "/" }), call, sealed.OtherPrincipal},
			{"a client of that name", other(func(p *mcpauth.Principal) { p.Client = true }), call, sealed.OtherPrincipal},
			{"another client", as("u1", "c2"), call, sealed.OtherClient},
			{"no client", as("u1", ""), call, sealed.OtherClient},
			{"nobody", t.Context(), call, sealed.NoPrincipal},
			{"a principal of nothing", mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{}), call, sealed.NoPrincipal},
			{"another tool", u1, changed(func(c *mcpauth.Call) { c.Name = "admin_delete" }), sealed.OtherCall},
			{"another method", u1, changed(func(c *mcpauth.Call) { c.Method = "prompts/get" }), sealed.OtherCall},
			{"a resource of that name", u1, changed(func(c *mcpauth.Call) { c.Method = "resources/read" }), sealed.OtherCall},
			{"a method that has no state", u1, changed(func(c *mcpauth.Call) { c.Method = "tools/list" }), sealed.NoCall},
			{"no target", u1, changed(func(c *mcpauth.Call) { c.Name = "" }), sealed.NoCall},
			{"another argument", u1, sealed.Tool("echo", arguments(`{"a":2,"b":[true,null]}`)), sealed.OtherArguments},
			{"one argument less", u1, sealed.Tool("echo", arguments(`{"a":1}`)), sealed.OtherArguments},
			{"one more", u1, sealed.Tool("echo", arguments(`{"a":1,"b":[true,null],"c":0}`)), sealed.OtherArguments},
			{"none", u1, sealed.Tool("echo", nil), sealed.OtherArguments},
			{"no object", u1, sealed.Tool("echo", arguments(`[1]`)), sealed.NoCall},
			{"a name twice", u1, sealed.Tool("echo", arguments(`{"a":1,"a":1}`)), sealed.NoCall},
			{"no JSON", u1, sealed.Tool("echo", func() {}), sealed.NoCall},
		} {
			log.take()
			var got map[string]string
			err := s.Open(row.ctx, row.call, state, &got)
			if row.want == "" {
				require.NoError(t, err, row.name)
				assert.Equal(t, map[string]string{"secret": canary}, got, row.name)
				assert.Empty(t, log.take(), row.name)
				continue
			}
			assert.Equal(t, row.want, kindOf(t, err), row.name)
			assert.Nil(t, got, row.name)
			line := log.take()
			assert.Contains(t, line, "cause="+string(row.want)+" ", row.name)
			assert.Regexp(t, `fix="[a-z]`, line, row.name)
			whose := `""`
			if p, ok := mcpauth.FromContext(row.ctx); ok {
				whose = p.Key()
			}
			assert.Contains(t, line, " principal="+whose+" ", row.name)
			for _, secret := range []string{canary, state, "u1", "c1", "admin_delete"} {
				assert.NotContains(t, line, secret, row.name)
			}
			if row.want == sealed.NoPrincipal || row.want == sealed.NoCall {
				_, err := s.Seal(row.ctx, row.call, 1)
				var e *sealed.Error
				require.ErrorAs(t, err, &e, row.name)
				assert.Equal(t, row.want, e.Kind, row.name)
				assert.NotErrorIs(t, err, sealed.ErrState)
			}
		}

		time.Sleep(10*time.Minute - time.Nanosecond)
		require.NoError(t, s.Open(u1, call, state, new(any)))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, sealed.Expired, kindOf(t, s.Open(u1, call, state, new(any))))
	})
}

func TestTTL_STATE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSealer(t, sealed.Config{TTL: time.Hour})
		state, err := s.Seal(as("u", "c"), sealed.Resource("a:b"), 1)
		require.NoError(t, err)
		time.Sleep(time.Hour - time.Second)
		require.NoError(t, s.Open(as("u", "c"), sealed.Resource("a:b"), state, new(int)))
		time.Sleep(time.Second)
		require.ErrorIs(t, s.Open(as("u", "c"), sealed.Resource("a:b"), state, new(int)), sealed.ErrState)
	})
}

// Each bit of a state, each other spelling, and each piece of it.
func TestEveryBit_STATE_05(t *testing.T) {
	s, ctx, call := newSealer(t, sealed.Config{}), as("u1", "c1"), sealed.Tool("echo", nil)
	state, err := s.Seal(ctx, call, "v")
	require.NoError(t, err)
	require.NoError(t, s.Open(ctx, call, state, new(string)))
	tried := 0
	refused := func(changed string) {
		tried++
		var got any
		err := s.Open(ctx, call, changed, &got)
		if !errors.Is(err, sealed.ErrState) || got != nil {
			assert.Fail(t, "opened", "%q", changed)
		}
	}
	for i := range state {
		for bit := range 8 {
			changed := []byte(state)
			changed[i] ^= 1 << bit
			refused(string(changed))
		}
		refused(state[:i])
		refused(state[i:][1:])
		refused(state[:i] + "\n" + state[i:])
	}
	raw, err := base64.RawURLEncoding.DecodeString(state[len("v1.")+8:])
	require.NoError(t, err)
	head := state[:len("v1.")+8]
	for i := range raw {
		for bit := range 8 {
			changed := append([]byte(nil), raw...)
			changed[i] ^= 1 << bit
			refused(head + base64.RawURLEncoding.EncodeToString(changed))
		}
	}
	last := state[len(state)-1]
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if byte(c) != last { // some of them have other bits behind the last byte, and no other bytes
			refused(state[:len(state)-1] + string(c))
		}
	}
	for _, changed := range []string{
		"", "v1.", "v1.AAAAAAAA", state + "=", state + "\n", state + "\x00", " " + state, state + state, "v2." + state[3:], "V1." + state[3:],
		head + base64.URLEncoding.EncodeToString(raw) + "=", head + base64.StdEncoding.EncodeToString(raw), strings.Repeat("v", 1<<20),
		"v1." + strings.Repeat("A", 16<<10),
	} {
		refused(changed)
	}
	t.Logf("changed states refused: %d", tried)
}

// The log tells apart what is no state, what another key has sealed, and what somebody has changed.
func TestCauses_STATE_05(t *testing.T) {
	s, ctx, call := newSealer(t, sealed.Config{}), as("u1", "c1"), sealed.Tool("echo", nil)
	state, err := s.Seal(ctx, call, "v")
	require.NoError(t, err)
	head := state[:len("v1.")+8]
	for _, row := range []struct {
		state string
		want  sealed.Kind
	}{
		{"v1.AAAAAAA", sealed.Malformed}, {"v1.AAAAAAAA", sealed.UnknownKey}, {"v1.AAAAAAAAA", sealed.UnknownKey}, {head, sealed.Forged},
		{"v2." + state[3:], sealed.Malformed}, {head + strings.Repeat("A", 16<<10-len(head)), sealed.Forged}, {head + strings.Repeat("A", 16<<10-len(head)+1), sealed.Malformed},
	} {
		assert.Equal(t, row.want, kindOf(t, s.Open(ctx, call, row.state, new(string))), "%.40q", row.state)
	}
}

func TestSize_STATE_05(t *testing.T) {
	s, ctx, call := newSealer(t, sealed.Config{}), as("u1", "c1"), sealed.Tool("echo", nil)
	fits := strings.Repeat("x", 8<<10-2) // and its quotes
	state, err := s.Seal(ctx, call, fits)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(state), 16<<10)
	var got string
	require.NoError(t, s.Open(ctx, call, state, &got))
	assert.Equal(t, fits, got)

	var e *sealed.Error
	_, err = s.Seal(ctx, call, fits+"x")
	require.ErrorAs(t, err, &e)
	assert.Equal(t, sealed.TooLarge, e.Kind)
	assert.Equal(t, "request state cannot be sealed: state-too-large", err.Error())
	_, err = s.Seal(ctx, call, math.NaN())
	require.ErrorAs(t, err, &e)
	assert.Equal(t, sealed.NotJSON, e.Kind)
}

// The client learns nothing from a state, not even its length.
func TestEncrypted_STATE_04(t *testing.T) {
	s, ctx, call := newSealer(t, sealed.Config{}), as("SUBJECT-"+canary, "CLIENT-"+canary), sealed.Tool("TOOL-"+canary, arguments(`{"a":"`+canary+`"}`))
	seal := func(v string) string {
		state, err := s.Seal(ctx, call, v)
		require.NoError(t, err)
		raw, err := base64.RawURLEncoding.DecodeString(state[len("v1."):])
		require.NoError(t, err)
		assert.NotContains(t, state+string(raw), "CANARY")
		return state
	}
	assert.NotEqual(t, seal(canary), seal(canary))
	lengths := map[int]bool{}
	for n := 1; n <= 40; n++ {
		lengths[len(seal(strings.Repeat("x", n)))] = true
	}
	assert.Len(t, lengths, 1)
	for n := range 300 {
		lengths[len(seal(strings.Repeat("x", n)))] = true
	}
	assert.Len(t, lengths, 5, "in steps of 64 bytes")
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", s, s, s)} {
		assert.NotContains(t, shown, "k10123")
	}
}

// Three generations of keys, in the order of a rotation: states of neighbours open, others do not.
func TestRotation_STATE_07(t *testing.T) {
	ctx, call := as("u1", "c1"), sealed.Prompt("p", nil)
	k := func(seeds ...string) *sealed.Sealer {
		var keys [][]byte
		for _, seed := range seeds {
			keys = append(keys, keyOf(seed))
		}
		return newSealer(t, sealed.Config{Keys: keys})
	}
	stages := []*sealed.Sealer{k("old", "new"), k("new", "old"), k("new"), k("new", "third"), k("third", "new"), k("third")}
	sealedBy := []string{"old", "new", "new", "new", "third", "third"}
	opens := []string{"old new", "new old", "new", "new third", "third new", "third"}
	opened, refused := 0, 0
	for i, from := range stages {
		state, err := from.Seal(ctx, call, i)
		require.NoError(t, err)
		for j, to := range stages {
			var got int
			err := to.Open(ctx, call, state, &got)
			if strings.Contains(opens[j], sealedBy[i]) {
				opened++
				require.NoError(t, err, "stage %d in %d", i, j)
				assert.Equal(t, i, got)
				continue
			}
			refused++
			assert.Equal(t, sealed.UnknownKey, kindOf(t, err), "stage %d in %d", i, j)
			assert.Greater(t, max(i-j, j-i), 1, "neighbours")
		}
	}
	t.Logf("opened %d, refused %d", opened, refused)

	session := keyOf("session")
	for _, row := range []struct {
		name   string
		config sealed.Config
		want   string
	}{
		{"nothing", sealed.Config{}, `sealed: Config.Resource = "": must be the Resource of the mcpauth.Config` + "\nsealed: Config.Keys = none: give every replica the same key of 32 random bytes; in development set Ephemeral"},
		{"no URL", sealed.Config{Resource: "mcp", Keys: [][]byte{session}}, `sealed: Config.Resource = "mcp": must be the Resource of the mcpauth.Config`},
		{"no host", sealed.Config{Resource: "https://[", Keys: [][]byte{session}}, `sealed: Config.Resource = "https://[": must be the Resource of the mcpauth.Config`},
		{"ids", sealed.Config{Resource: testResource, Keys: [][]byte{[]byte("key-0020034401-0123456789abcdef01"), session, []byte("key-0024907291-0123456789abcdef01")}}, "sealed: Config.Keys[2] = the id ceRdGu3v: another key has the same id: make a new one"},
		{"short", sealed.Config{Resource: testResource, Keys: [][]byte{session, session[:31]}}, "sealed: Config.Keys[1] = 31 bytes: must be 32 random bytes or more"},
		{"zeros", sealed.Config{Resource: testResource, Keys: [][]byte{make([]byte, 32)}}, "sealed: Config.Keys[0] = 32 bytes: equal bytes: a buffer that nothing was written to, or a key that anybody can guess; fill it from crypto/rand"},
		{"twice", sealed.Config{Resource: testResource, Keys: [][]byte{session, session}}, "sealed: Config.Keys[1] = 32 bytes: the same key stands in front of it: leave one out"},
		{"both", sealed.Config{Resource: testResource, Keys: [][]byte{session}, Ephemeral: true}, "sealed: Config.Ephemeral = true: there are Keys: leave out one of the two"},
		{"many", sealed.Config{Resource: testResource, Keys: [][]byte{keyOf("a"), keyOf("b"), keyOf("c"), keyOf("d"), keyOf("e"), keyOf("f"), keyOf("g"), keyOf("h"), keyOf("i")}}, "sealed: Config.Keys = 9 keys: at most 8: leave out those whose states have expired"},
		{"long", sealed.Config{Resource: testResource, Keys: [][]byte{session}, TTL: time.Hour + 1}, "sealed: Config.TTL = 1h0m0.000000001s: must be an hour at most, or 0 for 10 minutes"},
		{"negative", sealed.Config{Resource: testResource, Keys: [][]byte{session}, TTL: -1}, "sealed: Config.TTL = -1ns: must be an hour at most, or 0 for 10 minutes"},
	} {
		_, err := sealed.New(row.config)
		require.EqualError(t, err, row.want, row.name)
		var e *sealed.ConfigError
		assert.ErrorAs(t, err, &e, row.name)
	}
	k("a", "b", "c", "d", "e", "f", "g", "h") // as many as there may be
}

// Replicas share keys and resource. Nothing else opens.
func TestReplicas_STATE_08(t *testing.T) {
	ctx, call := as("u1", "c1"), sealed.Tool("echo", nil)
	log := &logBuffer{}
	a, b := newSealer(t, sealed.Config{}), newSealer(t, sealed.Config{})
	elsewhere := newSealer(t, sealed.Config{Resource: testResource + "/"})
	ephemeral, err := sealed.New(sealed.Config{Resource: testResource, Ephemeral: true, Logger: log.logger()})
	require.NoError(t, err)
	assert.Contains(t, log.take(), "a retry that comes to another replica, or after a restart, is refused")
	another, err := sealed.New(sealed.Config{Resource: testResource, Ephemeral: true})
	require.NoError(t, err)
	for i, from := range []*sealed.Sealer{a, elsewhere, ephemeral} {
		state, err := from.Seal(ctx, call, 7)
		require.NoError(t, err)
		for j, to := range []*sealed.Sealer{a, b, elsewhere, ephemeral, another} {
			err := to.Open(ctx, call, state, new(int))
			if to == from || i == 0 && j == 1 {
				require.NoError(t, err)
				continue
			}
			assert.Equal(t, sealed.UnknownKey, kindOf(t, err), "%d in %d", i, j)
		}
	}
}

// What an SDK hands on, in place of the text.
func TestDecodedArguments_STATE_02(t *testing.T) {
	s, ctx := newSealer(t, sealed.Config{}), as("u1", "c1")
	state, err := s.Seal(ctx, sealed.Tool("echo", map[string]any{"a": 1.0, "b": "ü"}), 1)
	require.NoError(t, err)
	for _, same := range []any{arguments(`{"b":"\u00fc", "a":1e0}`), []byte(`{"a":1,"b":"ü"}`), map[string]any{"b": "ü", "a": 1}, struct {
		A int    `json:"a"`
		B string `json:"b"`
	}{1, "ü"}} {
		require.NoError(t, s.Open(ctx, sealed.Tool("echo", same), state, new(int)))
	}
	none, err := s.Seal(ctx, sealed.Tool("echo", nil), 1)
	require.NoError(t, err)
	for _, same := range []any{arguments(`{}`), arguments(`null`), json.RawMessage(nil), map[string]any(nil), map[string]any{}} {
		require.NoError(t, s.Open(ctx, sealed.Tool("echo", same), none, new(int)))
	}
	assert.Equal(t, sealed.OtherType, kindOf(t, s.Open(ctx, sealed.Tool("echo", nil), none, new(string))))
}

// A state that an earlier build has sealed, at the moment at which bubbles begin: what is derived from a key, and the
// form of a state, stay as they are, or replicas of two builds would refuse each other's.
const earlier = "v1.YWLx0LuOt0wHWiAaRnbxQbDv51JdU55ASIr33UZ4l7eHjiZcszgesu6Uxb-A7U12fPCD1HnklAninLeX-ePeeGHLHdNOndLo4vQFZkNj-3el5oOipoWDlxZuUP4KgRKh9iX_cYvza-baaZ1iTzayhrSjgNDoJP9o2s-QFGHVqiCorNc7vf5xrTKwCUNAvqKhfY8NshgMsoVYrHV9JtK7gXx61JbB1C4mBOEczJyT-RXUVwBqlop-9h4a_34CRhxmu1JN-1crT8AjXRQiUaba2rqnlfEhGaO-qBdFbJGgLZsn3w"

func TestVector_STATE_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, call := newSealer(t, sealed.Config{}), sealed.Tool("echo", arguments(`{"a":1}`))
		var got string
		require.NoError(t, s.Open(as("u1", "c1"), call, earlier, &got))
		assert.Equal(t, "v", got)

		// The same secret makes session ids: by a MAC, of which no part is in a state or in its key.
		mac := hmac.New(sha256.New, keyOf("k1"))
		mac.Write([]byte(testResource))
		own := mac.Sum(nil)
		sessions, err := sealed.New(sealed.Config{Resource: testResource, Keys: [][]byte{own}})
		require.NoError(t, err)
		assert.Equal(t, sealed.UnknownKey, kindOf(t, sessions.Open(as("u1", "c1"), call, earlier, &got)))
		for _, use := range []string{"cursor", "sealed v1.hand " + testResource, "sealed v1.wrapper " + testResource} {
			other, err := seal.New(own, use)
			require.NoError(t, err)
			_, ok := other.Open(earlier[11:], []byte(earlier[:11]))
			assert.False(t, ok, use)
		}
		same, err := seal.New(keyOf("k1"), "sealed v1.hand "+testResource)
		require.NoError(t, err)
		_, ok := same.Open(earlier[11:], []byte(earlier[:11]))
		assert.True(t, ok, "the test can tell")
	})
}
