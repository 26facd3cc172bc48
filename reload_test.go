package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// config is the configuration of the fixture, changed.
func (f *fixture) config(change func(*mcpauth.Config)) mcpauth.Config {
	config := testConfig(f.issuer)
	if change != nil {
		change(&config)
	}
	return config
}

// echoNeeds is a policy for one tool.
func echoNeeds(scope string) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes(scope)}}
	}
}

type reloadKey struct{}

// TestReloadUnderLoad_RELOAD_01_RELOAD_05: with 8 callers and a change after the other, each request is judged by one
// configuration, nothing is fetched, and no session is lost.
func TestReloadUnderLoad_RELOAD_01_RELOAD_05(t *testing.T) {
	const reloads = 400
	f := newFixture(t, func(c *mcpauth.Config) {
		echoNeeds("a")(c)
		c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
			if record, ok := ctx.Value(reloadKey{}).(*mcpauth.Decision); ok {
				*record = d
			}
		}
	})
	token := f.token(mcpauthtest.Claims{"scope": "a"})
	session := f.session(t, token)
	handler := f.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "session", r.Header.Get("Mcp-Session-Id"))
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	needs := map[string]string{f.auth.ConfigStatus().Fingerprint: "a"}
	require.NoError(t, f.auth.Reload(t.Context(), f.config(echoNeeds("b")), "b"))
	needs[f.auth.ConfigStatus().Fingerprint] = "b"
	require.Len(t, needs, 2)
	fetches := f.issuer.Fetches(mcpauthtest.JWKS) + f.issuer.Fetches(mcpauthtest.Metadata)

	done := make(chan struct{})
	var requests [2]atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var d mcpauth.Decision
				r := newRequest(http.MethodPost, "/mcp", token, legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+session)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), reloadKey{}, &d)))
				need := needs[d.ConfigFingerprint]
				if !assert.Len(t, d.Rulings, 1) || !assert.Equal(t, []string{need}, d.Rulings[0].Required) {
					return
				}
				if need == "a" {
					requests[0].Add(1)
					assert.Equal(t, uint64(1), d.Generation%2)
					assert.Equal(t, http.StatusOK, w.Code, w.Body)
				} else {
					requests[1].Add(1)
					assert.Equal(t, uint64(0), d.Generation%2)
					assert.Equal(t, http.StatusForbidden, w.Code, w.Body)
					assert.Contains(t, w.Header().Get("WWW-Authenticate"), `scope="b"`)
				}
			}
		})
	}
	for i := range reloads {
		scope := []string{"a", "b"}[i%2]
		assert.NoError(t, f.auth.Reload(t.Context(), f.config(echoNeeds(scope)), scope))
		var d mcpauth.Decision
		r := newRequest(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
		f.serve(r.WithContext(context.WithValue(r.Context(), reloadKey{}, &d)))
		assert.Equal(t, []string{scope}, d.Rulings[0].Required, "a request that begins after Reload has returned")
	}
	close(done)
	wg.Wait()
	assert.Equal(t, uint64(reloads+2), f.auth.ConfigStatus().Generation)
	assert.Equal(t, fetches, f.issuer.Fetches(mcpauthtest.JWKS)+f.issuer.Fetches(mcpauthtest.Metadata), "fetches")
	assert.Positive(t, requests[0].Load())
	assert.Positive(t, requests[1].Load())
	t.Logf("reloads: %d, requests judged by the one and the other: %d and %d, mixed: 0", reloads, requests[0].Load(), requests[1].Load())
}

// TestReloadBroken_RELOAD_02_RELOAD_06: with a mistake nothing changes, and every mistake is returned.
func TestReloadBroken_RELOAD_02_RELOAD_06(t *testing.T) {
	f := newFixture(t, nil)
	f.served(f.call(f.token(nil), "echo"))
	fingerprint := f.auth.ConfigStatus().Fingerprint
	answers := func() string {
		var b strings.Builder
		for _, w := range []*httptest.ResponseRecorder{
			f.call(f.token(nil), "echo"), f.call(f.token(nil), "admin_delete"), f.call("", "echo"), f.do(http.MethodGet, testMetadataURL, "", ""),
		} {
			header := w.Result().Header
			header.Del("Date")
			fmt.Fprintln(&b, w.Code, header, w.Body)
		}
		return b.String()
	}
	before := answers()
	issuer := func(change func(*mcpauth.Issuer)) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) { c.Issuers = slices.Clone(c.Issuers); change(&c.Issuers[0]) }
	}
	for name, tt := range map[string]struct {
		change func(*mcpauth.Config)
		field  string
	}{
		"resource":                {func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/other" }, "Resource"},
		"session key":             {func(c *mcpauth.Config) { c.SessionKey = []byte(strings.Repeat("0123", 8)) }, "SessionKey"},
		"old session keys":        {func(c *mcpauth.Config) { c.OldSessionKeys = [][]byte{storeKey}; c.SessionKey = oldStoreKey }, "SessionKey"},
		"store":                   {func(c *mcpauth.Config) { c.SessionKey, c.Store = storeKey, revoke.MemoryStore() }, "SessionKey Store"},
		"transport":               {func(c *mcpauth.Config) { c.Transport = &http.Transport{} }, "Transport"},
		"no transport":            {func(c *mcpauth.Config) { c.Transport = nil }, "Transport"},
		"loopback":                {func(c *mcpauth.Config) { c.AllowInsecureLoopback = true }, "AllowInsecureLoopback"},
		"hook":                    {func(c *mcpauth.Config) { c.OnDecision = func(context.Context, mcpauth.Decision) {} }, "OnDecision"},
		"served":                  {func(c *mcpauth.Config) { c.OnServed = func(context.Context, mcpauth.Served) {} }, "OnServed"},
		"code after rules":        {func(c *mcpauth.Config) { c.Policy = mcpauth.PolicyFunc(nobody) }, "Policy"},
		"no resource":             {func(c *mcpauth.Config) { c.Resource = "" }, "Resource"},
		"no issuer":               {func(c *mcpauth.Config) { c.Issuers = nil }, "Issuers"},
		"issuer that is no URL":   {issuer(func(i *mcpauth.Issuer) { i.URL = "login" }), "Issuers[0].URL"},
		"audience":                {issuer(func(i *mcpauth.Issuer) { i.Audiences = []string{"x"} }), "Issuers[0].Audiences"},
		"algorithm":               {issuer(func(i *mcpauth.Issuer) { i.Algorithms = []string{"HS256"} }), "Issuers[0].Algorithms[0]"},
		"two sources of keys":     {issuer(func(i *mcpauth.Issuer) { i.JWKSURI, i.Keys = "https://x.example/keys", []byte("{}") }), "Issuers[0].JWKSURI"},
		"keys that are not there": {issuer(func(i *mcpauth.Issuer) { i.JWKSURI = testIssuerURL + "/nowhere" }), "Issuers[0].URL"},
		"rule":                    {func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"a": {}}} }, `Policy.Tools["a"]`},
		"nil policy":              {func(c *mcpauth.Config) { c.Policy = (*mcpauth.Rules)(nil) }, "Policy"},
		"scope":                   {func(c *mcpauth.Config) { c.Scopes = []string{"a b"} }, "Scopes[0]"},
		"hierarchy":               {func(c *mcpauth.Config) { c.Implies = map[string][]string{"a": {"a"}} }, "Implies"},
		"origin":                  {func(c *mcpauth.Config) { c.AllowedOrigins = []string{"*"} }, "AllowedOrigins[0]"},
		"metadata":                {func(c *mcpauth.Config) { c.Metadata = map[string]any{"resource": "x"} }, `Metadata["resource"]`},
		"leeway":                  {func(c *mcpauth.Config) { c.Leeway = time.Hour }, "Leeway"},
		"body":                    {func(c *mcpauth.Config) { c.MaxBody = 1 }, "MaxBody"},
		"several":                 {func(c *mcpauth.Config) { c.MaxBody, c.Leeway = 1, time.Hour }, "Leeway MaxBody"},
	} {
		err := f.auth.Reload(t.Context(), f.config(tt.change), name)
		require.Error(t, err, name)
		var fields []string
		for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
			var mistake *mcpauth.ConfigError
			require.ErrorAs(t, one, &mistake, name)
			fields = append(fields, mistake.Field)
		}
		assert.Equal(t, strings.Fields(tt.field), fields, name)
		assert.Equal(t, fingerprint, f.auth.ConfigStatus().Fingerprint, name)
		assert.Equal(t, before, answers(), name)
	}
	assert.Equal(t, uint64(1), f.auth.ConfigStatus().Generation)
	assert.Error(t, new(mcpauth.Middleware).Reload(t.Context(), f.config(nil), ""))
	new(mcpauth.Middleware).ReloadFailed(t.Context(), "file", errors.New("not there"))
}

func nobody(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
	return mcpauth.Requirement{}, nil
}

// TestReloadStreams_RELOAD_03: a stream ends with its issuer, and with the rule for its calls, and goes on otherwise.
func TestReloadStreams_RELOAD_03(t *testing.T) {
	other := func(c *mcpauth.Config) {
		c.Issuers = []mcpauth.Issuer{{URL: "https://other.example.com", Keys: []byte(otherKeys(t))}}
	}
	for name, tt := range map[string]struct {
		change func(*mcpauth.Config)
		reason mcpauth.Reason // "" if it goes on
		last   string
	}{
		"another rule":         {func(c *mcpauth.Config) { c.Scopes = nil }, "", ""},
		"one issuer more":      {func(c *mcpauth.Config) { one := *c; other(&one); c.Issuers = append(c.Issuers, one.Issuers...) }, "", ""},
		"another issuer":       {other, mcpauth.ErrIssuer, lastEvent(-31401, "issuer not accepted")},
		"an issuer with limit": {func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = 500 * time.Hour }, mcpauth.ErrIssuer, lastEvent(-31401, "issuer not accepted")},
		"another scope":        {echoNeeds("mcp:audit"), mcpauth.ErrInsufficientScope, ""},
		"no rule":              {func(c *mcpauth.Config) { c.Policy = nil }, mcpauth.ErrForbidden, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				stream := f.lasts(f.request(http.MethodPost, "/mcp", longToken(f, nil), modernCall("echo"), modernHeaders("tools/call", "echo")...))
				time.Sleep(time.Second)
				require.NoError(t, f.auth.Reload(t.Context(), f.config(tt.change), ""))
				if tt.reason == "" {
					stream.goesOn(t)
					return
				}
				synctest.Wait()
				require.NotZero(t, stream.ended, "the stream goes on")
				assert.Equal(t, time.Now(), stream.ended)
				assert.ErrorIs(t, stream.cause, tt.reason)
				assert.ErrorIs(t, stream.writeErr, tt.reason)
				if tt.last != "" {
					assert.Equal(t, streamEvent+tt.last, stream.w.Body.String())
				}
				stream.leave()
			})
		})
	}
}

// TestReloadSideBySide_RELOAD_03: a stream waits neither for what is asked about another caller's nor for a longer one of its own, and not for rules
// where none are needed. Reload waits for none.
func TestReloadSideBySide_RELOAD_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := mcpauth.Rules{Resources: map[string]mcpauth.Requirement{"notes://*": mcpauth.Scopes("mcp:read")}}
		f := newFixture(t, func(c *mcpauth.Config) { c.Policy, c.Leeway = rules, 5*time.Minute })
		listens := func(uri, subject string, life time.Duration) *lasting {
			token := f.token(mcpauthtest.Claims{"sub": subject, "exp": time.Now().Add(life).Unix()})
			body := modernBody("subscriptions/listen", `"notifications":{"resourceSubscriptions":["`+uri+`"]}`)
			return f.lasts(f.request(http.MethodPost, "/mcp", token, body, modernHeaders("subscriptions/listen", "")...))
		}
		var slow, quick, theirs, expired []*lasting
		for range 4 {
			slow = append(slow, listens("notes://slow", "slow", time.Hour))
			quick = append(quick, listens("notes://a", "slow", time.Hour))
			theirs = append(theirs, listens("notes://theirs", "other", time.Hour))
			expired = append(expired, listens("notes://slow", "slow", 10*time.Second))
		}
		time.Sleep(2 * time.Minute)
		reload := func(policy mcpauth.Policy) {
			returned := false
			go func() {
				assert.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Policy, c.Leeway = policy, time.Second }), ""))
				returned = true
			}()
			synctest.Wait()
			assert.True(t, returned, "Reload waits")
		}
		ended := func(streams []*lasting, reason mcpauth.Reason) {
			for _, s := range streams {
				assert.Equal(t, time.Now(), s.ended)
				assert.ErrorIs(t, s.cause, reason)
			}
		}
		var asked atomic.Int32
		answer := make(chan struct{})
		reload(&adding{Rules: rules, refine: func(call mcpauth.Call, _ mcpauth.Requirement) (mcpauth.Requirement, error) {
			if call.Name == "notes://slow" {
				asked.Add(1)
				<-answer
			}
			return mcpauth.Scopes("mcp:admin"), nil
		}})
		ended(expired, mcpauth.ErrExpired)
		ended(theirs, mcpauth.ErrInsufficientScope)
		ended(quick, mcpauth.ErrInsufficientScope)
		for _, s := range slow {
			assert.Zero(t, s.ended)
		}
		reload(mcpauth.Rules{})
		ended(slow, mcpauth.ErrForbidden)
		close(answer)
		synctest.Wait()
		assert.EqualValues(t, 1, asked.Load(), "one after the other, and not by rules that are not in force any more")
	})
}

// TestReloadCode_RELOAD_03: code for a policy counts for what begins, and is asked about a stream when that is due, not while Reload
// waits. Whether it has changed nobody can know.
func TestReloadCode_RELOAD_03_RELOAD_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes [][]string
		code := func(needs string) func(c *mcpauth.Config) {
			return func(c *mcpauth.Config) {
				c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Scopes(needs), nil })
			}
		}
		f := newFixture(t, func(c *mcpauth.Config) {
			code("mcp:read")(c)
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
				if d.Change != nil {
					changes = append(changes, d.Change.Changed)
				}
			}
		})
		stream := f.lasts(f.request(http.MethodPost, "/mcp", longToken(f, nil), modernCall("echo"), modernHeaders("tools/call", "echo")...))
		require.NoError(t, f.auth.Reload(t.Context(), f.config(code("mcp:read")), "perhaps the same"))
		require.NoError(t, f.auth.Reload(t.Context(), f.config(code("mcp:admin")), "another"))
		assert.Equal(t, [][]string{{"Policy"}, {"Policy"}}, changes)
		assert.Equal(t, uint64(3), f.auth.ConfigStatus().Generation)
		time.Sleep(67 * time.Second)
		synctest.Wait()
		assert.Greater(t, stream.ended.Sub(stream.begun), 50*time.Second, "when it is due anyway")
		assert.ErrorIs(t, stream.cause, mcpauth.ErrInsufficientScope)
		stream.leave()
	})
}

// TestReloadAdds_RELOAD_08: a policy that adds code to rules may have changed, whether it was there before, is there now, or both.
func TestReloadAdds_RELOAD_08(t *testing.T) {
	var changes []string
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			if c := d.Change; c != nil {
				changes = append(changes, fmt.Sprint(c.Added, c.Removed, c.Changed))
			}
		}
	})
	for _, adds := range []bool{true, true, false, false} {
		require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
			if adds {
				c.Policy = &adding{Rules: c.Policy.(mcpauth.Rules)}
			}
		}), ""))
	}
	assert.Equal(t, []string{"[Policy] [] []", "[] [] [Policy]", "[] [Policy] []"}, changes, "the last is the same as the one before")
}

// TestReloadFromCode_RELOAD_08: what was code has a type, and is told of when rules or other code take its place.
func TestReloadFromCode_RELOAD_08(t *testing.T) {
	var changes []string
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(nobody)
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			changes = append(changes, fmt.Sprint(d.Change.Added, d.Change.Removed, d.Change.Changed))
		}
	})
	fingerprints := []string{f.auth.ConfigStatus().Fingerprint}
	for _, policy := range []mcpauth.Policy{otherCode{}, mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Authenticated()}}} {
		require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Policy = policy }), ""))
		assert.NotContains(t, fingerprints, f.auth.ConfigStatus().Fingerprint)
		fingerprints = append(fingerprints, f.auth.ConfigStatus().Fingerprint)
	}
	assert.Equal(t, []string{"[] [] [Policy]", `[tools["echo"]] [Policy] []`}, changes)
}

type otherCode struct{}

func (otherCode) Require(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	return nobody(ctx, call)
}

// TestReloadTells_RELOAD_08: the log tells of each change, of what is wrong with it, and of an end of that.
func TestReloadTells_RELOAD_08_RELOAD_11(t *testing.T) {
	f := newFixture(t, nil)
	const again, changed = "the configuration can be used again", `level=INFO msg="mcpauth: another configuration is in force" source=file fingerprint=`
	require.NoError(t, f.auth.Reload(t.Context(), f.config(nil), "file"))
	assert.Empty(t, f.log.String(), "nothing has changed")
	require.EqualError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.AllowInsecureLoopback = true }), "file"),
		"mcpauth: Config.AllowInsecureLoopback = true: cannot change while the server runs: restart it")
	assert.NotContains(t, f.log.String(), again)
	require.NoError(t, f.auth.Reload(t.Context(), f.config(nil), "file"))
	assert.Contains(t, f.log.String(), `level=INFO msg="mcpauth: `+again+`, and is the one in force" source=file`)
	f.log.Reset()
	require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Policy = nil }), "file"))
	assert.Contains(t, f.log.String(), changed+f.auth.ConfigStatus().Fingerprint+" generation=2 added=0 removed=2 changed=0\n")
	assert.Contains(t, f.log.String(), "the policy has no rule")
	assert.Equal(t, 2, strings.Count(f.log.String(), "\n"))
}

// TestReloadHooks_RELOAD_06: the hooks of New may be given again, and a transport that nobody can compare may not.
func TestReloadHooks_RELOAD_06(t *testing.T) {
	hooks := func(c *mcpauth.Config) {
		c.OnDecision, c.OnServed = func(context.Context, mcpauth.Decision) {}, func(context.Context, mcpauth.Served) {}
	}
	f := newFixture(t, hooks)
	require.NoError(t, f.auth.Reload(t.Context(), f.config(hooks), ""))
	require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Leeway = time.Minute }), ""), "left out")
	require.NoError(t, f.auth.Reload(t.Context(), f.config(hooks), ""), "those of New are the ones that stay")
	var through roundTrip
	f = newFixture(t, func(c *mcpauth.Config) { through = c.Transport.RoundTrip; c.Transport = through })
	require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Transport = through }), ""))
	assert.ErrorContains(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Transport = roundTripToo(through) }), ""),
		"Config.Transport = another one", "the same function sends otherwise")
	f = newFixture(t, func(c *mcpauth.Config) { c.Transport = incomparable{c.Transport, nil} })
	assert.ErrorContains(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Transport = incomparable{c.Transport, nil} }), ""),
		"Config.Transport = another one: cannot change while the server runs: restart it")
}

type incomparable struct {
	http.RoundTripper
	_ []int
}

// otherKeys is a key set of somebody else.
func otherKeys(t *testing.T) string {
	t.Helper()
	issuer := mcpauthtest.NewIssuerAt(t, "https://other.example.com")
	r := httptest.NewRequest(http.MethodGet, "https://other.example.com/jwks", nil)
	answer, err := issuer.Transport().RoundTrip(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(content)
}

// TestReloadBetween_RELOAD_03: a response that becomes a stream after its issuer has gone ends at once, and a list
// that is replayed after a change is filtered by the new rules.
func TestReloadBetween_RELOAD_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var cause error
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			require.NoError(t, f.auth.Reload(r.Context(), f.config(func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = 500 * time.Hour }), ""))
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, streamEvent)
			<-r.Context().Done()
			cause = context.Cause(r.Context())
		}
		f.call(longToken(f, nil), "echo")
		assert.ErrorIs(t, cause, mcpauth.ErrIssuer)
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		const list = `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: "+list+"\n\n")
			require.NoError(t, f.auth.Reload(r.Context(), f.config(func(c *mcpauth.Config) {
				c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"admin_delete": mcpauth.Authenticated()}}
			}), ""))
			_, _ = io.WriteString(w, "data: "+list+"\n\n")
		}
		w := f.do(http.MethodGet, "/mcp", longToken(f, nil), "", "MCP-Protocol-Version: 2025-11-25", "Accept: text/event-stream")
		first, second, _ := strings.Cut(strings.TrimSpace(w.Body.String()), "\n\n")
		assert.Contains(t, first, "echo")
		assert.NotContains(t, first, "admin_delete")
		assert.Contains(t, second, "admin_delete")
		assert.NotContains(t, second, "echo")
	})
}

// TestReloadTasks_RELOAD_04: a task needs what the new policy says of the call that began it.
func TestReloadTasks_RELOAD_04(t *testing.T) {
	b := newTaskBed(t, nil)
	token := b.token(nil)
	b.begin(token, "echo", "task-1")
	b.served(b.modernTask(token, "tasks/get", "task-1"))
	rules := taskRules()
	rules.Tools["echo"] = mcpauth.Scopes("x")
	require.NoError(t, b.auth.Reload(t.Context(), b.config(func(c *mcpauth.Config) { c.Policy = rules }), ""))
	w := b.modernTask(token, "tasks/get", "task-1")
	b.refused(w, http.StatusForbidden, `Bearer error="insufficient_scope", scope="x", resource_metadata="`+testMetadataURL+`"`)
	b.unknown(b.modernTask(b.token(mcpauthtest.Claims{"sub": "user-2"}), "tasks/get", "task-1"))
	require.NoError(t, b.auth.Reload(t.Context(), b.config(func(c *mcpauth.Config) { c.Policy = taskRules() }), ""))
	b.served(b.modernTask(token, "tasks/get", "task-1"))
}

// TestReloadWarm_RELOAD_05: after a thousand changes nothing was fetched, the session is there, and memory has not grown.
func TestReloadWarm_RELOAD_05(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	session := f.session(t, token)
	fetches := func() int { return f.issuer.Fetches(mcpauthtest.JWKS) + f.issuer.Fetches(mcpauthtest.Metadata) }
	before := fetches()
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	change := func(i int) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Scopes = []string{"mcp:read", fmt.Sprintf("scope-%d", i%7)}
			if i%2 == 1 { // an issuer comes and goes
				c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: "https://other.example.com", Keys: []byte(`{"keys":[]}`), JWKSURI: ""})
				c.Issuers[1].Keys = nil
				c.Issuers[1].JWKSURI = testIssuerURL + "/jwks"
			}
		}
	}
	var grown uint64
	for i := range 1000 {
		require.NoError(t, f.auth.Reload(t.Context(), f.config(change(i)), ""))
		if i == 99 {
			f.log.Reset()
			grown = heap()
		}
	}
	f.log.Reset()
	if now := heap(); now > grown {
		assert.Less(t, now-grown, uint64(1<<20), "bytes")
	}
	f.served(f.post(token, legacyCall("echo"), "MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+session))
	assert.Equal(t, "session", f.last.Header.Get("Mcp-Session-Id"))
	assert.Equal(t, before, fetches(), "the other issuer reads the keys of the first one from its copy")
}

// TestReloadIssuer_RELOAD_06: an issuer that comes has its keys before it counts; one whose rules have changed judges tokens
// by these that it has let pass before, and one that goes accepts none.
func TestReloadIssuer_RELOAD_06(t *testing.T) {
	other := mcpauthtest.NewIssuerAt(t, "https://other.example.com")
	var f *fixture
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "other.example.com" {
			return other.Transport().RoundTrip(r)
		}
		return f.issuer.Transport().RoundTrip(r)
	})
	f = newFixture(t, func(c *mcpauth.Config) { c.Transport = transport })
	reload := func(change func(*mcpauth.Config)) error {
		return f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Transport = transport; change(c) }), "")
	}
	both := func(c *mcpauth.Config) { c.Issuers = append(c.Issuers, other.Config()) }
	own, others := f.token(nil), other.Token(mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"})
	f.served(f.call(own, "echo"))
	require.Equal(t, http.StatusUnauthorized, f.call(others, "echo").Code)

	other.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	require.ErrorContains(t, reload(both), "its keys cannot be had")
	require.Equal(t, http.StatusUnauthorized, f.call(others, "echo").Code)
	other.Break(mcpauthtest.JWKS, mcpauthtest.None)

	require.NoError(t, reload(both))
	fetches, documents := other.Fetches(mcpauthtest.JWKS), other.Fetches(mcpauthtest.Metadata)
	f.served(f.call(others, "echo"))
	f.served(f.call(own, "echo"))
	assert.Equal(t, fetches, other.Fetches(mcpauthtest.JWKS), "the keys were there before")
	assert.Len(t, f.auth.Issuers(), 2)

	require.NoError(t, reload(func(c *mcpauth.Config) { both(c); c.Issuers[1].RequireClaims = map[string][]string{"tid": {"x"}} }))
	assert.Equal(t, http.StatusForbidden, f.call(others, "echo").Code, "a token that was remembered")
	f.served(f.call(own, "echo"))
	assert.Equal(t, fetches, other.Fetches(mcpauthtest.JWKS), "its keys are the same")
	assert.Equal(t, documents, other.Fetches(mcpauthtest.Metadata), "and where they are")
	require.NoError(t, reload(both))
	f.served(f.call(others, "echo"))

	require.NoError(t, reload(func(*mcpauth.Config) {}))
	assert.Equal(t, http.StatusUnauthorized, f.call(others, "echo").Code)
	require.NoError(t, reload(both))
	f.ran = 0
	f.served(f.call(others, "echo"))
	assert.Greater(t, other.Fetches(mcpauthtest.JWKS), fetches, "it comes back cold")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type roundTripToo roundTrip

func (f roundTripToo) RoundTrip(r *http.Request) (*http.Response, error) {
	return f(r.Clone(r.Context()))
}

// TestReloadDocuments_RELOAD_07: metadata, its ETag and the challenges change with the configuration.
func TestReloadDocuments_RELOAD_07(t *testing.T) {
	f := newFixture(t, nil)
	get := func(headers ...string) *httptest.ResponseRecorder {
		return f.do(http.MethodGet, testMetadataURL, "", "", headers...)
	}
	old := get()
	require.Equal(t, http.StatusNotModified, get("If-None-Match: "+old.Header().Get("ETag")).Code)
	f.refused(f.call("", "echo"), http.StatusUnauthorized, bareChallenge)
	require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
		c.Scopes, c.Metadata, c.AllowedOrigins = []string{"mcp:audit"}, map[string]any{"resource_name": "New"}, []string{"https://app.example.com"}
	}), ""))
	f.refused(f.call("", "echo"), http.StatusUnauthorized, strings.Replace(bareChallenge, "mcp:read", "mcp:audit", 1))
	now := get("If-None-Match: " + old.Header().Get("ETag"))
	assert.Equal(t, http.StatusOK, now.Code)
	assert.Contains(t, now.Body.String(), `"resource_name":"New"`)
	assert.Contains(t, string(f.auth.MetadataJSON()), `"scopes_supported":["mcp:audit"]`)
	w := f.post(f.token(nil), modernCall("echo"), append(modernHeaders("tools/call", "echo"), "Origin: https://app.example.com")...)
	f.served(w)
	assert.Equal(t, "https://app.example.com", w.Header().Get("Access-Control-Allow-Origin"))
}

// TestReloadRecord_RELOAD_08: each change and each failure has one record, and who must not miss it can refuse.
func TestReloadRecord_RELOAD_08(t *testing.T) {
	var records []mcpauth.Decision
	var refuse error
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			records = append(records, d)
			if refuse != nil {
				d.Refuse(refuse)
			}
		}
	})
	first := f.auth.ConfigStatus().Fingerprint
	change := f.config(func(c *mcpauth.Config) {
		c.Leeway = time.Minute
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: "https://other.example.com", Keys: []byte(otherKeys(t))})
		c.Policy = mcpauth.Rules{
			Tools:   map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:write"), "new": mcpauth.Authenticated()},
			Methods: map[string]mcpauth.Requirement{"tools/list": mcpauth.Scopes("mcp:read")},
		}
	})
	only := func() mcpauth.Decision {
		require.Len(t, records, 1)
		d := records[0]
		records = nil
		require.NotNil(t, d.Change)
		assert.NotEmpty(t, d.ID)
		assert.NotZero(t, d.Time)
		assert.Equal(t, mcpauth.Decision{ID: d.ID, Time: d.Time, ConfigFingerprint: d.ConfigFingerprint, Generation: d.Generation, Change: d.Change}, stripped(d))
		return d
	}

	refuse = errors.New("disk full")
	require.ErrorIs(t, f.auth.Reload(t.Context(), change, "file"), refuse)
	assert.Equal(t, first, f.auth.ConfigStatus().Fingerprint, "what has no record is not in force")
	assert.False(t, f.auth.ConfigStatus().StaleSince.IsZero())
	only()
	refuse = nil

	require.NoError(t, f.auth.Reload(t.Context(), change, "mcpauth.json sha256:abc"))
	d := only()
	assert.Equal(t, first, d.ConfigFingerprint)
	assert.Equal(t, uint64(1), d.Generation)
	assert.Equal(t, mcpauth.ConfigChange{
		Source: "mcpauth.json sha256:abc", To: f.auth.ConfigStatus().Fingerprint,
		Added:   []string{`issuers["https://other.example.com"]`, `methods["tools/list"]`, `tools["new"]`},
		Removed: []string{`tools["admin_delete"]`},
		Changed: []string{"Issuers", "Leeway", `tools["echo"]`},
	}, *d.Change)
	assert.True(t, f.auth.ConfigStatus().StaleSince.IsZero())

	require.NoError(t, f.auth.Reload(t.Context(), change, "the same"))
	assert.Empty(t, records, "nothing has changed")
	assert.Equal(t, uint64(2), f.auth.ConfigStatus().Generation)

	inCode := change
	inCode.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, nil }
	require.NoError(t, f.auth.Reload(t.Context(), inCode, "code"))
	assert.Equal(t, []string{"Revoked"}, only().Change.Changed)
	require.NoError(t, f.auth.Reload(t.Context(), inCode, "perhaps other code"))
	assert.Equal(t, []string{"Revoked"}, only().Change.Changed, "a record says what it is about")
	require.NoError(t, f.auth.Reload(t.Context(), change, "without it"))
	assert.Empty(t, records, "the one that there is stays")

	err := f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.MaxBody = 1 }), "bad")
	d = only()
	assert.Equal(t, mcpauth.ConfigChange{Source: "bad", Err: err}, *d.Change)
	assert.Equal(t, uint64(4), d.Generation)
	require.Error(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.MaxBody = 1 }), "bad"))
	assert.Empty(t, records, "the same of the same is no news")

	f.call(f.token(nil), "echo")
	require.Len(t, records, 1)
	assert.Equal(t, f.auth.ConfigStatus().Fingerprint, records[0].ConfigFingerprint)
	assert.Equal(t, uint64(4), records[0].Generation)
	records = nil

	for n, more := range map[int]string{100: "", 101: "and 1 more", 150: "and 50 more"} {
		many, want := map[string]mcpauth.Requirement{}, []string(nil)
		for i := range n {
			name := fmt.Sprintf("tool-%d-%03d", n, i)
			many[name] = mcpauth.Authenticated()
			want = append(want, fmt.Sprintf("tools[%q]", name))
		}
		if more != "" {
			want = append(want[:100], more)
		}
		require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: many} }), ""))
		assert.Equal(t, want, only().Change.Added)
	}
}

// stripped is a decision without what Refuse needs.
func stripped(d mcpauth.Decision) mcpauth.Decision {
	return mcpauth.Decision{
		Err: d.Err, Principal: d.Principal, Calls: d.Calls, Rulings: d.Rulings, ID: d.ID, Time: d.Time, Duration: d.Duration, Verification: d.Verification,
		Method: d.Method, Remote: d.Remote, Era: d.Era, KeyID: d.KeyID, TokenFingerprint: d.TokenFingerprint, SessionFingerprint: d.SessionFingerprint, UnverifiedIssuer: d.UnverifiedIssuer,
		UnverifiedKeyID: d.UnverifiedKeyID, ConfigFingerprint: d.ConfigFingerprint, Generation: d.Generation, Change: d.Change, Cause: d.Cause, Detail: d.Detail, Fix: d.Fix,
	}
}

// TestReloadFailed_RELOAD_11: a configuration that cannot be used is told at once and every five minutes, health says since
// when, and a good one ends that, if only the one in force.
func TestReloadFailed_RELOAD_11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		require.NoError(t, f.auth.Warm(t.Context()))
		health := func() string {
			w := httptest.NewRecorder()
			f.auth.Health().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", nil))
			assert.Equal(t, http.StatusOK, w.Code, "it goes on to serve")
			return w.Body.String()
		}
		assert.NotContains(t, health(), "config")
		since := time.Now()
		for range 11 * 6 {
			f.auth.ReloadFailed(t.Context(), "file", errors.New("a comma is missing"))
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, 3, strings.Count(f.log.String(), "a configuration cannot be used"))
		assert.Contains(t, health(), `"config":{"stale_since":"`+since.UTC().Format(time.RFC3339)+`"}`)
		assert.Equal(t, since, f.auth.ConfigStatus().StaleSince)
		require.NoError(t, f.auth.Reload(t.Context(), f.config(nil), "file"))
		assert.NotContains(t, health(), "config")
		status := f.auth.ConfigStatus()
		assert.Equal(t, mcpauth.ConfigStatus{Fingerprint: f.auth.ConfigStatus().Fingerprint, Generation: 1, InForce: since, LastSuccess: time.Now()}, status)
	})
}

// TestReloadInside_RELOAD_13: Reload may be called by a handler and by a hook, but for the record of a Reload; and who waits for
// another one may give up.
func TestReloadInside_RELOAD_13(t *testing.T) {
	var f *fixture
	var inside error
	calls := 0
	f = newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
			if d.Change == nil && calls == 0 {
				calls++
				assert.NoError(t, f.auth.Reload(ctx, f.config(echoNeeds("b")), "hook"))
			} else if d.Change != nil {
				inside = f.auth.Reload(ctx, f.config(nil), "record")
				var wait context.CancelFunc
				ctx, wait = context.WithTimeout(context.Background(), time.Millisecond)
				defer wait()
				assert.ErrorIs(t, f.auth.Reload(ctx, f.config(nil), "beside"), context.DeadlineExceeded)
			}
		}
	})
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, f.auth.Reload(r.Context(), f.config(echoNeeds("c")), "handler"))
	}
	f.call(f.token(nil), "echo")
	assert.Equal(t, 1, f.ran, "the request that was let through by the configuration of before is served")
	assert.ErrorContains(t, inside, "Reload from the record of a Reload")
	status := f.auth.ConfigStatus()
	assert.Equal(t, uint64(3), status.Generation)
	assert.Equal(t, "handler", status.Source)
}

// TestFingerprint_RELOAD_08: two configurations have one fingerprint if they decide alike, whatever the order of maps, and
// whatever is secret or code.
func TestFingerprint_RELOAD_08(t *testing.T) {
	of := func(change func(*mcpauth.Config)) string {
		return newFixture(t, change).auth.ConfigStatus().Fingerprint
	}
	same := of(nil)
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", same)
	assert.Equal(t, same, of(func(c *mcpauth.Config) {
		c.SessionKey = []byte(strings.Repeat("0123", 8))
		c.OnServed = func(context.Context, mcpauth.Served) {}
		rules := c.Policy.(mcpauth.Rules)
		rules.Tools = maps.Clone(rules.Tools)
		c.Policy = &rules
	}))
	asks := func(client clientauth.Method) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Issuers[0].Introspect = &mcpauth.Introspection{Endpoint: testIssuerURL + "/introspect", Client: client}
		}
	}
	assert.Equal(t, of(asks(clientauth.SecretBasic("c", "1"))), of(asks(clientauth.SecretBasic("c", "2"))), "a secret leaves no trace")
	key := mcpauthtest.NewKey("mine", "ES256").Private
	seen := map[string]bool{same: true}
	for i, change := range []func(*mcpauth.Config){
		func(c *mcpauth.Config) { c.Scopes = []string{"x"} },
		func(c *mcpauth.Config) { c.Leeway = time.Second },
		func(c *mcpauth.Config) { c.Issuers[0].AllowPrivate = true },
		func(c *mcpauth.Config) {
			c.Issuers[0].Claims.Roles, c.Issuers[0].Claims.RoleScopes = []string{"r"}, map[string][]string{"a": {"b"}}
		},
		func(c *mcpauth.Config) { c.Policy = nil },
		func(c *mcpauth.Config) { c.Policy = mcpauth.PolicyFunc(nobody) },
		func(c *mcpauth.Config) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, nil }
		},
		echoNeeds("mcp:read"), echoNeeds("mcp:admin"),
		func(c *mcpauth.Config) { c.Metadata = map[string]any{"a": []any{1, true, nil}} },
		asks(clientauth.SecretBasic("c", "1")), asks(clientauth.SecretPost("c", "1")), asks(clientauth.SecretPost("d", "1")),
		asks(clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key})), asks(clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: key, ID: "k"})),
		asks(clientauth.PrivateKeyJWT("c", clientauth.Key{Signer: mcpauthtest.NewKey("another", "ES256").Private})),
	} {
		print := of(change)
		assert.False(t, seen[print], i)
		seen[print] = true
	}
	assert.Empty(t, new(mcpauth.Middleware).ConfigStatus().Fingerprint)
}

// BenchmarkReload is a change of one rule among 5,000.
func BenchmarkReload(b *testing.B) {
	f := newFixture(b, nil)
	tools := map[string]mcpauth.Requirement{}
	for i := range 5000 {
		tools[fmt.Sprintf("tool-%04d", i)] = mcpauth.Scopes(fmt.Sprintf("scope-%d", i%50))
	}
	for i := 0; b.Loop(); i++ {
		tools["tool-0000"] = mcpauth.Scopes([]string{"a", "b"}[i%2])
		require.NoError(b, f.auth.Reload(b.Context(), f.config(func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: tools} }), ""))
	}
}

// TestReloadLeeway_RELOAD_03: an open stream ends when its token does by the leeway in force.
func TestReloadLeeway_RELOAD_03(t *testing.T) {
	for name, tt := range map[string]struct {
		later time.Duration // than exp, comes the change
		want  time.Duration // later than exp, the stream ends
	}{
		"at the old end": {0, time.Second}, "a second before that": {-time.Second, time.Second}, "before the new end": {-2 * time.Minute, time.Second},
		"long before": {-20 * time.Minute, time.Second}, "after it": {2 * time.Minute, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = 5 * time.Minute })
			exp := time.Now().Add(30 * time.Minute)
			s := f.lasts(f.request(http.MethodPost, "/mcp", f.token(mcpauthtest.Claims{"exp": exp.Unix()}), modernCall("echo"), modernHeaders("tools/call", "echo")...))
			for _, leeway := range []time.Duration{5 * time.Minute, time.Second} {
				time.Sleep(time.Until(exp.Add(tt.later)))
				require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.Leeway, c.Scopes = leeway, []string{"changed"} }), leeway.String()))
			}
			time.Sleep(time.Until(exp.Add(10 * time.Minute)))
			synctest.Wait()
			assert.Equal(t, tt.want, s.ended.Sub(exp), name)
			var denied *mcpauth.DeniedError
			require.ErrorAs(t, s.cause, &denied, name)
			assert.ErrorIs(t, denied, mcpauth.ErrExpired, name)
		})
	}
}

// TestReloadLateStream_RELOAD_03: an answer that becomes a stream after a change is looked at by the rules in force, as those are that were streams.
func TestReloadLateStream_RELOAD_03(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*mcpauth.Config)
		ends   bool
	}{
		"without the rule": {func(c *mcpauth.Config) { c.Policy = nil }, true},
		"with it":          {func(c *mcpauth.Config) { c.Scopes = []string{"changed"} }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			var cause error
			var took time.Duration
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				assert.NoError(t, f.auth.Reload(r.Context(), f.config(tt.change), ""))
				began := time.Now()
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, streamEvent)
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Second):
				}
				cause, took = context.Cause(r.Context()), time.Since(began)
			}
			func() {
				defer func() { _ = recover() }() // the response was cut
				f.call(longToken(f, nil), "echo")
			}()
			var denied *mcpauth.DeniedError
			assert.Equal(t, tt.ends, errors.As(cause, &denied), name)
			assert.Equal(t, map[bool]time.Duration{true: 0, false: 10 * time.Second}[tt.ends], took, name)
		})
	}
}

// TestReloadNotices_RELOAD_03: of what passes on a stream after a change the rules in force decide, also on that of a call.
func TestReloadNotices_RELOAD_03(t *testing.T) {
	notice := func(uri string) string {
		return `data: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"` + uri + `"}}` + "\n\n"
	}
	with := func(uri string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{
				Tools:     map[string]mcpauth.Requirement{"echo": mcpauth.Authenticated()},
				Resources: map[string]mcpauth.Requirement{uri: mcpauth.Authenticated()},
			}
		}
	}
	for name, request := range map[string]func(f *fixture) *http.Request{
		"of a call": func(f *fixture) *http.Request {
			return f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...)
		},
		"of the server": func(f *fixture) *http.Request {
			return f.request(http.MethodGet, "/mcp", f.token(nil), "", "MCP-Protocol-Version: 2025-11-25", "Accept: text/event-stream")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, with("db://a"))
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, notice("db://a")+notice("db://b"))
				require.NoError(t, f.auth.Reload(t.Context(), f.config(with("db://b")), ""))
				_, _ = io.WriteString(w, notice("db://b")+notice("db://a"))
			}
			got := slices.DeleteFunc(strings.Split(f.serve(request(f)).Body.String(), "\n"), func(line string) bool { return line == "" })
			assert.Equal(t, []string{strings.TrimSpace(notice("db://a")), strings.TrimSpace(notice("db://b"))}, got)
		})
	}
}

// TestEveryFieldCounts_RELOAD_08: of an issuer there is no field whose change goes unnoticed.
func TestEveryFieldCounts_RELOAD_08(t *testing.T) {
	seen := map[edition.Digest]string{edition.Of(new(mcpauth.Issuer)): "nothing"}
	differs := func(name string, one mcpauth.Issuer) {
		digest := edition.Of(&one)
		assert.Empty(t, seen[digest], name)
		assert.NotEqual(t, edition.OfAll(new(mcpauth.Issuer)), edition.OfAll(&one), name)
		seen[digest] = name
	}
	fields := func(kind reflect.Type, set func(i int, value reflect.Value)) {
		for i := range kind.NumField() {
			field := kind.Field(i)
			if !field.IsExported() {
				continue
			}
			value := reflect.New(field.Type).Elem()
			switch field.Type.Kind() {
			case reflect.String:
				value.SetString("x")
			case reflect.Bool:
				value.SetBool(true)
			case reflect.Int, reflect.Int64:
				value.SetInt(1)
			case reflect.Slice:
				value.Set(reflect.MakeSlice(field.Type, 1, 1))
			case reflect.Map:
				value.Set(reflect.MakeMap(field.Type))
			case reflect.Pointer:
				value.Set(reflect.New(field.Type.Elem()))
			case reflect.Struct: // its own fields follow
				continue
			default:
				t.Fatalf("%s: add the kind of its field %s", kind, field.Name)
			}
			set(i, value)
		}
	}
	fields(reflect.TypeFor[mcpauth.Issuer](), func(i int, value reflect.Value) {
		var one mcpauth.Issuer
		reflect.ValueOf(&one).Elem().Field(i).Set(value)
		differs(fmt.Sprint("Issuer ", i), one)
	})
	fields(reflect.TypeFor[mcpauth.ClaimMap](), func(i int, value reflect.Value) {
		var one mcpauth.Issuer
		reflect.ValueOf(&one.Claims).Elem().Field(i).Set(value)
		differs(fmt.Sprint("ClaimMap ", i), one)
	})
	fields(reflect.TypeFor[mcpauth.Introspection](), func(i int, value reflect.Value) {
		one := mcpauth.Issuer{Introspect: new(mcpauth.Introspection)}
		reflect.ValueOf(one.Introspect).Elem().Field(i).Set(value)
		differs(fmt.Sprint("Introspection ", i), one)
	})
	differs("Client", mcpauth.Issuer{Introspect: &mcpauth.Introspection{Client: clientauth.SecretBasic("c", "s")}})
}

// TestReloadNoOldKeys_RELOAD_06: that there are no old keys can be written in two ways.
func TestReloadNoOldKeys_RELOAD_06(t *testing.T) {
	key := []byte(strings.Repeat("0123", 8))
	for _, old := range [][][]byte{nil, {}} {
		f := newFixture(t, func(c *mcpauth.Config) { c.SessionKey, c.OldSessionKeys = key, old })
		for _, now := range [][][]byte{nil, {}} {
			assert.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { c.SessionKey, c.OldSessionKeys = key, now }), ""))
		}
		other := f.config(func(c *mcpauth.Config) { c.SessionKey, c.OldSessionKeys = key, [][]byte{oldStoreKey} })
		assert.ErrorContains(t, f.auth.Reload(t.Context(), other, ""), "OldSessionKeys")
	}
}
