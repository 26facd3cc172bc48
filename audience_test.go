package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// audienceCase is what one audience is worth under one configuration.
type audienceCase struct {
	name string
	aud  any
	want error // nil: served
}

func runAudiences(t *testing.T, change func(*mcpauth.Config), cases []audienceCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, change)
			w := f.call(f.token(mcpauthtest.Claims{"aud": test.aud}), "echo")
			if test.want == nil {
				f.served(w)
				return
			}
			f.refused(w, http.StatusUnauthorized, invalidToken(test.want.Error()))
		})
	}
}

func TestAudience(t *testing.T) {
	runAudiences(t, nil, []audienceCase{
		{"AUD-01 the resource", testResource, nil},
		{"AUD-01 another resource", "https://other.example/mcp", badAudience},
		{"AUD-02 absent", nil, badAudience},
		{"AUD-02 an array of one", []string{testResource}, nil},
		{"AUD-02 null", rawJSON("null"), badAudience},
		{"AUD-02 empty array", []string{}, badAudience},
		{"AUD-02 empty string", "", badAudience},
		{"AUD-02 a number beside it", []any{1, testResource}, badAudience},
		{"AUD-02 a number behind it", []any{testResource, 1}, badAudience},
		{"AUD-02 nested", []any{[]string{testResource}}, badAudience},
		{"AUD-02 written with escapes", rawJSON(`"https:\/\/mcp.example.com\/m\u0063p"`), nil},
		{"AUD-04 scheme and host in capitals, port 443", "HTTPS://MCP.Example.COM:443/mcp", nil},
		{"AUD-04 port 443 alone", "https://mcp.example.com:443/mcp", nil},
		{"AUD-04 slash behind", testResource + "/", badAudience},
		{"AUD-04 percent encoding", "https://mcp.example.com/%6dcp", badAudience},
		{"AUD-04 dot segments", "https://mcp.example.com/./mcp", badAudience},
		{"AUD-04 path in capitals", "https://mcp.example.com/MCP", badAudience},
		{"AUD-04 port 443 in front of evil", "https://mcp.example.com:443.evil/mcp", badAudience},
		{"AUD-04 user information", "https://mcp.example.com@evil.example/mcp", badAudience},
		{"AUD-04 http and port 443", "http://mcp.example.com:443/mcp", badAudience},
		{"AUD-05 several, one of them ours", []string{"https://other.example", testResource, "client-1"}, nil},
		{"AUD-05 several, none of them ours", []string{"https://other.example", testResource + "/x"}, badAudience},
		{"AUD-05 the same twice", []string{testResource, testResource}, nil},
	})
}

// TestAudienceNormalization: an empty path and a slash are one path, and
// a query makes it another audience.
func TestAudienceNormalization_AUD_04(t *testing.T) {
	resource := func(url string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Resource = url
			c.AllowInsecureLoopback = true
		}
	}
	for url, cases := range map[string]map[string]bool{
		"https://mcp.example.com": {
			"https://mcp.example.com/": true, "https://mcp.example.com:443/": true, "https://mcp.example.com?": false, "https://mcp.example.com/?": false,
			"https://mcp.example.com#": false, "https://mcp.example.com//": false, "https://mcp.example.com:": false,
		},
		"https://kcp.example.com/mcp": { // no lower case but that of ASCII
			"https://KCP.example.com/mcp": true, "https://\u212acp.example.com/mcp": false, "https://kcp.example.com/\u212a": false,
		},
		"https://[2001:db8::1]/mcp": {
			"https://[2001:DB8::1]:443/mcp": true, "https://[2001:db8:0::1]/mcp": false, "https://2001:db8::1/mcp": false, "https://[2001:db8::1:443]/mcp": false,
		},
		"https://[2001:db8::443]/mcp":      {"https://[2001:db8::443]:443/mcp": true, "https://[2001:db8:]/mcp": false, "https://[2001:db8:/mcp": false},
		"https://mcp.example.com:8443/mcp": {"https://mcp.example.com/mcp": false, "https://mcp.example.com:443/mcp": false, "https://MCP.example.com:8443/mcp": true},
		"http://localhost/mcp":             {"http://localhost:80/mcp": true, "https://localhost/mcp": false, "http://localhost:443/mcp": false, "https://localhost:80/mcp": false},
	} {
		f := newFixture(t, resource(url))
		for aud, want := range cases {
			w := f.call(f.token(mcpauthtest.Claims{"aud": aud}), "echo")
			if want {
				f.served(w)
			} else {
				assert.Equal(t, http.StatusUnauthorized, w.Code, "%s at %s", aud, url)
				assert.Zero(t, f.ran, "%s at %s", aud, url)
			}
		}
	}
}

// TestOtherAudiences: what is no URL is compared byte for byte, and only if listed.
func TestOtherAudiences_AUD_08(t *testing.T) {
	const guid, api = "00000000-0000-0000-0000-00000000000a", "api://default"
	listed := func(c *mcpauth.Config) {
		c.Issuers[0].Audiences = []string{testResource, guid, api, "client-1", "https://Key@api.example"}
	}
	runAudiences(t, listed, []audienceCase{
		{"AUD-08 GUID listed", guid, nil},
		{"AUD-08 api:// listed", api, nil},
		{"AUD-08 client id listed", "client-1", nil},
		{"AUD-08 user information, listed", "https://Key@api.example", nil},
		{"AUD-08 user information in another case", "https://key@API.example", badAudience},
		{"AUD-08 the resource still", testResource, nil},
		{"AUD-08 GUID in capitals", "00000000-0000-0000-0000-00000000000A", badAudience},
		{"AUD-08 api:// in capitals", "API://default", badAudience},
		{"AUD-08 api:// with a slash", api + "/", badAudience},
		{"AUD-08 a longer client id", "client-10", badAudience},
	})
	runAudiences(t, nil, []audienceCase{
		{"AUD-08 GUID not listed", guid, badAudience},
		{"AUD-08 api:// not listed", api, badAudience},
	})
}

// TestResourcesDoNotShareAudiences: a token for one mounted resource is
// refused at the other, though both trust the same issuer.
func TestResourcesDoNotShareAudiences_AUD_06(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	mux := http.NewServeMux()
	ran := map[string]int{}
	for _, path := range []string{"/one", "/two"} {
		config := testConfig(issuer)
		config.Resource = "https://mcp.example.com" + path
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		mux.Handle(path, auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran[path]++ })))
	}
	f := &fixture{tb: t, issuer: issuer, handler: mux}
	token := issuer.TokenFor("https://mcp.example.com/two", "mcp:read")
	w := f.do(http.MethodPost, "/one", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error_description="audience mismatch"`)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/one"`)
	w = f.do(http.MethodPost, "/two", token, modernCall("echo"), modernHeaders("tools/call", "echo")...)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, map[string]int{"/two": 1}, ran)
}

// TestIssuersDoNotShareAudiences: what one issuer may put into aud, another may not.
func TestIssuersDoNotShareAudiences_AUD_06(t *testing.T) {
	second := mcpauthtest.NewIssuerAt(t, secondIssuerURL)
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: secondIssuerURL, Audiences: []string{testResource, "client-1"}})
	})
	f.refused(f.call(f.token(mcpauthtest.Claims{"aud": "client-1"}), "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
	assert.Empty(t, second.Requests())
}

func TestNoOtherClaimIsAnAudience_AUD_07(t *testing.T) {
	f := newFixture(t, nil)
	for _, name := range []string{"resource", "azp", "client_id", "scope", "sub", "aud2", "Aud", "AUD", "audience"} {
		for _, aud := range []any{nil, "https://other.example/mcp"} {
			w := f.call(f.token(mcpauthtest.Claims{"aud": aud, name: testResource}), "echo")
			f.refused(w, http.StatusUnauthorized, invalidToken("audience mismatch"))
		}
	}
}

// TestAudienceClaim: an issuer without aud is bound by another claim, if the
// operator says so, and is warned about.
func TestAudienceClaim_AUD_09(t *testing.T) {
	configured := func(c *mcpauth.Config) {
		c.Issuers[0].Audiences = []string{testResource, "client-1"}
		c.Issuers[0].Claims.Audience = "client_id"
	}
	f := newFixture(t, configured)
	assert.Contains(t, f.log.String(), "level=WARN")
	assert.Contains(t, f.log.String(), "without aud")
	f.served(f.call(f.token(mcpauthtest.Claims{"aud": nil}), "echo"))
	f.served(f.call(f.token(nil), "echo"))
	p, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", f.token(mcpauthtest.Claims{"aud": nil}), ""))
	require.NoError(t, err)
	assert.Equal(t, []string{"client-1"}, p.Audiences)
	for name, claims := range map[string]mcpauthtest.Claims{
		"another client":           {"aud": nil, "client_id": "client-2"},
		"aud is there, and wrong":  {"aud": "https://other.example"},
		"aud is there, and null":   {"aud": rawJSON("null")},
		"aud is there, and empty":  {"aud": []string{}},
		"the claim is absent":      {"aud": nil, "client_id": nil},
		"the claim is no string":   {"aud": nil, "client_id": map[string]string{"client-1": "client-1"}},
		"the claim is longer":      {"aud": nil, "client_id": "client-1 client-2"},
		"a claim that is not read": {"aud": nil, "client_id": "client-2", "azp": "client-1", "resource": testResource},
	} {
		t.Run(name, func(t *testing.T) {
			f.tb = t
			f.refused(f.call(f.token(claims), "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
		})
	}
	f = newFixture(t, nil)
	assert.NotContains(t, f.log.String(), "level=WARN")
	f.refused(f.call(f.token(mcpauthtest.Claims{"aud": nil}), "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
}

func TestAudienceConfiguration(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for name, test := range map[string]struct {
		audiences []string
		want      string // part of the error; "" for none
	}{
		"AUD-01 the default":                        {nil, ""},
		"AUD-01 an empty list":                      {[]string{}, "Config.Issuers[0].Audiences"},
		"AUD-01 an empty audience":                  {[]string{testResource, ""}, "Config.Issuers[0].Audiences[1]"},
		"AUD-10 without the resource":               {[]string{"https://other.example"}, "must contain the resource"},
		"AUD-10 with a spelling that is equivalent": {[]string{"https://mcp.example.com:443/mcp"}, "must contain the resource"},
		"AUD-10 with the resource":                  {[]string{"x", testResource}, ""},
	} {
		config := testConfig(issuer)
		config.Issuers[0].Audiences = test.audiences
		_, err := mcpauth.New(config)
		if test.want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, test.want, name)
		}
	}
}

func TestIssuerAsAudience_AUD_12(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].Audiences = []string{testResource, testIssuerURL} })
	assert.Contains(t, f.log.String(), "level=WARN")
	assert.Contains(t, f.log.String(), testIssuerURL)
	f = newFixture(t, nil)
	f.refused(f.call(f.token(mcpauthtest.Claims{"aud": testIssuerURL}), "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
}
