package products

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// prover is a client's transport that proves possession of its key with each request (RFC 9449), by a library that is
// not ours. It comes back with a nonce where one is wanted.
type prover struct {
	t   *testing.T
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	nonces map[string]string // by host
	last   *http.Request     // as it was sent
	wanted int               // nonces, by way of refusals
}

func newProver(t *testing.T) *prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &prover{t: t, key: key, nonces: map[string]string{}}
}

// proof is one for a request with the token that it carries.
func (p *prover) proof(r *http.Request) string {
	at := *r.URL
	at.RawQuery, at.Fragment = "", ""
	claims := map[string]any{"jti": rand.Text(), "htm": r.Method, "htu": at.String(), "iat": time.Now().Unix()}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); ok {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	p.mu.Lock()
	if nonce := p.nonces[r.URL.Host]; nonce != "" {
		claims["nonce"] = nonce
	}
	p.mu.Unlock()
	payload, err := json.Marshal(claims)
	require.NoError(p.t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	require.NoError(p.t, err)
	signed, err := signer.Sign(payload)
	require.NoError(p.t, err)
	compact, err := signed.CompactSerialize()
	require.NoError(p.t, err)
	return compact
}

func (p *prover) RoundTrip(r *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		sent := r.Clone(r.Context())
		if again && r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			sent.Body = body
		}
		sent.Header.Set("DPoP", p.proof(r))
		response, err := http.DefaultTransport.RoundTrip(sent)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.last = sent
		nonce := response.Header.Get("DPoP-Nonce")
		if nonce != "" {
			p.nonces[r.URL.Host] = nonce
		}
		refused := nonce != "" && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusBadRequest)
		if refused {
			p.wanted++
		}
		p.mu.Unlock()
		if !refused || again {
			return response, nil
		}
		_ = response.Body.Close()
	}
}

// grant gets a token as a client does that signs each of its requests.
func (p *prover) grant(t *testing.T, server *authservers.Server, client, resource string) (*http.Client, *oauth2.Token) {
	t.Helper()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: p})
	server.Prepare(authservers.Ann)
	if client == "" {
		client, _ = register(t, origin(t, server.Issuer.URL)+server.Register)
	}
	config := oauth2.Config{ClientID: client, RedirectURL: redirect, Scopes: []string{"mcp:read"}, Endpoint: endpoint(t, server)}
	verifier := oauth2.GenerateVerifier()
	parameter := oauth2.SetAuthURLParam("resource", resource)
	back, err := authservers.NewBrowser(authservers.Ann, false).Walk(ctx, config.AuthCodeURL(oauth2.GenerateVerifier(), oauth2.S256ChallengeOption(verifier), parameter))
	require.NoError(t, err)
	token, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier), parameter)
	require.NoError(t, err)
	require.Equal(t, "DPoP", token.TokenType)
	return config.Client(ctx, token), token
}

// TestBoundTokens: real servers bind real tokens, and the go-sdk's client, in which nobody knows of DPoP but its
// transport, is served. Whoever has the token alone, or what went over the wire, is not.
func TestBoundTokens_DPOP_01_DPOP_07_DPOP_08_DPOP_10_INTRO_14(t *testing.T) {
	const secret = "of-an-opaque-provider"
	provider := func(t *testing.T, options authservers.OIDCProviderOptions) *authservers.Server {
		server := authservers.StartOIDCProvider(t, options)
		server.Prepare = func(string) {}
		return server
	}
	for _, product := range []struct {
		name   string
		client string
		start  func(t *testing.T) *authservers.Server
	}{
		{"oidc-provider", "", func(t *testing.T) *authservers.Server { return provider(t, authservers.OIDCProviderOptions{}) }},
		{"oidc-provider, opaque", "", func(t *testing.T) *authservers.Server {
			server := provider(t, authservers.OIDCProviderOptions{Asking: secret})
			server.Issuer = asking(server.Issuer, mcpauth.Introspection{Client: clientauth.SecretBasic("mcp-server", secret)})
			return server
		}},
		{"Keycloak", "interop", func(t *testing.T) *authservers.Server { return authservers.StartKeycloakRealm(t).Server }},
		{"Keycloak, asked", "interop", func(t *testing.T) *authservers.Server {
			realm := authservers.StartKeycloakRealm(t)
			realm.Issuer = asking(realm.Issuer, mcpServer(t, realm, authservers.KeycloakAudience))
			return realm.Server
		}},
	} {
		t.Run(product.name, func(t *testing.T) {
			server := product.start(t)
			for _, backend := range []protected.Backend{protected.MCPGo, protected.GoSDK} {
				for _, mode := range []mcpauth.DPoP{mcpauth.DPoPAccepted, mcpauth.DPoPRequired} {
					t.Run(fmt.Sprintf("%s, mode %d", backend, mode), func(t *testing.T) {
						proves(t, server, product.client, backend, mode)
					})
				}
			}
		})
	}
}

// proves has a client with a bound token call a tool, and then a thief.
func proves(t *testing.T, server *authservers.Server, clientID string, backend protected.Backend, mode mcpauth.DPoP) {
	issuer := server.Issuer
	issuer.DPoP = mode
	guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: backend, Issuer: issuer})
	p := newProver(t)
	client, token := p.grant(t, server, clientID, guarded.URL)
	p.wanted = 0 // by the authorization server
	session, err := sdk.NewClient(&sdk.Implementation{Name: "prover", Version: "1"}, nil).Connect(t.Context(),
		&sdk.StreamableClientTransport{Endpoint: guarded.URL, HTTPClient: client}, nil)
	require.NoError(t, err, guarded.Log())
	for range 3 {
		result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo"})
		require.NoError(t, err, guarded.Log())
		assert.Contains(t, result.Content[0].(*sdk.TextContent).Text, "echo for ann")
	}
	p.mu.Lock()
	last, wanted := p.last, p.wanted
	p.mu.Unlock()
	if mode == mcpauth.DPoPRequired {
		assert.Positive(t, wanted, "a nonce has to be asked for")
	} else {
		assert.Zero(t, wanted)
	}
	stolen(t, guarded, server, clientID, last, token.AccessToken)
	assert.Equal(t, []string{"echo", "echo", "echo"}, guarded.Ran())
	require.NoError(t, session.Close())
}

// stolen is what somebody can do who has seen a request, and has a key and a token of his own.
func stolen(t *testing.T, guarded *protected.Server, server *authservers.Server, client string, seen *http.Request, token string) {
	t.Helper()
	thief := newProver(t)
	_, own := thief.grant(t, server, client, guarded.URL)
	for name, row := range map[string]struct {
		authorization string
		proof         func(r *http.Request) string
		cause         string
	}{
		"the token alone":                {"Bearer " + token, nil, "bound-as-bearer"},
		"the token without a proof":      {"DPoP " + token, nil, "proof-missing"},
		"the whole request again":        {"DPoP " + token, func(*http.Request) string { return seen.Header.Get("DPoP") }, "proof-"},
		"the token with another key":     {"DPoP " + token, thief.proof, "proof-key"},
		"another token with the proof":   {"DPoP " + own.AccessToken, func(*http.Request) string { return seen.Header.Get("DPoP") }, "proof-token"},
		"the token as proof":             {"DPoP " + token, func(*http.Request) string { return token }, "proof-"},
		"a good proof for another place": {"DPoP " + own.AccessToken, func(r *http.Request) string { at := r.Clone(r.Context()); at.URL.Path += "/x"; return thief.proof(at) }, "proof-url"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, guarded.URL, strings.NewReader(initialize))
		require.NoError(t, err)
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {row.authorization}}
		if row.proof != nil {
			r.Header.Set("DPoP", row.proof(r))
		}
		before := len(guarded.Log())
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = response.Body.Close()
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode, name)
		assert.Contains(t, strings.Join(response.Header.Values("WWW-Authenticate"), ", "), "DPoP ", name)
		assert.Contains(t, guarded.Log()[before:], "cause="+row.cause, name)
	}
}
