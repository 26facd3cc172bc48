package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func onBehalf(config *mcpauth.Config) { config.Issuers[0].AllowTokenExchange = true }

// Without AllowTokenExchange there are the facts of the request, and no token.
func TestOnBehalf_Unset_EXCH_01(t *testing.T) {
	f := newFixture(t, nil)
	f.inner = func(_ http.ResponseWriter, r *http.Request) {
		token, _, err := onward.Token(r.Context())
		assert.Equal(t, onward.ErrForbidden, err)
		assert.Empty(t, token)
		looked := false
		require.NoError(t, onward.Look(r.Context(), func(facts onward.Facts) {
			looked = true
			assert.Equal(t, testResource, facts.Resource)
			assert.Equal(t, testIssuerURL, facts.Issuer)
			assert.Equal(t, "user-1", facts.Principal.(*mcpauth.Principal).Subject)
			assert.True(t, facts.Modern)
			assert.False(t, facts.Deciding)
			assert.Equal(t, modernCall("echo"), string(facts.Body))
			calls := facts.Calls.([]mcpauth.Call)
			require.Len(t, calls, 1)
			assert.Equal(t, "echo", calls[0].Name)
		}))
		assert.True(t, looked)
	}
	f.served(f.call(f.token(nil), "echo"))
	_, _, err := onward.Token(t.Context())
	assert.Equal(t, onward.ErrNone, err)
	assert.Equal(t, onward.ErrNone, onward.Look(t.Context(), nil))
}

type stolenKey struct{}

// thief is a context that learns by what key somebody asks it.
type thief struct {
	context.Context
	keys []any
}

func (c *thief) Value(k any) any {
	c.keys = append(c.keys, k)
	return c.Context.Value(k)
}

// shows renders a value in all the ways that need no reflection of one's own.
func shows(values ...any) string {
	var b strings.Builder
	text, object := slog.New(slog.NewTextHandler(&b, nil)), slog.New(slog.NewJSONHandler(&b, nil))
	for _, v := range values {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%s\n%q\n%x\n", v, v, v, v, v, v)
		encoded, _ := json.Marshal(v)
		b.Write(encoded)
		text.Info("shown", "value", v)
		object.Info("shown", "value", v)
		func() {
			defer func() { fmt.Fprintf(&b, "%v %+v", recover(), v) }()
			panic(v)
		}()
	}
	return b.String()
}

// With AllowTokenExchange no code outside of the library comes by the token.
func TestOnBehalf_NotShown_EXCH_02(t *testing.T) {
	f := newFixture(t, onBehalf)
	token := f.token(nil)
	signature := token[strings.LastIndexByte(token, '.')+1:]
	var shown string
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		got, _, err := onward.Token(ctx)
		require.NoError(t, err)
		assert.Equal(t, token, got)

		asked := &thief{Context: ctx}
		_, _, err = onward.Token(asked)
		require.NoError(t, err)
		require.Len(t, asked.keys, 1)
		stolen := ctx.Value(asked.keys[0])
		require.NotNil(t, stolen)
		assert.Zero(t, reflect.TypeOf(stolen).NumMethod(), "what can be called needs no reflection")
		for _, field := range reflect.VisibleFields(reflect.TypeOf(stolen).Elem()) {
			assert.False(t, field.IsExported(), field.Name)
		}
		derived, stop := context.WithCancel(context.WithValue(ctx, stolenKey{}, stolen))
		defer stop()
		p, _ := mcpauth.FromContext(ctx)
		shown = shows(ctx, derived, context.WithoutCancel(ctx), onward.NewContext(ctx, onward.FromContext(ctx)), stolen, asked.keys[0],
			r, *r, r.Clone(ctx), r.WithContext(derived), r.Header, w, p, ctx.Value(http.ServerContextKey))
	}
	f.served(f.call(token, "echo"))
	assert.NotEmpty(t, shown)
	assert.NotContains(t, shown, token)
	assert.NotContains(t, shown, signature)
	assert.NotContains(t, shown, fmt.Sprintf("%x", signature[:12]))
	assert.NotContains(t, f.log.String(), signature)
	assert.NotContains(t, shows(f.auth), signature)
}

// The carrier dies with its request, whoever holds the context.
func TestOnBehalf_Over_EXCH_03(t *testing.T) {
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic(http.ErrAbortHandler) }} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onBehalf)
			over, done := make(chan struct{}), make(chan error)
			var kept context.Context
			f.inner = func(_ http.ResponseWriter, r *http.Request) {
				kept = context.WithoutCancel(r.Context())
				for range 8 {
					go func() {
						for alive := true; alive; { // all the time while the request ends
							select {
							case <-over:
								alive = false
							default:
								_, _, _ = onward.Token(kept)
								_ = onward.Look(kept, func(facts onward.Facts) { _ = string(facts.Body) })
							}
						}
						_, _, err := onward.Token(kept)
						done <- errors.Join(err, onward.Look(kept, nil))
						_, _, err = onward.Metadata(kept)
						done <- err
					}()
				}
				end()
			}
			func() {
				defer func() { _ = recover() }()
				f.call(f.token(nil), "echo")
			}()
			close(over)
			for range 16 {
				err := <-done
				assert.ErrorIs(t, err, onward.ErrOver)
			}
			assert.Equal(t, "user-1", func() string { p, _ := mcpauth.FromContext(kept); return p.Subject }())
		})
	}
}

// On a stream there is a token until it ends, with the leeway, and none of one that was revoked.
func TestOnBehalf_Stream_EXCH_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		f := newFixture(t, func(config *mcpauth.Config) {
			onBehalf(config)
			config.Leeway = 30 * time.Second
			config.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return revoked.Load(), nil }
		})
		listen := func(lasts time.Duration, at ...time.Duration) (errs []error) {
			f.inner = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				begun := time.Now()
				for _, moment := range at {
					time.Sleep(moment - time.Since(begun))
					_, _, err := onward.Token(context.WithoutCancel(r.Context()))
					errs = append(errs, err)
				}
			}
			f.call(f.token(mcpauthtest.Claims{"exp": time.Now().Add(lasts).Unix()}), "echo")
			return errs
		}
		assert.Equal(t, []error{nil, nil, onward.ErrOver}, listen(time.Minute, 50*time.Second, 89*time.Second, 95*time.Second))
		go func() {
			time.Sleep(10 * time.Second)
			revoked.Store(true)
		}()
		assert.Equal(t, []error{nil, onward.ErrOver}, listen(time.Hour, 5*time.Second, 70*time.Second))
	})
}

// A token of which the authorization server tells no end is there as long as the request, and as it says that it is good.
func TestOnBehalf_Endless_EXCH_05_INTRO_24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, onBehalf)
		token := f.answered(`{"active":true,"sub":"user-1","aud":"` + testResource + `","scope":"mcp:read"}`)
		var errs []error
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			for range 4 {
				time.Sleep(2 * time.Minute)
				got, _, err := onward.Token(context.WithoutCancel(r.Context()))
				assert.Equal(t, err == nil, got == token)
				errs = append(errs, err)
			}
		}
		go func() {
			time.Sleep(4*time.Minute + 30*time.Second) // it is asked about again within 66 seconds
			f.issuer.Answer(token, `{"active":false}`)
		}()
		f.call(token, "echo")
		assert.Equal(t, []error{nil, nil, onward.ErrOver, onward.ErrOver}, errs)
	})
}

// A token of which the authorization server tells the end is not to be had later, though the server would still take it.
func TestOnBehalf_AnswerEnds_EXCH_05_INTRO_24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, onBehalf)
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		token := f.answered(fmt.Sprintf(`{"active":true,"sub":"user-1","aud":%q,"scope":"mcp:read","exp":%d}`, testResource, end.Unix()))
		f.inner = func(_ http.ResponseWriter, r *http.Request) {
			got, ends, err := onward.Token(r.Context())
			require.NoError(t, err)
			assert.Equal(t, token, got)
			assert.Equal(t, end.Add(30*time.Second).Unix(), ends.Unix(), "exp and leeway")
		}
		f.served(f.call(token, "echo"))
	})
}

// What acts on behalf of a caller finds the token's own issuer, and whether that one is inside; when it is down, that is said.
func TestOnBehalf_Metadata_EXCH_01(t *testing.T) {
	for _, private := range []bool{false, true} {
		f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].AllowPrivate = private })
		f.inner = func(_ http.ResponseWriter, r *http.Request) {
			document, inside, err := onward.Metadata(r.Context())
			require.NoError(t, err)
			assert.Equal(t, string(f.auth.Issuers()[0].Metadata), string(document))
			assert.Equal(t, private, inside)
		}
		f.served(f.call(f.token(nil), "echo"))

		f = newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].AllowPrivate, c.Issuers[0].JWKSURI = private, placeKeys })
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		f.inner = func(_ http.ResponseWriter, r *http.Request) {
			document, inside, err := onward.Metadata(r.Context())
			require.ErrorIs(t, err, refusal.Unavailable)
			assert.Empty(t, document)
			assert.False(t, inside)
		}
		f.served(f.call(f.token(nil), "echo"))
	}
}

// Whom a policy leaves behind, to exchange early, may look while the request goes on.
func TestOnBehalf_LeftBehind_EXCH_03(t *testing.T) {
	var behind sync.WaitGroup
	looks := make(chan struct{}, 1)
	f := newFixture(t, func(config *mcpauth.Config) {
		config.Policy = mcpauth.PolicyFunc(func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
			behind.Go(func() {
				for facts := (onward.Facts{Deciding: true}); facts.Deciding; {
					if onward.Look(ctx, func(now onward.Facts) { facts = now }) != nil {
						return
					}
					select {
					case looks <- struct{}{}:
					default:
					}
				}
			})
			<-looks
			return mcpauth.Authenticated(), nil
		})
	})
	f.served(f.call(f.token(nil), "echo"))
	behind.Wait()
}

// A policy that cannot know is no server error, and no fault of the token.
func TestPolicy_Unavailable_EXCH_15(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		status int
		least  int // seconds of Retry-After, of which there may be two more
	}{
		"broken":                {errors.New("broken"), http.StatusInternalServerError, 0},
		"cannot know":           {fmt.Errorf("asking: %w", mcpauth.ErrUnavailable), http.StatusServiceUnavailable, 1},
		"cannot know for 9s":    {&mcpauth.DeniedError{Err: mcpauth.ErrUnavailable, RetryAfter: 9 * time.Second}, http.StatusServiceUnavailable, 9},
		"cannot know for 7s":    {errors.Join(mcpauth.ErrUnavailable, &mcpauth.DeniedError{RetryAfter: 7 * time.Second}), http.StatusServiceUnavailable, 7},
		"does not say how long": {&mcpauth.DeniedError{Err: mcpauth.ErrUnavailable}, http.StatusServiceUnavailable, 1},
		"says less than none":   {&mcpauth.DeniedError{Err: mcpauth.ErrUnavailable, RetryAfter: -time.Hour}, http.StatusServiceUnavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var told time.Duration
			f := newFixture(t, func(config *mcpauth.Config) {
				config.OnDecision = func(_ context.Context, d mcpauth.Decision) { told = d.Err.RetryAfter }
				config.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
					return mcpauth.Requirement{}, row.err
				})
			})
			w := f.call(f.token(nil), "echo")
			f.refused(w, row.status, "")
			seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
			assert.Equal(t, row.least == 0, err != nil)
			assert.True(t, row.least <= seconds && seconds <= row.least+2, seconds)
			assert.Equal(t, time.Duration(row.least)*time.Second, told)
		})
	}
}

// adding is a policy that adds something to rules.
type adding struct {
	mcpauth.Rules
	problem  error
	onBehalf []string // what New says of the issuers
	refine   func(mcpauth.Call, mcpauth.Requirement) (mcpauth.Requirement, error)
}

func (a *adding) Refines(onBehalf []string, _ onward.Ours) (mcpauth.Policy, error) {
	a.onBehalf = onBehalf
	return a.Rules, a.problem
}

// addingToCode is one that adds something to code.
type addingToCode struct {
	*adding
	code mcpauth.PolicyFunc
}

func (a addingToCode) Refines([]string, onward.Ours) (mcpauth.Policy, error) { return a.code, nil }

func (a *adding) Refine(_ context.Context, call mcpauth.Call, required mcpauth.Requirement, _ onward.Ours) (mcpauth.Requirement, error) {
	return a.refine(call, required)
}

// What a package of ours adds to rules is asked about those alone whom the rules let through, and can only refuse.
func TestPolicy_Refined_EXCH_19(t *testing.T) {
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read"), "admin_delete": mcpauth.Scopes("mcp:admin")}}
	challenged := func(scope string) string {
		return `Bearer error="insufficient_scope", scope="` + scope + `", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"`
	}
	asked := 0
	a := &adding{Rules: rules, refine: func(_ mcpauth.Call, required mcpauth.Requirement) (mcpauth.Requirement, error) {
		asked++
		return required, nil
	}}
	f := newFixture(t, func(config *mcpauth.Config) {
		config.Issuers = append(config.Issuers, mcpauth.Issuer{URL: secondIssuerURL, AllowTokenExchange: true})
		config.Policy = a
	})
	assert.Equal(t, []string{secondIssuerURL}, a.onBehalf)
	f.served(f.call(f.token(nil), "echo"))
	assert.Equal(t, 1, asked)
	f.refused(f.call(f.token(nil), "admin_delete"), http.StatusForbidden, challenged("mcp:admin"))
	f.refused(f.call(f.token(nil), "unknown"), http.StatusForbidden, "")
	assert.Equal(t, 1, asked, "not about whom the rules refuse")
	for name, row := range map[string]struct {
		refine func(mcpauth.Call, mcpauth.Requirement) (mcpauth.Requirement, error)
		status int
		code   string
	}{
		"more scopes": {func(_ mcpauth.Call, required mcpauth.Requirement) (mcpauth.Requirement, error) {
			return mcpauth.Scopes(append(required.AllOf, "more")...), nil
		}, http.StatusForbidden, challenged("mcp:read more")},
		"cannot know": {func(mcpauth.Call, mcpauth.Requirement) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, mcpauth.ErrUnavailable
		}, http.StatusServiceUnavailable, ""},
		"panics": {func(mcpauth.Call, mcpauth.Requirement) (mcpauth.Requirement, error) { panic("x") }, http.StatusInternalServerError, ""},
		"impossible": {func(mcpauth.Call, mcpauth.Requirement) (mcpauth.Requirement, error) {
			return mcpauth.Scopes("a b"), nil
		}, http.StatusInternalServerError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a.refine = row.refine
			f.refused(f.call(f.token(nil), "echo"), row.status, row.code)
		})
	}
	t.Run("to code that cannot know", func(t *testing.T) {
		f := newFixture(t, func(config *mcpauth.Config) {
			config.Policy = addingToCode{a, func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
				return mcpauth.Requirement{}, mcpauth.ErrUnavailable
			}}
		})
		f.refused(f.call(f.token(nil), "echo"), http.StatusServiceUnavailable, "")
	})
	_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: testIssuerURL}}, Policy: &adding{problem: errors.New("what is wrong")}})
	assert.ErrorContains(t, err, "what is wrong")
}
