package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// healthy is a set-up in which all is well. ISSUER and RESOURCE stand for the two
// URLs, in the token's shape too.
type healthy struct {
	shape   string // testdata/providers/*.json: header and claims of the token
	issuer  string // what the file says of the issuer beyond its URL; its page in docs/providers says the same
	needs   string // the scope that tool read requires
	kid     string // "" for the shape's
	alg     string // "" for the shape's
	typ     string // "" for the shape's
	aud     string // "" for the shape's
	without string // a claim that is missing
	empty   bool   // the key set is written by a library that writes out every member
}

const entraClaims = `"claims":{"roles":["scp","roles"],"role_scopes":{"Mcp.Read":["RESOURCE/Mcp.Read"],"Mcp.Read.All":["RESOURCE/Mcp.Read"]}}`

// healthySetups are the token shapes of real authorization servers, with the
// configuration that docs/providers has for each.
var healthySetups = []healthy{
	{shape: "auth0", needs: "mcp:read"},
	{shape: "auth0", needs: "mcp:admin", issuer: `"claims":{"scopes":["scope","permissions"],"union":true}`},
	{shape: "okta", needs: "mcp:read"},
	{shape: "okta-default", needs: "mcp:read", issuer: `"audiences":["RESOURCE","api://default"]`},
	{shape: "entra-v2", needs: "RESOURCE/Mcp.Read", issuer: `"audiences":["RESOURCE","00000000-0000-0000-0000-000000000001"],` + entraClaims},
	{shape: "entra-v2-app", needs: "RESOURCE/Mcp.Read", issuer: `"audiences":["RESOURCE","00000000-0000-0000-0000-000000000001"],` + entraClaims},
	{shape: "entra-v1", needs: "RESOURCE/Mcp.Read", issuer: entraClaims},
	{shape: "cognito", needs: "RESOURCE/read", issuer: `"require_claims":{"token_use":["access"]}`},
	{shape: "cognito-unbound", needs: "RESOURCE/read", issuer: `"audiences":["RESOURCE","client-1"],"claims":{"audience":"client_id"},"require_claims":{"token_use":["access"]}`},
	{shape: "keycloak", needs: "mcp:read"},
	{shape: "keycloak-registered", needs: "mcp:read"},
	{shape: "keycloak-roles", needs: "mcp:read", issuer: `"claims":{"roles":["realm_access.roles","resource_access.mcp-server.roles"],"role_scopes":{"mcp-reader":["mcp:read"]}}`},
	{shape: "scalekit", needs: "mcp:read", issuer: `"audiences":["RESOURCE","res_000000000000000000"]`},
	{shape: "workos", needs: "mcp:read", issuer: `"claims":{"scopes":["permissions"]}`},
	{shape: "stytch", needs: "mcp:read", issuer: `"audiences":["RESOURCE","project-live-00000000-0000-0000-0000-000000000000"]`},
	{shape: "descope", needs: "mcp:read"},
	{shape: "clerk", needs: "mcp:read", issuer: `"audiences":["RESOURCE","client-1"],"claims":{"audience":"client_id"}`},
	{shape: "hydra", needs: "mcp:read"},
	{shape: "betterauth", needs: "mcp:read"},
	{shape: "glewlwyd", needs: "mcp:read"},
	{shape: "zitadel", needs: "mcp:read", issuer: `"audiences":["RESOURCE","000000000000000002"],"claims":{"roles":["urn:zitadel:iam:org:project:000000000000000002:roles"],"role_scopes":{"mcp-reader":["mcp:read"]}}`},
	{shape: "logto", needs: "mcp:read"},
	{shape: "pingfederate", needs: "mcp:read", issuer: `"claims":{"scopes":["scopes"],"client_id":"oauth_client"}`},
	{shape: "pingone", needs: "mcp:read"},
	{shape: "fusionauth", needs: "mcp:read", issuer: `"audiences":["RESOURCE","00000000-0000-0000-0000-000000000001"],"claims":{"client_id":"applicationId"}`},
	{shape: "authentik", needs: "mcp:read", issuer: `"audiences":["RESOURCE","client-1"],"require_claims":{"azp":["client-1"]}`},
	{shape: "keycloak", needs: "mcp:read", kid: strings.Repeat("k", 89)},
	{shape: "hydra", needs: "mcp:read", kid: strings.Repeat("\u00e9", 60) + ": x"},
	{shape: "okta", needs: "mcp:read", aud: "HTTP://HOST/mcp"},
	{shape: "okta", needs: "mcp:read", typ: "application/at+jwt"},
	{shape: "okta", needs: "mcp:read", typ: "APPLICATION/AT+JWT", issuer: `"token_types":["application/at+jwt"]`},
	{shape: "okta", needs: "mcp:read", alg: "EdDSA", empty: true},
	{shape: "pingone", needs: "mcp:read", without: "sub", issuer: `"allow_missing_subject":true`},
	{shape: "auth0", needs: "mcp:read", issuer: `"algorithms":["RS256","PS256"],"max_lifetime":"1h"`},
}

// set makes the set-up on loopback: the URLs of resource and issuer, the token, and the file.
func (h *healthy) set(t *testing.T) (resource, issuerURL, token, file string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "providers", h.shape+".json"))
	require.NoError(t, err)
	var shape struct {
		Header         map[string]any  `json:"header"`
		Claims         json.RawMessage `json:"claims"`
		KeysWithoutAlg bool            `json:"keys_without_alg"`
	}
	require.NoError(t, json.Unmarshal(data, &shape))
	var told struct{ Iss string }
	require.NoError(t, json.Unmarshal(shape.Claims, &told))

	web, login := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	host := web.Listener.Addr().String()
	resource = "http://" + host + "/mcp"
	u, err := url.Parse(told.Iss)
	require.NoError(t, err)
	issuerURL = "http://" + login.Listener.Addr().String() + u.Path
	issuer := mcpauthtest.NewIssuerAt(t, issuerURL)
	login.Config.Handler = issuer
	for name, value := range map[string]string{"kid": h.kid, "alg": h.alg, "typ": h.typ} {
		if value != "" {
			shape.Header[name] = value
		}
	}
	key := mcpauthtest.NewKey(text(shape.Header, "kid"), text(shape.Header, "alg"))
	issuer.Rotate(key)
	h.publish(issuer, key, shape.KeysWithoutAlg)

	expand := strings.NewReplacer("RESOURCE", resource, "HOST", host, told.Iss, issuerURL, "https://mcp.example.com/mcp", resource)
	var claims map[string]any
	require.NoError(t, json.Unmarshal([]byte(expand.Replace(string(shape.Claims))), &claims))
	for name, at := range map[string]time.Duration{"iat": 0, "nbf": 0, "auth_time": 0, "exp": 5 * time.Minute} {
		if _, given := claims[name]; given {
			claims[name] = time.Now().Add(at).Unix()
		}
	}
	if h.aud != "" {
		claims["aud"] = expand.Replace(h.aud)
	}
	delete(claims, h.without)
	header, err := json.Marshal(shape.Header)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)

	comma := ""
	if h.issuer != "" {
		comma = ","
	}
	file = fileWith(t, expand.Replace(`{"resource":"RESOURCE","issuers":[{"url":"`+issuerURL+`"`+comma+h.issuer+`}],"scopes":["`+h.needs+`"],
		"allowed_origins":["https://app.example.com"],"rules":{"tools":{"read":["`+h.needs+`"]}}}`))
	h.serve(t, web, file, resource)
	login.Start()
	t.Cleanup(login.Close)
	return resource, issuerURL, key.Sign(string(header), string(payload)), file
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// publish is what a real authorization server publishes: not all of its scopes among it.
func (h *healthy) publish(issuer *mcpauthtest.Issuer, key *mcpauthtest.Key, withoutAlg bool) {
	issuer.PublishMetadata(func(m map[string]any) {
		m["authorization_endpoint"], m["token_endpoint"], m["registration_endpoint"] = issuer.URL()+"/authorize", issuer.URL()+"/token", issuer.URL()+"/register"
		m["scopes_supported"] = []string{"openid"}
	})
	jwk := key.JWK()
	if withoutAlg {
		delete(jwk, "alg")
	}
	if h.empty {
		for _, name := range []string{"key_ops", "oth", "x5c"} {
			jwk[name] = []string{}
		}
		jwk["d"], jwk["k"], jwk["use"], jwk["n"] = nil, nil, "", ""
	}
	set, _ := json.Marshal(map[string]any{"keys": []any{jwk}})
	issuer.PublishKeySet(string(set))
}

// serve runs a server with the very configuration of the file.
func (h *healthy) serve(t *testing.T, web *httptest.Server, file, resource string) {
	t.Helper()
	f, err := readFile(file)
	require.NoError(t, err)
	require.NoError(t, f.readClients(resource))
	auth, err := mcpauth.New(f.config(resource))
	require.NoError(t, err)
	backend := server.NewMCPServer("notes", "1.0.0")
	backend.AddTool(mcp.NewTool("read"), textTool)
	handler := server.NewStreamableHTTPServer(backend)
	web.Config.Handler = auth.Wrap(handler)
	web.Start()
	t.Cleanup(web.Close)
	t.Cleanup(func() { handler.CloseSessions(t.Context()) })
}

// TestDoctorHealthySetups: where all is well the doctor finds no fault, whatever
// the authorization server's tokens look like.
func TestDoctorHealthySetups_OBS_12_AUD_04_JWKS_11(t *testing.T) {
	faults := 0
	for i, h := range healthySetups {
		t.Run(h.shape, func(t *testing.T) {
			resource, issuerURL, token, file := h.set(t)
			for _, args := range [][]string{
				{"--policy", file, "--origin", "https://app.example.com"}, {"--policy", file, "--tool", "read"}, {"--policy", file, "--issuer", issuerURL},
			} {
				got := mcpauthCommand(t, token, append([]string{"doctor", "--json", "--resource", resource, "--token", "-"}, args...)...)
				var report findings
				require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
				faults += report.Faults
				assert.Equal(t, exitOK, got.code, "%d: %s", i, got.stdout)
				assert.Zero(t, report.Faults)
				titles := ""
				for _, s := range report.Steps {
					titles += string(s.State) + " " + s.Title + "\n"
				}
				for _, title := range []string{"ok this resource server accepts the token", "ok the token opens read", "ok it accepts the token", "ok it lists tools to this token"} {
					assert.Contains(t, titles, title)
				}
				assert.NotContains(t, titles, "skipped")
			}
			lint := mcpauthCommand(t, token, "policy", "--policy", file, "--live", resource, "--issuer", issuerURL, "--token", "-")
			assert.Equal(t, exitOK, lint.code, lint.stdout+lint.stderr)
			assert.Contains(t, lint.stdout, "no findings")
		})
	}
	t.Logf("healthy set-ups: %d, faults reported: %d", len(healthySetups), faults)
}

// TestDoctorIssuers: where metadata and operator name different issuers, that is told in words of theirs, and of no token.
func TestDoctorIssuers_PRM_08(t *testing.T) {
	issuer := newIssuer(t)
	_, host, _ := strings.Cut(issuer.URL(), "://")
	for named, tt := range map[string]struct{ cause, differ, fix string }{
		issuer.URL() + "/":         {"issuer-slash", "the two differ only by the slash at the end", "Write Issuer.URL exactly"},
		"https://" + host:          {"issuer-scheme", "the two differ only by http and https", "A proxy in front"},
		"http://127.0.0.1:1":       {"issuer-host", "it names the same path on another host or port", "The authorization server is known by two names"},
		issuer.URL() + "/realms/a": {"issuer-path", "it names another realm or tenant of the same host", "Configure the realm"},
		issuer.URL() + "/.well-known/openid-configuration": {"issuer-metadata-url", "it names the URL of a metadata document", "Remove /.well-known/"},
		"https://login.example.com":                        {"issuer-unknown", "it names others", "add the issuer to Config.Issuers of the server, or give one that the metadata names"},
	} {
		t.Run(tt.cause, func(t *testing.T) {
			resource := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				at := "http://" + r.Host + "/.well-known/oauth-protected-resource/mcp"
				if strings.HasPrefix(r.URL.Path, "/.well-known/") {
					document, _ := json.Marshal(map[string]any{"resource": "http://" + r.Host + "/mcp", "authorization_servers": []string{named}})
					_, _ = w.Write(document)
					return
				}
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+at+`"`)
				w.WriteHeader(http.StatusUnauthorized)
			}))
			got := mcpauthCommand(t, "", "doctor", "--json", "--resource", resource, "--issuer", issuer.URL())
			var report findings
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
			require.Equal(t, 1, report.Faults, got.stdout)
			i := slices.IndexFunc(report.Steps, func(s step) bool { return s.State == stateFault })
			fault := report.Steps[i]
			assert.Equal(t, tt.cause, fault.Cause)
			assert.Equal(t, "the metadata does not name the issuer "+issuer.URL()+": "+tt.differ, fault.Title)
			assert.Contains(t, fault.Fix, tt.fix)
		})
	}
}

// TestDoctorScopes: a scope that clients are told to ask for, and that the issuer does not list, is worth a note.
func TestDoctorScopes_OBS_12(t *testing.T) {
	for name, tt := range map[string]struct {
		scopes   string // of the file
		supports any    // scopes_supported of the issuer
		held     string // scope of the token, "" for no token
		noted    string
	}{
		"listed":                  {`"notes:read"`, []string{"notes:read", "openid"}, "", ""},
		"not listed":              {`"notes:read","notes:adm"`, []string{"notes:read"}, "", `"notes:adm"`},
		"none is listed":          {`"notes:read","notes:adm"`, []string{"openid"}, "", `"notes:read", "notes:adm"`},
		"listed in other letters": {`"notes:read"`, []string{"Notes:Read"}, "", `"notes:read"`},
		"no list":                 {`"notes:read"`, nil, "", ""},
		"an empty list":           {`"notes:read"`, []string{}, "", ""},
		"a list that is none":     {`"notes:read"`, "openid", "", ""},
		"no scopes":               {``, []string{"openid"}, "", ""},
		"not listed, but granted": {`"notes:read"`, []string{"openid"}, "notes:read", ""},
		"not listed, nor granted": {`"notes:adm"`, []string{"openid"}, "notes:read", `"notes:adm"`},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t)
			issuer.PublishMetadata(func(m map[string]any) {
				delete(m, "scopes_supported")
				if tt.supports != nil {
					m["scopes_supported"] = tt.supports
				}
			})
			resource := notes(t, issuer.URL())
			args := []string{"doctor", "--json", "--resource", resource, "--issuer", issuer.URL(), "--policy", fileWith(t, `{"scopes":[`+tt.scopes+`],"rules":{"tools":{"read":"authenticated"}}}`)}
			token := ""
			if tt.held != "" {
				token, args = issuer.TokenFor(resource, tt.held), append(args, "--token", "-")
			}
			got := mcpauthCommand(t, token, args...)
			assert.Equal(t, exitOK, got.code, got.stdout)
			var report findings
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
			noted := ""
			for _, s := range report.Steps {
				if s.Title == "the authorization server does not list a scope that clients are told to ask for" {
					assert.Equal(t, stateNote, s.State)
					noted += s.Detail
				}
			}
			if tt.noted == "" {
				assert.Empty(t, noted)
				return
			}
			assert.Equal(t, "scopes_supported of "+issuer.URL()+", which need not be complete, lacks "+tt.noted+": check that it can be granted", noted)
		})
	}
}

// TestDoctorLearned_DISC_30: what the examined server names is not asked where it is
// private, and what the operator names is.
func TestDoctorLearned_DISC_30(t *testing.T) {
	asked := 0
	inside := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusNotFound)
	}))
	inside = strings.TrimSuffix(inside, "/mcp")
	_, port, _ := strings.Cut(strings.TrimPrefix(inside, "http://"), ":")
	for _, named := range []string{
		inside, inside + "/.well-known/x", "https://localhost:" + port, "https://127.1:" + port, "https://\uff11\uff12\uff17.0.0.1:" + port, "https://2130706433:" + port,
		"https://10.0.0.1/.well-known/jwks.json", "https://[::ffff:127.0.0.1]:" + port, "http://a.localhost:" + port,
	} {
		resource := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/.well-known/") {
				document, _ := json.Marshal(map[string]any{"resource": "http://" + r.Host + "/mcp", "authorization_servers": []string{named}})
				_, _ = w.Write(document)
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="http://`+r.Host+`/.well-known/oauth-protected-resource/mcp"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		got := mcpauthCommand(t, "", "doctor", "--resource", resource)
		assert.Zero(t, asked, named)
		assert.Contains(t, got.stdout, "is not asked", named)
		assert.Contains(t, got.stdout, "give --issuer", named)
		if named == inside {
			got = mcpauthCommand(t, "", "doctor", "--resource", resource, "--issuer", named)
			assert.Positive(t, asked, "what the operator names is asked")
			assert.Equal(t, exitFindings, got.code)
			asked = 0
		}
	}
	f := &file{Config: mcpauth.Config{Issuers: []mcpauth.Issuer{{URL: "https://10.0.0.2"}}}}
	f.withIssuers([]string{"https://10.0.0.1", "https://10.0.0.2", "https://login.example.com"})
	var allowed []bool
	for _, one := range f.Issuers {
		allowed = append(allowed, one.AllowPrivate)
	}
	assert.Equal(t, []bool{true, false, false}, allowed, "who names a private address means it, unless the file says what the program has")
	assert.Error(t, func() error {
		_, err := (&http.Client{Transport: fetch.GuardedTransport()}).Get(inside)
		return err
	}(), "and a name that leads inside is refused when it is dialed")
}

// TestDoctorUnlisted: an issuer that the metadata must not name is not missed there, and can be looked at by itself; and keys of sessions, of
// which nobody reads the secrets here, are no mistake.
func TestDoctorUnlisted_OBS_12_RELOAD_09(t *testing.T) {
	listed, unlisted := newIssuer(t), newIssuer(t)
	web := httptest.NewUnstartedServer(nil)
	resource := "http://" + web.Listener.Addr().String() + "/mcp"
	file := fileWith(t, fmt.Sprintf(`{"issuers": [{"url": %q}, {"url": %q, "unlisted": true}], "allow_insecure_loopback": true, "scopes": ["notes:read"],
		"session_key": {"env": "NOT_HERE"}, "old_session_keys": [{"env": "NOR_HERE"}, {"file": "nowhere"}], "rules": {"tools": {"read": ["notes:read"]}}}`, listed.URL(), unlisted.URL()))
	h := healthy{}
	h.serve(t, web, file, resource)
	for _, issuer := range []*mcpauthtest.Issuer{listed, unlisted} {
		for _, args := range [][]string{nil, {"--issuer", issuer.URL()}} {
			args = append([]string{"doctor", "--resource", resource, "--policy", file, "--token", "-"}, args...)
			got := mcpauthCommand(t, issuer.TokenFor(resource, "notes:read"), args...)
			assert.Equal(t, exitOK, got.code, "%s: %s%s", args, got.stdout, got.stderr)
		}
	}
	got := mcpauthCommand(t, "", "policy", "--policy", file)
	assert.Equal(t, exitOK, got.code, got.stdout+got.stderr)
}
