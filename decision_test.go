package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// recording is a fixture whose decisions are kept.
func recording(t *testing.T, change func(*mcpauth.Config)) (*fixture, *[]mcpauth.Decision) {
	t.Helper()
	var all []mcpauth.Decision
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { all = append(all, d) }
		if change != nil {
			change(c)
		}
	})
	return f, &all
}

type brokenBody struct{ err any }

func (b brokenBody) Read([]byte) (int, error) {
	if err, ok := b.err.(error); ok {
		return 0, err
	}
	panic(b.err)
}

func (brokenBody) Close() error { return nil }

// However a request ends, there is one record of it.
func TestOneRecord_AUDIT_01_CONC_07(t *testing.T) {
	for _, row := range []struct {
		name   string
		body   any
		inner  http.HandlerFunc
		panics bool
		reason mcpauth.Reason
	}{
		{"served", nil, nil, false, ""},
		{"AUDIT-01 the client goes away in the middle of its body", io.ErrUnexpectedEOF, nil, false, "body is not one JSON text"},
		{"AUDIT-01 reading the body panics", "bug", nil, true, mcpauth.ErrPolicy},
		{"CONC-07 the handler panics", nil, func(http.ResponseWriter, *http.Request) { panic("bug") }, true, ""},
		{"CONC-07 the handler aborts", nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, all := recording(t, nil)
			f.inner = row.inner
			r := f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...)
			if row.body != nil {
				r.Body = brokenBody{row.body}
			}
			run := func() { f.serve(r) }
			if row.panics {
				assert.Panics(t, run)
			} else {
				run()
			}
			require.Len(t, *all, 1)
			assert.Equal(t, row.reason, (*all)[0].Reason())
			assert.Equal(t, "user-1", (*all)[0].Principal.Subject)
		})
	}
}

// TestRecordBeforeLog: a refusal whose text cannot be had ends the request, and is recorded all the same.
func TestRecordBeforeLog_AUDIT_01(t *testing.T) {
	policy := mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
		return mcpauth.Requirement{}, (*textless)(nil)
	})
	f, all := recording(t, func(c *mcpauth.Config) { c.Policy = policy })
	assert.Panics(t, func() { f.call(f.token(nil), "echo") })
	assert.Zero(t, f.ran, "the inner handler ran")
	require.Len(t, *all, 1)
	assert.Equal(t, mcpauth.ErrPolicy, (*all)[0].Reason())

	silent, all := recording(t, func(c *mcpauth.Config) { c.Logger, c.Policy = nil, policy })
	assert.Equal(t, http.StatusInternalServerError, silent.call(silent.token(nil), "echo").Code, "a text that nobody logs is not asked for")
	require.Len(t, *all, 1)
	assert.Equal(t, mcpauth.ErrPolicy, (*all)[0].Reason())
}

// The record of a body that was not read has no list of calls, and not one of none.
func TestRecordOfUnread_AUDIT_03(t *testing.T) {
	f, all := recording(t, nil)
	assert.Equal(t, http.StatusBadRequest, f.do(http.MethodPost, "/mcp", f.token(nil), "{").Code)
	require.Len(t, *all, 1)
	assert.Nil(t, (*all)[0].Calls)
}

// textless is an error that is nil inside.
type textless struct{ text string }

func (e *textless) Error() string { return e.text }

// What OnDecision refuses is not served; it cannot let anything through, and
// not change its mind later.
func TestRefuse_AUDIT_07(t *testing.T) {
	var last mcpauth.Decision
	cause := errors.New("the audit is down")
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { d.Refuse(cause); last = d }
	})
	w := f.call(f.token(nil), "echo")
	f.refused(w, http.StatusServiceUnavailable, "")
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.NotContains(t, w.Body.String(), "audit")
	assert.Nil(t, last.Err)
	assert.Contains(t, f.log.String(), "the audit is down")
	assert.Contains(t, f.log.String(), "cause=audit")
	assert.Contains(t, f.log.String(), "id="+last.ID)
	waits, token := map[string]bool{}, f.token(nil)
	for range 100 {
		waits[f.call(token, "echo").Header().Get("Retry-After")] = true
	}
	assert.Equal(t, map[string]bool{"1": true, "2": true, "3": true}, waits, "a second, and a little more")
	f.refused(f.call("", "echo"), http.StatusUnauthorized, bareChallenge)
	f.refused(f.call(f.token(nil), "admin_delete"), http.StatusForbidden, adminChallenge)

	// A stream that is refused gives its place back.
	for range 40 {
		assert.Equal(t, http.StatusServiceUnavailable, f.do(http.MethodGet, "/mcp", f.token(nil), "").Code)
	}
	mcpauth.Decision{}.Refuse(cause) // one that nobody asked about
	assert.NoError(t, errors.Unwrap((*mcpauth.DeniedError)(nil)))
}

// A panic in the operator's functions is a refusal, or changes nothing, and is in the record.
func TestHooksPanic_CONC_06(t *testing.T) {
	f, all := recording(t, func(c *mcpauth.Config) {
		c.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			if p.Subject == "revoker" {
				panic("canary")
			}
			return false, nil
		}
		c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic("canary") })
	})
	assert.Equal(t, http.StatusInternalServerError, f.call(f.token(mcpauthtest.Claims{"sub": "revoker"}), "echo").Code)
	assert.Equal(t, http.StatusInternalServerError, f.call(f.token(nil), "echo").Code)
	assert.Zero(t, f.ran)
	for _, d := range *all {
		assert.ErrorIs(t, d.Err, mcpauth.ErrPolicy)
		assert.Equal(t, "policy", d.Cause)
	}
	assert.NotContains(t, f.log.String(), "canary")
}

// What OnDecision does to its record, such as taking arguments out before it keeps
// it, changes nothing of the request: neither which lists are filtered, nor
// what a policy is told of the call that began a task.
func TestRecordIsACopy_AUDIT_03(t *testing.T) {
	var asked []string
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			asked = append(asked, call.Method+string(call.Arguments))
			if call.Name == "admin_delete" {
				return mcpauth.Scopes("mcp:admin"), nil
			}
			return mcpauth.Authenticated(), nil
		})
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { clear(d.Calls) }
	})
	f.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}],"task":{"taskId":"t1"}}}`)
	}
	post := func(method, params string) string {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
		return f.do(http.MethodPost, "/mcp", f.token(nil), body, "Mcp-Protocol-Version: 2025-11-25", "Mcp-Method", "Mcp-Name").Body.String()
	}
	list := post("tools/list", "{}")
	assert.Contains(t, list, "echo")
	assert.NotContains(t, list, "admin_delete")

	post("tools/call", `{"name":"echo","arguments":{"path":"/etc"}}`)
	asked = nil
	post("tasks/get", `{"taskId":"t1"}`)
	assert.Equal(t, []string{"tasks/get", `tools/call{"path":"/etc"}`}, asked)
}

// What OnDecision, or code of a policy, keeps of a request stays as it was: the next one is not read into its memory.
func TestArgumentsAreKept_AUDIT_03(t *testing.T) {
	var raw []json.RawMessage
	for name, change := range map[string]func(*mcpauth.Config){
		"a record": func(c *mcpauth.Config) {
			c.OnDecision = func(_ context.Context, d mcpauth.Decision) { raw = append(raw, d.Calls[0].Arguments) }
		},
		"a policy": func(c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
				raw = append(raw, call.Arguments)
				return mcpauth.Authenticated(), nil
			})
		},
	} {
		raw = nil
		f := newFixture(t, change)
		for n := range 20 {
			f.ran = 0
			f.served(f.post(f.token(nil), fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":%d}}}`, n+10)))
		}
		for n := range raw {
			assert.Equal(t, fmt.Sprintf(`{"n":%d}`, n+10), string(raw[n]), name)
		}
		assert.Len(t, raw, 20, name)
	}
}

// The context of Revoked is over when it has answered: what it began and left is not to go on.
func TestRevokedContextEnds(t *testing.T) {
	var given context.Context
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Revoked = func(ctx context.Context, _ *mcpauth.Principal) (bool, error) { given = ctx; return false, ctx.Err() }
	})
	f.served(f.call(f.token(nil), "echo"))
	assert.ErrorIs(t, given.Err(), context.Canceled)
}

// One request writes a bounded line, however much it asks for.
func TestRefusalLineIsBounded_AUDIT_04_AUDIT_10(t *testing.T) {
	f := newFixture(t, nil)
	uris := strings.TrimSuffix(strings.Repeat(`"db://`+strings.Repeat("x", 250)+`",`, 1000), ",")
	body := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[` + uris + `]},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	w := f.do(http.MethodPost, "/mcp", f.token(nil), body, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen", "Mcp-Name")
	require.Equal(t, http.StatusForbidden, w.Code)
	line := f.log.String()
	assert.Contains(t, line, "subscriptions/listen")
	assert.Contains(t, line, "calls_omitted=969")
	assert.Less(t, len(line), 16<<10)
	assert.Contains(t, line, ` issuer=`+testIssuerURL+` subject="\"user-1\"" `)
	for n, omitted := range map[int]string{31: "", 32: " calls_omitted=1\n"} {
		f.log.Reset()
		some := strings.TrimSuffix(strings.Repeat(`"db://x",`, n), ",")
		f.do(http.MethodPost, "/mcp", f.token(nil), strings.Replace(body, uris, some, 1), "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen", "Mcp-Name")
		assert.Equal(t, 32, strings.Count(f.log.String(), " call="), n)
		assert.Contains(t, f.log.String(), omitted)
		assert.Equal(t, omitted != "", strings.Contains(f.log.String(), "calls_omitted"), n)
	}
}

// The record of a request has its times, its name in the log, and what is unverified as such.
func TestRecord_AUDIT_02_AUDIT_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, all := recording(t, func(c *mcpauth.Config) {
			c.Transport = keysDelay(c.Transport, time.Second)
			c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
				time.Sleep(time.Minute)
				return mcpauth.Scopes("mcp:admin"), nil
			})
		})
		begun := time.Now()
		f.call(f.token(nil), "echo")
		d := (*all)[0]
		assert.True(t, begun.Equal(d.Time))
		assert.Equal(t, 2*time.Second, d.Verification, "metadata, then keys")
		assert.Equal(t, 2*time.Second+time.Minute, d.Duration)
		assert.Equal(t, []mcpauth.Ruling{{Rule: "policy", Required: []string{"mcp:admin"}, Missing: []string{"mcp:admin"}}}, d.Rulings)
		assert.Equal(t, "modern", d.Era)
		assert.Equal(t, "k1", d.KeyID)
		assert.Empty(t, d.UnverifiedIssuer+d.UnverifiedKeyID)
		assert.Contains(t, f.log.String(), "id="+d.ID)
		assert.Equal(t, "scope-not-granted", d.Cause)
		assert.NotEmpty(t, d.Fix)

		f.call(f.issuer.Token(mcpauthtest.Claims{"aud": "x", "sub": "mallory"}), "echo")
		d = (*all)[1]
		assert.Nil(t, d.Principal)
		assert.Equal(t, testIssuerURL, d.UnverifiedIssuer)
		assert.Equal(t, "k1", d.UnverifiedKeyID)
		assert.Empty(t, d.KeyID)
		text, err := json.Marshal(d)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "mallory")
	})
}

// Without a logger nothing is written, to no standard stream and no global logger.
func TestSilent_AUDIT_09(t *testing.T) {
	var global bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&global, nil)))
	defer slog.SetDefault(before)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Logger = nil
		c.OnDecision = func(context.Context, mcpauth.Decision) { panic("bug") }
	})
	f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	f.call(f.token(nil), "echo")
	f.call("", "echo")
	f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
	os.Stdout, os.Stderr = stdout, stderr
	require.NoError(t, write.Close())
	out, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Empty(t, string(out))
	assert.Empty(t, global.String())
}

// Trace context is the handler's business: its length and its form change nothing here.
func TestTraceparent_OBS_05(t *testing.T) {
	f, _ := recording(t, nil)
	for _, parent := range []string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense", strings.Repeat("x", 10<<10), "",
	} {
		f.served(f.post(f.token(nil), modernCall("echo"), append(modernHeaders("tools/call", "echo"), "traceparent: "+parent, "tracestate: "+parent)...))
		assert.Equal(t, parent, f.last.Header.Get("Traceparent"))
		body := strings.Replace(modernCall("echo"), `"_meta":{`, fmt.Sprintf(`"_meta":{"traceparent":%q,`, parent), 1)
		f.served(f.post(f.token(nil), body, modernHeaders("tools/call", "echo")...))
		assert.Equal(t, body, string(f.body))
	}
}

// Every reason is found by errors.Is, and the text that clients see has nothing of the request.
func TestReasons_OBS_07(t *testing.T) {
	f, all := recording(t, nil)
	f.call(f.token(mcpauthtest.Claims{"exp": 1}), "echo")
	w := f.call(f.token(mcpauthtest.Claims{"aud": "https://canary.example"}), "echo")
	assert.ErrorIs(t, (*all)[0].Err, mcpauth.ErrExpired)
	assert.Equal(t, "expired", (*all)[0].Reason().Code())
	assert.ErrorIs(t, (*all)[1].Err, mcpauth.ErrAudience)
	assert.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), "canary")
	assert.Contains(t, f.log.String(), "https://canary.example")
}

// A thousand requests, one warning; and one line per issuer of what was found.
func TestSaidOnce_OBS_08(t *testing.T) {
	f := newFixture(t, nil)
	f.issuer.PublishMetadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") })
	token := f.token(nil)
	for range 1000 {
		f.call(token, "echo")
	}
	assert.Equal(t, 1, strings.Count(f.log.String(), "cause=metadata-no-pkce"))
	assert.Equal(t, 1, strings.Count(f.log.String(), "issuer in use"))
	line := lineWith(f.log.String(), "issuer in use")
	for _, part := range []string{testIssuerURL, testResource, "RS256", "k1", placeKeys} {
		assert.Contains(t, line, part)
	}
	static := newFixture(t, func(c *mcpauth.Config) {
		c.Issuers[0].Keys = mcpauthtest.NewKey("static", "ES256").PEM()
	})
	require.NoError(t, static.auth.Warm(t.Context()))
	static.call(static.token(nil), "echo")
	assert.NotContains(t, static.log.String(), "issuer in use", "keys that have not served yet")
}

// Ready is false until there are keys, and stays true on old ones for a day.
func TestReady_OBS_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		probe := func(method string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			f.auth.Health().ServeHTTP(w, httptest.NewRequest(method, "/readyz", nil))
			return w
		}
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
		begun := time.Now()
		require.ErrorIs(t, f.auth.Ready(t.Context()), mcpauth.ErrUnavailable)
		assert.Equal(t, 800*time.Millisecond, time.Since(begun), "a probe does not wait as long as a request")
		w := probe(http.MethodGet)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.JSONEq(t, `{"ready":false,"issuers":[{"issuer":"`+testIssuerURL+`","ready":false,"keys":0}]}`, w.Body.String())
		time.Sleep(10 * time.Second)
		assert.Contains(t, probe(http.MethodGet).Body.String(), `"last_error":"timeout"`)

		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		time.Sleep(time.Minute)
		w = probe(http.MethodGet)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.JSONEq(t, `{"ready":true,"issuers":[{"issuer":"`+testIssuerURL+`","ready":true,"keys":1,"age_seconds":0}]}`, w.Body.String())
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.Empty(t, probe(http.MethodHead).Body.String())
		assert.Equal(t, http.StatusMethodNotAllowed, probe(http.MethodPost).Code)

		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		time.Sleep(23 * time.Hour)
		probe(http.MethodGet)
		synctest.Wait()
		w = probe(http.MethodGet)
		assert.Equal(t, http.StatusOK, w.Code, "old keys serve")
		assert.Contains(t, w.Body.String(), `"last_error":"bad_status"`)
		assert.Contains(t, w.Body.String(), `"age_seconds":82800`)
		time.Sleep(2 * time.Hour)
		assert.Equal(t, http.StatusServiceUnavailable, probe(http.MethodGet).Code)
	})
}

// A thousand tokens with unknown keys cause three fetches, and 997 are counted.
func TestSuppressed_OBS_03_FRESH_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		unknown := mcpauthtest.NewKey("unknown", "ES256")
		token := unknown.Sign(`{"alg":"ES256","kid":"unknown","typ":"at+jwt"}`, fmt.Sprintf(
			`{"iss":%q,"aud":%q,"sub":"u","client_id":"c","scope":"mcp:read","exp":%d}`, testIssuerURL, testResource, time.Now().Add(time.Hour).Unix()))
		for range 1000 {
			time.Sleep(time.Millisecond)
			f.call(token, "echo")
		}
		status := f.auth.Issuers()[0]
		assert.EqualValues(t, 997, status.Suppressed)
		assert.EqualValues(t, 8, status.Fetches, "of metadata and keys")
		assert.Zero(t, status.Failures)
	})
}

// After an outage at start-up, and after the keys have moved, the counters are those of the
// authorization server itself: of both documents, and never begun anew.
func TestFetchCounters_OBS_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		saw := func() int { return len(f.issuer.Requests()) }
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		for range 20 {
			f.unavailable(f.call(f.token(nil), "echo"))
			time.Sleep(10 * time.Second)
		}
		outage := f.auth.Issuers()[0].Failures
		assert.EqualValues(t, saw(), outage)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
		for range 5 {
			f.unavailable(f.call(f.token(nil), "echo"))
			time.Sleep(30 * time.Second)
		}
		require.Greater(t, saw(), 30)
		status := f.auth.Issuers()[0]
		assert.EqualValues(t, saw(), status.Fetches, "of an outage at start-up")
		assert.Equal(t, outage+uint64(f.issuer.Fetches(mcpauthtest.JWKS)), status.Failures)

		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		time.Sleep(time.Minute)
		f.served(f.call(f.token(nil), "echo"))
		failures := status.Failures
		time.Sleep(2 * time.Hour)
		f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = testIssuerURL + "/moved" })
		for range 5 {
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(2 * time.Hour)
		}
		status = f.auth.Issuers()[0]
		require.Equal(t, testIssuerURL+"/moved", status.JWKSURI)
		assert.EqualValues(t, saw(), status.Fetches, "and of a new place")
		assert.Equal(t, failures, status.Failures)
		var sum uint64
		for _, n := range status.FetchTimes {
			sum += n
		}
		assert.Equal(t, status.Fetches, sum, "each fetch has its time")
	})
}

// What the handler answers stands beside what was decided: once for each request that reached it.
func TestServed_OBS_01(t *testing.T) {
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if status != 0 {
				w.WriteHeader(status)
			}
		}
	}
	again := func(w http.ResponseWriter, r *http.Request) { // refuses session ids that it has not given out
		if r.Header.Get("Mcp-Session-Id") != "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		tool    string
		want    []int
	}{
		{"OBS-01 it writes nothing", answer(0), "echo", []int{200}},
		{"OBS-01 its session is in another process", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"session not found"}}`)
		}, "echo", []int{404}},
		{"OBS-01 it fails", answer(500), "echo", []int{500}},
		{"OBS-01 it is asked twice", again, "echo", []int{202}},
		{"OBS-01 it panics", func(http.ResponseWriter, *http.Request) { panic("canary") }, "echo", []int{0}},
		{"OBS-01 it panics when it is asked again", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Mcp-Session-Id") == "" {
				panic("canary")
			}
			w.WriteHeader(http.StatusNotFound)
		}, "echo", []int{0}},
		{"OBS-01 it panics after it has answered", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			panic("canary")
		}, "echo", []int{202}},
		{"OBS-01 it was not asked", answer(200), "admin_delete", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var served []mcpauth.Served
				var decisions []mcpauth.Decision
				f := newFixture(t, func(c *mcpauth.Config) {
					c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
					c.OnServed = func(_ context.Context, s mcpauth.Served) { served = append(served, s) }
				})
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					row.handler(w, r)
				}
				func() {
					defer func() { _ = recover() }()
					f.legacyCall(f.token(nil), row.tool)
				}()
				require.Len(t, served, len(row.want))
				for i, want := range row.want {
					s := served[i]
					assert.Equal(t, want, s.Status)
					assert.GreaterOrEqual(t, s.Duration, time.Second)
					assert.Equal(t, "user-1", s.Principal.Subject)
					require.Len(t, s.Calls, 1)
					assert.Equal(t, row.tool, s.Calls[0].Name)
					assert.Equal(t, decisions[0].ID, s.ID)
				}
			})
		})
	}
	t.Run("OBS-01 what nobody is asked for is not served", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnServed = func(context.Context, mcpauth.Served) { t.Error("the handler did not run") }
		})
		w := f.post(f.token(nil), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		assert.Equal(t, http.StatusAccepted, w.Code)
		assert.Zero(t, f.ran)
	})
	t.Run("OBS-01 its panic is contained", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnServed = func(_ context.Context, s mcpauth.Served) {
				assert.Empty(t, s.ID)
				panic("canary")
			}
		})
		f.served(f.call(f.token(nil), "echo"))
		assert.Contains(t, f.log.String(), "OnServed panicked")
		assert.NotContains(t, f.log.String(), "canary")
	})
	t.Run("OBS-01 it may keep the arguments", func(t *testing.T) {
		var kept []mcpauth.Served
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnServed = func(_ context.Context, s mcpauth.Served) { kept = append(kept, s) }
		})
		for n := range 20 {
			f.post(f.token(nil), fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":"%020d"}}}`, n))
		}
		for n := range kept {
			assert.JSONEq(t, fmt.Sprintf(`{"n":"%020d"}`, n), string(kept[n].Calls[0].Arguments))
		}
		assert.Len(t, kept, 20)
	})
}

// A response that is ended before its time is told with the status that the handler gave it.
func TestServedStream_OBS_01_MCP_55(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served []mcpauth.Served
		f := newFixture(t, func(c *mcpauth.Config) {
			c.OnServed = func(_ context.Context, s mcpauth.Served) { served = append(served, s) }
		})
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, streamEvent)
			<-r.Context().Done()
		}
		f.call(f.token(mcpauthtest.Claims{"exp": time.Now().Add(time.Minute).Unix()}), "echo")
		require.Len(t, served, 1)
		assert.Equal(t, http.StatusOK, served[0].Status)
		assert.Equal(t, 90*time.Second, served[0].Duration, "exp and leeway")
		f.inner = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		served = nil
		w := f.do(http.MethodGet, "/mcp", f.token(mcpauthtest.Claims{"exp": time.Now().Add(time.Minute).Unix()}), "")
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		require.Len(t, served, 1)
		assert.Zero(t, served[0].Status, "the handler has given none, and the client was told another one")
		served = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := newRequest(http.MethodPost, "/mcp", f.token(nil), legacyCall("echo")).WithContext(ctx)
		f.handler.ServeHTTP(httptest.NewRecorder(), r)
		require.Len(t, served, 1)
	})
}

// TestFingerprints_AUDIT_02: a session and a token are told from others, in each replica alike, and nobody without the key of
// sessions can try which they are. A token that its issuer has named has the fingerprint of that name.
func TestFingerprints_AUDIT_02(t *testing.T) {
	inner := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", r.Header.Get("X-Begins"))
	}
	beds := map[string]*fixture{}
	records := map[string]*[]mcpauth.Decision{}
	for name, key := range map[string][]byte{"one": storeKey, "replica": storeKey, "other": oldStoreKey} {
		beds[name], records[name] = recording(t, func(c *mcpauth.Config) { c.SessionKey = key })
		beds[name].inner = inner
	}
	of := func(name, token string, headers ...string) (ofToken, ofSession string) {
		beds[name].post(token, legacyCall("echo"), headers...)
		all := *records[name]
		return all[len(all)-1].TokenFingerprint, all[len(all)-1].SessionFingerprint
	}
	begin := func(name, session string) string {
		id := beds[name].post(beds[name].token(nil), sessionInitialize, "X-Begins: "+session).Header().Get("Mcp-Session-Id")
		require.Contains(t, id, session+".")
		return "Mcp-Session-Id: " + id
	}
	session := func(name, header string) string {
		_, fingerprint := of(name, beds[name].token(nil), header)
		require.Regexp(t, "^[0-9a-f]{16}$", fingerprint)
		return fingerprint
	}
	first, second := begin("one", "first"), begin("one", "second")
	assert.Equal(t, session("one", first), session("one", first))
	assert.Equal(t, session("one", first), session("replica", first))
	assert.NotEqual(t, session("one", first), session("one", second))
	assert.NotEqual(t, session("one", first), session("other", begin("other", "first")), "keyed")
	for _, headers := range [][]string{nil, {"Mcp-Session-Id: first"}} { // the second is nobody's
		_, fingerprint := of("one", beds["one"].token(nil), headers...)
		assert.Empty(t, fingerprint)
	}

	token := func(name, token string) string {
		fingerprint, _ := of(name, token)
		return fingerprint
	}
	issued := beds["one"].token(mcpauthtest.Claims{"jti": "id-1"})
	assert.Equal(t, "eb66c623572f8a2a", token("one", issued), "sha256 of id-1")
	unnamed := beds["one"].token(mcpauthtest.Claims{"jti": nil})
	for _, compact := range []string{unnamed, "no.jwt.at-all"} {
		assert.Regexp(t, "^[0-9a-f]{16}$", token("one", compact))
		assert.Equal(t, token("one", compact), token("replica", compact))
		assert.NotEqual(t, token("one", compact), token("other", compact), "keyed")
	}
	assert.NotEqual(t, token("one", unnamed), token("one", beds["one"].token(mcpauthtest.Claims{"jti": nil, "x": 1})))
	assert.Empty(t, token("one", ""))

	ids := map[string]bool{}
	for _, d := range *records["one"] {
		assert.Regexp(t, "^[0-9a-f]{16}$", d.ID)
		ids[d.ID] = true
	}
	assert.Len(t, ids, len(*records["one"]), "each record has a name of its own")
}

// TestHealth_OBS_06: what a probe is told, whole.
func TestHealth_OBS_06(t *testing.T) {
	for name, row := range map[string]struct {
		breaks mcpauthtest.Fault
		status int
		body   string
	}{
		"ready":     {mcpauthtest.None, http.StatusOK, `{"ready":true,"issuers":[{"issuer":"` + testIssuerURL + `","ready":true,"keys":1,"age_seconds":0}]}`},
		"not ready": {mcpauthtest.Down, http.StatusServiceUnavailable, `{"ready":false,"issuers":[{"issuer":"` + testIssuerURL + `","ready":false,"keys":0,"last_error":"bad_status"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.issuer.Break(mcpauthtest.JWKS, row.breaks)
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				status, body := row.status, row.body
				header := http.Header{
					"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
					"Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(len(body))},
				}
				switch method {
				case http.MethodHead:
					body = ""
				case http.MethodPost:
					status, body = http.StatusMethodNotAllowed, ""
					header = http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Allow": {"GET, HEAD"}}
				}
				w := httptest.NewRecorder()
				f.auth.Health().ServeHTTP(w, httptest.NewRequest(method, "/readyz", nil))
				assert.Equal(t, status, w.Code, method)
				assert.Equal(t, header, w.Header(), method)
				assert.Equal(t, body, strings.TrimSpace(w.Body.String()), method)
			}
		})
	}
}

// TestManyRulings_AUDIT_03: a record has what was said of each call of the longest batch, also of those that no policy is asked about.
func TestManyRulings_AUDIT_03(t *testing.T) {
	f, all := recording(t, nil)
	f.served(f.post(f.token(nil), batchPings(32), "MCP-Protocol-Version: 2025-03-26"))
	require.Len(t, *all, 1)
	assert.Len(t, (*all)[0].Calls, 32)
	assert.Equal(t, slices.Repeat([]mcpauth.Ruling{{Rule: "handshake", Allowed: true}}, 32), (*all)[0].Rulings)
}

// TestRulingsAreBounded: one request may ask for more than a record tells of.
func TestRulingsAreBounded_AUDIT_03(t *testing.T) {
	f, all := recording(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Resources: requirements{"file:///a/*": mcpauth.Scopes("mcp:read")}}
	})
	uris := strings.TrimSuffix(strings.Repeat(`"file:///a/x",`, 40), ",")
	f.served(f.post(f.token(nil), modernBody("subscriptions/listen", `"notifications":{"resourceSubscriptions":[`+uris+`]}`),
		modernHeaders("subscriptions/listen", "")...))
	require.Len(t, *all, 1)
	assert.Greater(t, len((*all)[0].Calls), 32)
	assert.Len(t, (*all)[0].Rulings, 32)
}

// TestRuleNames_AUDIT_03: a record names the rule that decided, or says that there is none.
func TestRuleNames_AUDIT_03(t *testing.T) {
	f, all := recording(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:     requirements{"echo": mcpauth.Scopes("mcp:read"), "fs_*": mcpauth.Scopes("fs")},
			Prompts:   requirements{"*": mcpauth.Authenticated()},
			Resources: requirements{"file:///a/*": mcpauth.Scopes("mcp:read"), "file:///a/secret": mcpauth.Scopes("secret")},
			Methods:   requirements{"tools/list": mcpauth.Scopes("mcp:read")},
		}
	})
	read := mcpauth.Ruling{Allowed: true, Required: []string{"mcp:read"}}
	for _, row := range []struct {
		body, rule string
		want       mcpauth.Ruling
	}{
		{batchRequest(1, "tools/call", `"name":"echo"`), `tools["echo"]`, read},
		{batchRequest(1, "tools/call", `"name":"fs_x"`), `tools["fs_*"]`, mcpauth.Ruling{Required: []string{"fs"}, Missing: []string{"fs"}}},
		{batchRequest(1, "tools/call", `"name":"other"`), "", mcpauth.Ruling{}},
		{batchRequest(1, "prompts/get", `"name":"echo"`), `prompts["*"]`, mcpauth.Ruling{Allowed: true}},
		{batchRequest(1, "resources/read", `"uri":"file:///a/x"`), `resources["file:///a/*"]`, read},
		{batchRequest(1, "resources/read", `"uri":"file:///a/SECRET"`), `resources["file:///a/*"] and resources["file:///a/secret"]`,
			mcpauth.Ruling{Required: []string{"mcp:read", "secret"}, Missing: []string{"secret"}}},
		{batchRequest(1, "tools/list", ""), `methods["tools/list"]`, read},
		{batchRequest(1, "prompts/list", ""), "known method", mcpauth.Ruling{Allowed: true}},
		{batchRequest(1, "tasks/list", ""), "", mcpauth.Ruling{}},
		{batchRequest(1, "ping", ""), "handshake", mcpauth.Ruling{Allowed: true}},
	} {
		*all = nil
		f.post(f.token(nil), row.body, "MCP-Protocol-Version: 2025-11-25")
		require.Len(t, *all, 1, row.body)
		row.want.Rule = row.rule
		assert.Equal(t, []mcpauth.Ruling{row.want}, (*all)[0].Rulings, row.body)
	}
}
