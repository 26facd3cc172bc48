package mcpauth_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestReloadKeepsProofs_RELOAD_05: a proof that was used under a configuration is used under the next, also if bound tokens were
// not taken in between; nonces stay good.
func TestReloadKeepsProofs_RELOAD_05_DPOP_09(t *testing.T) {
	l := newProofLab(t, nil)
	mode := func(mode mcpauth.DPoP) {
		t.Helper()
		require.NoError(t, l.auth.Reload(t.Context(), l.config(func(c *mcpauth.Config) { c.Issuers[0].DPoP = mode }), ""))
	}
	proof := l.proof(nil)
	require.Equal(t, 200, l.bound(proof).Code)
	mode(mcpauth.DPoPOff)
	l.refused(l.bound(l.proof(nil)), 401, bearerOffer)
	mode(mcpauth.DPoPAccepted)
	l.replayed(l.bound(proof))
	assert.Equal(t, 200, l.bound(l.proof(nil)).Code)
	mode(mcpauth.DPoPRequired)
	w := l.bound(l.proof(nil))
	l.refused(w, 401, dpopError("use_dpop_nonce", "DPoP proof without a valid nonce"))
	nonce := w.Header().Get("DPoP-Nonce")
	assert.Equal(t, 401, l.serve(l.send("Bearer "+l.bearer)).Code, "a bearer token that was remembered")
	require.NoError(t, l.auth.Reload(t.Context(), l.config(func(c *mcpauth.Config) { requireDPoP(c); echoNeeds("mcp:read")(c) }), ""))
	assert.Equal(t, 200, l.bound(l.proof(mcpauthtest.Claims{"nonce": nonce})).Code)
}

// TestReloadIntrospection_RELOAD_05_RELOAD_06: what is known of opaque tokens stays while the issuer is asked as before, no refusal by
// rules of before is repeated, and another client of the authorization server counts at once.
func TestReloadIntrospection_RELOAD_05_RELOAD_06_INTRO_05(t *testing.T) {
	var secret atomic.Value
	transport := func(rest http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if _, password, ok := r.BasicAuth(); ok {
				secret.Store(password)
			}
			return rest.RoundTrip(r)
		})
	}
	var shared http.RoundTripper
	f := newOpaqueFixture(t, func(c *mcpauth.Config) { shared = transport(c.Transport); c.Transport = shared })
	reload := func(change func(*mcpauth.Config)) error {
		return f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
			c.Issuers[0].Introspect, c.Transport = f.issuer.Introspection(), shared
			change(c)
		}), "")
	}
	token, wide := f.opaque(nil), f.opaque(mcpauthtest.Claims{"aud": "api://wide"})
	f.served(f.call(token, "echo"))
	f.refused(f.call(wide, "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrAudience)))
	asked := f.questions()

	require.NoError(t, reload(echoNeeds("mcp:read")))
	f.served(f.call(token, "echo"))
	f.refused(f.call(wide, "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrAudience)))
	assert.Equal(t, asked, f.questions(), "nothing is asked again for rules")

	require.NoError(t, reload(func(c *mcpauth.Config) { c.Issuers[0].Audiences = []string{testResource, "api://wide"} }))
	f.ran = 0
	f.served(f.call(wide, "echo"))
	f.served(f.call(token, "echo"))
	assert.Equal(t, asked+2, f.questions(), "an issuer with other rules judges anew")

	f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
	require.NoError(t, reload(func(c *mcpauth.Config) {
		c.Issuers[0].Introspect.Client = clientauth.SecretBasic("resource-server", "another")
	}))
	f.call(f.opaque(nil), "echo")
	assert.Equal(t, "another", secret.Load(), "the new secret is used")

	f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.None)
	before := f.auth.ConfigStatus().Fingerprint
	require.NoError(t, reload(func(c *mcpauth.Config) { c.Issuers[0].Introspect = nil }))
	f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrMalformedToken)))
	assert.NotEqual(t, before, f.auth.ConfigStatus().Fingerprint)
	before = f.auth.ConfigStatus().Fingerprint
	require.NoError(t, reload(func(c *mcpauth.Config) {
		c.Issuers[0].Introspect, c.Issuers[0].Unlisted = nil, true
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: "https://other.example.com", Keys: []byte(otherKeys(t))})
	}))
	assert.NotEqual(t, before, f.auth.ConfigStatus().Fingerprint)
	assert.NotContains(t, string(f.auth.MetadataJSON()), testIssuerURL)
}

// TestReloadAsked_RELOAD_06: who is asked about tokens elsewhere is asked there at once, wherever that is written, and not before it
// is known where.
func TestReloadAsked_RELOAD_06_INTRO_17(t *testing.T) {
	var asked string
	var transport http.RoundTripper
	f := newFixture(t, func(c *mcpauth.Config) {
		rest := c.Transport
		transport = &askedAt{rest, &asked}
		c.Transport = transport
	})
	says := func(path string) {
		f.issuer.PublishMetadata(func(m map[string]any) {
			if m["introspection_endpoint"] = testIssuerURL + path; path == "" {
				delete(m, "introspection_endpoint")
			}
		})
	}
	reload := func(endpoint string, private bool, limit ...time.Duration) error {
		return f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
			c.Transport, c.Issuers[0].AllowPrivate = transport, private
			for _, c.Issuers[0].MaxLifetime = range limit {
			}
			c.Issuers[0].Introspect = &mcpauth.Introspection{Endpoint: endpoint, Client: clientauth.SecretBasic("c", "s")}
		}), "")
	}
	asks := func(path string) {
		t.Helper()
		asked = ""
		f.refused(f.call("opaque"+strings.ReplaceAll(path, "/", "_"), "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrRevoked)))
		assert.Equal(t, "/tenant1"+path, asked)
	}
	says("")
	require.EqualError(t, reload("", false), `mcpauth: Config.Issuers[0].Introspect.Endpoint = "": the authorization server does not say where it is, and until then it does not count: `+
		"authorization temporarily unavailable: introspection at issuer "+testIssuerURL+": the metadata has no introspection_endpoint")
	says("/by-metadata")
	require.NoError(t, reload("", true))
	asks("/by-metadata")
	says("/by-other-metadata")
	require.NoError(t, reload("", false))
	asks("/by-other-metadata")
	require.NoError(t, reload(testIssuerURL+"/by-config", false))
	asks("/by-config")
	require.NoError(t, reload(testIssuerURL+"/by-other-config", false))
	asks("/by-other-config")
	asked = ""
	require.NoError(t, reload(testIssuerURL+"/by-other-config", false, time.Hour))
	f.refused(f.call("opaque_by-other-config", "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrRevoked)))
	assert.Empty(t, asked, "what is known of tokens by the same place stays")
}

// askedAt answers that no token is good, and remembers where it was asked.
type askedAt struct {
	http.RoundTripper
	path *string
}

func (a *askedAt) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return a.RoundTripper.RoundTrip(r)
	}
	*a.path = r.URL.Path
	return answerOf(r, http.StatusOK, `{"active":false}`), nil
}

// TestReloadOpaqueStreams_RELOAD_03: a stream of an opaque token goes on while its issuer is asked as before, also one whose
// token has no end, follows a narrower leeway by the end that the issuer told last, and ends when the issuer is not asked any more.
func TestReloadOpaqueStreams_RELOAD_03_INTRO_24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		reload := func(change func(*mcpauth.Config)) {
			t.Helper()
			require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
				c.Issuers[0].Introspect = f.issuer.Introspection()
				change(c)
			}), ""))
		}
		ended := make(chan struct{}, 2)
		f.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {}\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			ended <- struct{}{}
		}
		open := func(token string) {
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			go f.serve(newRequest(http.MethodGet, "/mcp", token, "", "Accept: text/event-stream", "MCP-Protocol-Version: 2025-11-25").WithContext(ctx))
			synctest.Wait()
		}
		over := func() int { synctest.Wait(); return len(ended) }
		endless := f.answered(`{"active":true,"sub":"user-1","aud":"` + testResource + `","scope":"mcp:read"}`)
		open(endless)
		short := f.opaque(mcpauthtest.Claims{"exp": time.Now().Add(10 * time.Minute).Unix()})
		open(short)
		reload(func(c *mcpauth.Config) { c.Leeway = time.Second })
		require.Equal(t, 0, over())
		time.Sleep(10*time.Minute + 2*time.Second)
		require.Equal(t, 1, over(), "the one with an end, by the new leeway")
		reload(func(c *mcpauth.Config) { c.Scopes = []string{"mcp:read", "mcp:write"} })
		require.Equal(t, 1, over())
		reload(func(c *mcpauth.Config) { c.Issuers[0].Introspect = nil })
		require.Equal(t, 2, over())
		assert.Contains(t, f.log.String(), "mcpauth: stream ended early")
		assert.False(t, strings.Contains(f.log.String(), hidden))
	})
}

// TestReloadClientRecord_RELOAD_08: a change of nothing but how this server proves who it is is told by the name of the issuer.
func TestReloadClientRecord_RELOAD_08_RELOAD_05(t *testing.T) {
	var changes []*mcpauth.ConfigChange
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			if d.Change != nil {
				changes = append(changes, d.Change)
			}
		}
	})
	own := f.issuer.Introspection()
	key := mcpauthtest.NewKey("mine", "ES256").Private
	for _, step := range []struct {
		name    string
		client  clientauth.Method
		changed bool
	}{
		{"the same", own.Client, false},
		{"another secret", clientauth.SecretBasic(own.Client.ClientID(), "another"), true},
		{"the same secret, made anew", clientauth.SecretBasic(own.Client.ClientID(), "another"), false},
		{"the same secret in another way", clientauth.SecretPost(own.Client.ClientID(), "another"), true},
		{"a key", clientauth.PrivateKeyJWT(own.Client.ClientID(), clientauth.Key{Signer: key}), true},
		{"the same key", clientauth.PrivateKeyJWT(own.Client.ClientID(), clientauth.Key{Signer: key}), false},
		{"the same key by another name", clientauth.PrivateKeyJWT(own.Client.ClientID(), clientauth.Key{Signer: key, ID: "mine"}), true},
	} {
		changes = nil
		require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
			how := *own
			how.Client = step.client
			c.Issuers[0].Introspect = &how
		}), step.name))
		if !step.changed {
			assert.Empty(t, changes, step.name)
			continue
		}
		require.Len(t, changes, 1, step.name)
		assert.Equal(t, []string{fmt.Sprintf("issuers[%q]", testIssuerURL)}, changes[0].Changed, step.name)
	}
}

// TestReloadSecretsOfTwo_RELOAD_08: issuers of which nothing but a secret has changed are told in order.
func TestReloadSecretsOfTwo_RELOAD_08(t *testing.T) {
	with := func(secret string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Issuers = []mcpauth.Issuer{{URL: secondIssuerURL}, c.Issuers[0]}
			for i := range c.Issuers {
				c.Issuers[i].Introspect = &mcpauth.Introspection{Endpoint: testIssuerURL + "/introspect", Client: clientauth.SecretBasic("c", secret), Prefix: []string{"a_", "b_"}[i]}
			}
		}
	}
	var changed []string
	f := newFixture(t, func(c *mcpauth.Config) {
		with("old")(c)
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { changed = d.Change.Changed }
	})
	require.NoError(t, f.auth.Reload(t.Context(), f.config(with("new")), ""))
	assert.Equal(t, []string{fmt.Sprintf("issuers[%q]", testIssuerURL), fmt.Sprintf("issuers[%q]", secondIssuerURL)}, changed)
}

// TestReloadPrefix_RELOAD_01: when a prefix is another issuer's by now, nobody else vouches for tokens that begin so, and streams of
// theirs end.
func TestReloadPrefix_RELOAD_01_INTRO_17(t *testing.T) { synctest.Test(t, reloadPrefix) }

func reloadPrefix(t *testing.T) {
	var other *mcpauthtest.Issuer
	var shared http.RoundTripper
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		rest := c.Transport
		other = mcpauthtest.NewIssuerAt(t, secondIssuerURL)
		shared = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "as2.example.com" {
				return other.Transport().RoundTrip(r)
			}
			return rest.RoundTrip(r)
		})
		c.Transport = shared
	})
	token := f.opaque(nil)
	f.served(f.call(token, "echo"))
	stream := f.lasts(f.request(http.MethodPost, "/mcp", token, modernCall("echo"), modernHeaders("tools/call", "echo")...))
	own := f.lasts(f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...))
	f.ran = 0
	require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
		c.Transport, c.Issuers[0].Introspect = shared, f.issuer.Introspection()
		second := other.Config()
		second.Introspect = other.Introspection()
		second.Introspect.Prefix = token[:4]
		c.Issuers = append(c.Issuers, second)
	}), ""))
	synctest.Wait()
	assert.ErrorIs(t, stream.cause, mcpauth.ErrIssuer)
	own.goesOn(t)
	f.refused(f.call(token, "echo"), http.StatusUnauthorized, invalidToken(words(mcpauth.ErrRevoked)))
}

// TestReloadLeewayRefused_RELOAD_01: what was refused by a narrower leeway is not refused any more.
func TestReloadLeewayRefused_RELOAD_01_INTRO_21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, func(c *mcpauth.Config) { c.Leeway = time.Second })
		tokens := []string{
			f.opaque(mcpauthtest.Claims{"exp": time.Now().Add(-20 * time.Second).Unix()}),
			f.opaque(mcpauthtest.Claims{"nbf": time.Now().Add(20 * time.Second).Unix()}),
		}
		for _, token := range tokens {
			require.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
		}
		require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
			c.Leeway, c.Issuers[0].Introspect = time.Minute, f.issuer.Introspection()
		}), ""))
		for _, token := range tokens {
			f.ran = 0
			f.served(f.call(token, "echo"))
		}
	})
}

// aSigner is a key in a module that may have died.
type aSigner struct {
	crypto.Signer
	dead   bool
	signed *atomic.Int32
}

func (s aSigner) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if s.dead {
		return nil, errors.New("the session with the module is over")
	}
	s.signed.Add(1)
	return s.Signer.Sign(random, digest, o)
}

// TestReloadSigner_RELOAD_05: another way to the same key counts at once, whether something else has changed or not, and is no change: what is
// warm stays, and streams go on.
func TestReloadSigner_RELOAD_05_RELOAD_06(t *testing.T) {
	for name, change := range map[string]func(*mcpauth.Config){
		"nothing else":      func(*mcpauth.Config) {},
		"something else":    func(c *mcpauth.Config) { c.Scopes = []string{"mcp:write"} },
		"of the issuer too": func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = 1000 * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, signed := mcpauthtest.NewKey("mine", "ES256").Private, new(atomic.Int32)
				with := func(signer crypto.Signer) func(c *mcpauth.Config) {
					return func(c *mcpauth.Config) {
						c.Issuers[0].Introspect = &mcpauth.Introspection{Endpoint: testIssuerURL + "/introspect",
							Client: clientauth.PrivateKeyJWT("resource-server", clientauth.Key{Signer: signer})}
					}
				}
				f := newFixture(t, with(aSigner{key, true, signed}))
				require.Equal(t, http.StatusServiceUnavailable, f.call(f.opaque(nil), "echo").Code)
				f.ran = 0
				stream := f.lasts(f.request(http.MethodPost, "/mcp", f.token(nil), modernCall("echo"), modernHeaders("tools/call", "echo")...))
				require.ErrorContains(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) {
					with(aSigner{key, false, signed})(c)
					c.MaxBody = 1
				}), ""), "MaxBody")
				_, _ = f.auth.Authenticate(f.request(http.MethodPost, "/mcp", f.opaque(nil), ""))
				require.Zero(t, signed.Load(), "what has a mistake is not used")
				require.NoError(t, f.auth.Reload(t.Context(), f.config(func(c *mcpauth.Config) { with(aSigner{key, false, signed})(c); change(c) }), ""))
				_, _ = f.auth.Authenticate(f.request(http.MethodPost, "/mcp", f.opaque(nil), ""))
				assert.NotZero(t, signed.Load(), "it is used")
				if name != "of the issuer too" {
					stream.goesOn(t)
				} else {
					stream.leave()
				}
				synctest.Wait()
			})
		})
	}
}
