package mcpauth_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// tokenShape is one file in testdata/providers: what an access token of a
// provider looks like, with invented values.
type tokenShape struct {
	Provider       string         `json:"provider"`
	Note           string         `json:"note"`
	Metadata       []string       `json:"metadata"`         // where the provider publishes it
	KeysWithoutAlg bool           `json:"keys_without_alg"` // what its key set looks like
	Header         map[string]any `json:"header"`
	Claims         map[string]any `json:"claims"`
	Opaque         string         `json:"opaque"` // a token that is no JWT
}

func readShape(t *testing.T, name string) tokenShape {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "providers", name+".json"))
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	var shape tokenShape
	require.NoError(t, decoder.Decode(&shape))
	require.NotEmpty(t, shape.Provider)
	require.NotEmpty(t, shape.Note)
	require.NotEmpty(t, shape.Metadata)
	return shape
}

func (s *tokenShape) issuer() string { return s.Claims["iss"].(string) }

// mint signs the token anew, with its times moved so that it is fresh. A nil
// value takes a member away.
func (s *tokenShape) mint(t *testing.T, key *mcpauthtest.Key, header, claims map[string]any) string {
	t.Helper()
	all := maps.Clone(s.Claims)
	issued, err := all["iat"].(json.Number).Int64()
	require.NoError(t, err)
	for _, name := range []string{"iat", "exp", "nbf", "auth_time"} {
		if number, ok := all[name].(json.Number); ok {
			seconds, err := number.Int64()
			require.NoError(t, err)
			all[name] = seconds - issued + time.Now().Unix()
		}
	}
	head, err := json.Marshal(changed(s.Header, header))
	require.NoError(t, err)
	payload, err := json.Marshal(changed(all, claims))
	require.NoError(t, err)
	return key.Sign(string(head), string(payload))
}

func changed(members, change map[string]any) map[string]any {
	members = maps.Clone(members)
	for name, value := range change {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	return members
}

// providerToken is what one literal makes of one token.
type providerToken struct {
	page    string // docs/providers/*.md
	literal func() mcpauth.Issuer

	needs           string   // what tool echo requires
	scopes          []string // what the token is worth
	client, subject string

	plain   error // what becomes of the token with the URL alone; nil: it is served
	unread  error // what becomes of it if its scopes are not read; nil: insufficient scope
	idToken error // what becomes of an ID token of the provider, made for the same client
	more    []providerRefusal
}

// providerRefusal is a mistake on either side and what it looks like.
type providerRefusal struct {
	name           string
	literal        func(*mcpauth.Issuer)
	header, claims map[string]any
	token          func(string) string // the last change, to the compact form
	want           error
}

type object = map[string]any

// refusals are those that every provider's token gets, and its own.
func (p *providerToken) refusals(shape *tokenShape) []providerRefusal {
	clientClaim := p.literal().Claims.Audience
	stranger, absent := object{"aud": "client-9"}, object{"aud": nil}
	if _, ok := shape.Claims["aud"]; !ok {
		stranger, absent = object{clientClaim: "client-9"}, object{clientClaim: nil}
	}
	unread := "scope"
	if _, ok := shape.Claims["scope"]; ok {
		unread = "scp"
	}
	notRead := p.unread
	if notRead == nil {
		notRead = mcpauth.ErrInsufficientScope
	}
	rows := []providerRefusal{
		{name: "TOK-56 a slash too many or too few in URL", want: mcpauth.ErrIssuer, literal: func(i *mcpauth.Issuer) { i.URL = toggleSlash(i.URL) }},
		{name: "AUD-08 the audience is another client", want: mcpauth.ErrAudience, claims: stranger},
		{name: "AUD-02 no audience", want: mcpauth.ErrAudience, claims: absent},
		{name: "AUD-06 the audience is another resource", want: mcpauth.ErrAudience, claims: object{"aud": "https://mcp.example.com/other"}},
		{name: "TOK-36 an ID token", want: p.idToken, header: object{"typ": "JWT"}, claims: object{
			"aud": p.client, "nonce": "n", "scope": nil, "scp": nil, "permissions": nil, "client_id": nil,
		}},
		{name: "TOK-36 a nonce, and no type of access tokens", want: mcpauth.ErrTokenType, header: object{"typ": "JWT"}, claims: object{"nonce": "n"}},
		{name: "CLAIM-04 scopes read from " + unread, want: notRead, literal: func(i *mcpauth.Issuer) {
			audience := i.Claims.Audience
			i.Claims = mcpauth.ClaimMap{Scopes: []string{unread}, Audience: audience}
		}},
	}
	if p.plain != nil {
		rows = append(rows, providerRefusal{name: "the URL alone", want: p.plain, literal: func(i *mcpauth.Issuer) { *i = mcpauth.Issuer{URL: i.URL} }})
	}
	return append(rows, p.more...)
}

func toggleSlash(url string) string {
	if trimmed, ok := strings.CutSuffix(url, "/"); ok {
		return trimmed
	}
	return url + "/"
}

// serveProvider publishes metadata and keys as the provider does, and makes a
// server that trusts it as the literal says.
func serveProvider(t *testing.T, shape *tokenShape, literal mcpauth.Issuer, needs string) (*fixture, *mcpauthtest.Key) {
	t.Helper()
	issuer := mcpauthtest.NewIssuerAt(t, shape.issuer())
	issuer.ServeOnly(shape.Metadata...)
	key := mcpauthtest.NewKey(shape.Header["kid"].(string), shape.Header["alg"].(string))
	jwk := key.JWK()
	if shape.KeysWithoutAlg {
		delete(jwk, "alg")
	}
	set, err := json.Marshal(object{"keys": []any{jwk}})
	require.NoError(t, err)
	issuer.PublishKeySet(string(set))
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Issuers = []mcpauth.Issuer{literal}
		c.Transport = issuer.Transport()
		c.Scopes = []string{needs}
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"echo": mcpauth.Scopes(needs), "write": mcpauth.Scopes(needs, needs+".write"),
		}}
	})
	f.issuer = issuer
	return f, key
}

// TestProviders has every shape verified under the literal of its page, through
// discovery and the key set as the provider publishes them, and sees every
// mistake refused for the reason that the page gives.
func TestProviders_COMPAT_16_CLAIM_02_CLAIM_07_AUD_08_TOK_59(t *testing.T) {
	for name, p := range providerTokens {
		t.Run(name, func(t *testing.T) {
			shape := readShape(t, shapeOf(name))
			require.Equal(t, p.literal().URL, shape.issuer())

			f, key := serveProvider(t, &shape, p.literal(), p.needs)
			token := shape.mint(t, key, nil, nil)
			f.served(f.call(token, "echo"))
			principal, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
			require.NoError(t, err)
			assert.Equal(t, p.scopes, principal.Scopes)
			assert.Equal(t, p.client, principal.ClientID)
			assert.Equal(t, p.subject, principal.Subject)
			assert.Equal(t, shape.issuer(), principal.Issuer)
			assert.False(t, principal.Client)

			if p.plain == nil {
				f, key := serveProvider(t, &shape, mcpauth.Issuer{URL: p.literal().URL}, p.needs)
				f.served(f.call(shape.mint(t, key, nil, nil), "echo"))
			}
			for _, row := range p.refusals(&shape) {
				t.Run(row.name, func(t *testing.T) {
					literal := p.literal()
					if row.literal != nil {
						row.literal(&literal)
					}
					f, key := serveProvider(t, &shape, literal, p.needs)
					token := shape.mint(t, key, row.header, row.claims)
					if row.token != nil {
						token = row.token(token)
					}
					f.refusedFor(f.call(token, "echo"), row.want, p.needs)
				})
			}
		})
	}
}

// refusedFor asserts the status that belongs to a reason, its words, and that
// the challenge names the scope as the provider knows it.
func (f *fixture) refusedFor(w *httptest.ResponseRecorder, want error, scope string) {
	f.tb.Helper()
	challenge := w.Header().Get("WWW-Authenticate")
	switch want {
	case mcpauth.ErrForbidden:
		assert.Equal(f.tb, http.StatusForbidden, w.Code)
		assert.Empty(f.tb, challenge)
	case mcpauth.ErrInsufficientScope:
		assert.Equal(f.tb, http.StatusForbidden, w.Code)
		assert.Contains(f.tb, challenge, `error="insufficient_scope"`)
		assert.Contains(f.tb, challenge, `scope="`+scope+`"`)
	default:
		assert.Equal(f.tb, http.StatusUnauthorized, w.Code)
		assert.Contains(f.tb, challenge, `error_description="`+want.Error()+`"`)
		assert.Contains(f.tb, challenge, `scope="`+scope+`"`)
	}
	assert.Contains(f.tb, w.Body.String(), want.Error())
	assert.Zero(f.tb, f.ran, "the inner handler ran")
}

// TestProviderStepUp: what Entra and Zitadel shorten or turn into roles in the
// token is named in challenges as their clients have to ask for it. Clients of
// the legacy era are told what they have as well, by the same names.
func TestProviderStepUp_CHAL_08_CLAIM_07(t *testing.T) {
	for _, name := range []string{"entra-v2", "entra-v2-app", "entra-v1", "zitadel"} {
		t.Run(name, func(t *testing.T) {
			p, shape := providerTokens[name], readShape(t, shapeOf(name))
			f, key := serveProvider(t, &shape, p.literal(), p.needs)
			token := shape.mint(t, key, nil, nil)
			both := `scope="` + p.needs + ` ` + p.needs + `.write"`
			for _, w := range []*httptest.ResponseRecorder{f.call(token, "write"), f.legacyCall(token, "write")} {
				assert.Equal(t, http.StatusForbidden, w.Code)
				assert.Contains(t, w.Header().Get("WWW-Authenticate"), both)
			}
			assert.Zero(t, f.ran)
		})
	}
}

// TestProviderIssuers: what stands in some providers' tokens or settings by
// default can be no issuer, and New says so.
func TestProviderIssuers_TOK_56(t *testing.T) {
	for name, url := range map[string]string{
		"Stytch without a domain of the project": "stytch.com/project-live-" + zeroGUID,
		"FusionAuth as installed":                "acme.com",
		"Google's other spelling":                "accounts.google.com",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: url}}})
			var mistake *mcpauth.ConfigError
			require.ErrorAs(t, err, &mistake)
			assert.Equal(t, "Issuers[0].URL", mistake.Field)
			assert.Contains(t, mistake.Reason, "not an absolute URL")
		})
	}
}

// TestEntraScopeNames: with an Application ID URI that is not the resource the
// long names begin with it, and only RoleScopes changes.
func TestEntraScopeNames_CLAIM_07(t *testing.T) {
	shape, long := readShape(t, "entra-v2"), "api://"+apiGUID+"/Mcp.Read"
	literal := entraV2()
	literal.Claims.RoleScopes = map[string][]string{"Mcp.Read": {long}}
	f, key := serveProvider(t, &shape, literal, long)
	f.served(f.call(shape.mint(t, key, nil, nil), "echo"))
	f.refusedFor(f.call(shape.mint(t, key, nil, object{"scp": "Mcp.List"}), "echo"), mcpauth.ErrInsufficientScope, long)
}

// TestRoleNames: only a scope claim is split at spaces. The names of roles may
// have some, and half a name is not a role.
func TestRoleNames_CLAIM_03_CLAIM_07(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		claims object
		served bool
	}{
		"scp, a string":                  {"scp", object{"scp": "other reader"}, true},
		"scope, a string":                {"scope", object{"scope": "other reader"}, true},
		"scp, an array":                  {"scp", object{"scp": []string{"other", "reader"}}, true},
		"scp, an array of half a string": {"scp", object{"scp": []string{"other reader"}}, false},
		"scp, an empty string":           {"scp", object{"scp": ""}, false},
		"scp, a number":                  {"scp", object{"scp": 1}, false},
		"scp, absent":                    {"scp", nil, false},
		"roles, one role with a space":   {"roles", object{"roles": "other reader"}, false},
		"roles, that role":               {"roles", object{"roles": "reader"}, true},
		"scp of another claim, a string": {"other.scp", object{"other": object{"scp": "other reader"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Issuers[0].Claims = mcpauth.ClaimMap{Roles: []string{test.path}, RoleScopes: map[string][]string{"reader": {"mcp:read"}}}
			})
			claims := mcpauthtest.Claims{"scope": nil, "aud": testResource}
			maps.Copy(claims, test.claims)
			w := f.call(f.issuer.Token(claims), "echo")
			if test.served {
				f.served(w)
				return
			}
			f.refusedFor(w, mcpauth.ErrInsufficientScope, "mcp:read")
		})
	}
}

// TestAuthentikNonce: its access tokens repeat the nonce of a client that sent
// one, and can be accepted without accepting ID tokens.
func TestAuthentikNonce_TOK_36(t *testing.T) {
	shape := readShape(t, "authentik")
	literal := authentik()
	literal.AllowIDTokenClaims = true
	f, key := serveProvider(t, &shape, literal, "mcp:read")
	f.served(f.call(shape.mint(t, key, nil, object{"nonce": "n"}), "echo"))
	f.refusedFor(f.call(shape.mint(t, key, nil, object{"nonce": "n", "azp": nil}), "echo"), mcpauth.ErrForbidden, "mcp:read")
}

// googleTokens are refused, whatever the configuration.
var googleTokens = map[string]struct {
	audiences []string
	opaque    bool
	claims    object
	want      error
}{
	"an access token":                 {googleClients, true, nil, mcpauth.ErrMalformedToken},
	"an ID token":                     {googleClients, false, nil, mcpauth.ErrTokenType},
	"an ID token without its at_hash": {googleClients, false, object{"at_hash": nil}, mcpauth.ErrTokenType},
	"an ID token, client not listed":  {nil, false, nil, mcpauth.ErrAudience},
}

var googleClients = []string{testResource, "000000000000-client.apps.googleusercontent.com"}

// TestGoogle: what is no JWT is refused as malformed, an ID token for what it
// is, and nobody is asked about either.
func TestGoogle_TOK_20_TOK_36(t *testing.T) {
	shape := readShape(t, "google")
	for name, test := range googleTokens {
		t.Run(name, func(t *testing.T) {
			f, key := serveProvider(t, &shape, mcpauth.Issuer{URL: shape.issuer(), Audiences: test.audiences}, "mcp:read")
			token := shape.Opaque
			if !test.opaque {
				token = shape.mint(t, key, nil, test.claims)
			}
			f.refusedFor(f.call(token, "echo"), test.want, "mcp:read")
			assert.Empty(t, f.issuer.Requests())
		})
	}
}
