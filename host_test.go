package mcpauth_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	hostOrigin = "https://mcp.example.com"
	hostSales  = hostOrigin + "/sales/mcp"
	hostStock  = hostOrigin + "/stock"
)

// hostBed is two resources on one host, whose handlers say their names.
type hostBed struct {
	t       *testing.T
	issuer  *mcpauthtest.Issuer
	host    *mcpauth.Host
	handler http.Handler
	log     logBuffer
}

func (b *hostBed) config(resource string) mcpauth.Config {
	config := testConfig(b.issuer)
	config.Resource, config.Scopes = resource, []string{"mcp:" + resource[len(hostOrigin)+1:][:5]}
	config.Logger = slog.New(slog.NewTextHandler(&b.log, nil))
	return config
}

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Handler", name) })
}

func newHostBed(t *testing.T) *hostBed {
	b := &hostBed{t: t, issuer: mcpauthtest.NewIssuerAt(t, testIssuerURL)}
	var err error
	b.host, err = mcpauth.NewHost(b.config(hostSales), b.config(hostStock))
	require.NoError(t, err)
	b.handler = b.host.Wrap(map[string]http.Handler{hostSales: named("sales"), hostStock: named("stock")})
	return b
}

func (b *hostBed) do(method, target, token string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, newRequest(method, target, token, `{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	return w
}

// TestHost_PRM_07: each resource's document is at its own place and nowhere else, and nothing is at that of the root.
func TestHost_PRM_07(t *testing.T) {
	b := newHostBed(t)
	for path, resource := range map[string]string{
		"/.well-known/oauth-protected-resource/sales/mcp":   hostSales,
		"/.well-known/oauth-protected-resource/stock":       hostStock,
		"/.well-known/oauth-protected-resource":             "",
		"/.well-known/oauth-protected-resource/":            "",
		"/.well-known/oauth-protected-resource/sales":       "",
		"/.well-known/oauth-protected-resource/sales%2Fmcp": "",
		"/.well-known/oauth-protected-resource/stock/":      "",
		"/.well-known/oauth-protected-resource/stock?a=b":   "",
		"/.well-known/oauth-authorization-server":           "",
		"/.well-known/openid-configuration":                 "",
		"/.well-known/other":                                "",
		"/":                                                 "",
		"/sales":                                            "",
		"/sales/mcpx":                                       "",
		"/stockx":                                           "",
		"/authorize":                                        "",
	} {
		w := b.do(http.MethodGet, path, b.issuer.TokenFor(hostStock))
		if resource == "" {
			assert.Equal(t, http.StatusNotFound, w.Code, path)
			assert.Empty(t, w.Header().Get("Handler"), path)
			assert.Empty(t, w.Header().Get("WWW-Authenticate"), path)
			continue
		}
		var document struct {
			Resource string   `json:"resource"`
			Scopes   []string `json:"scopes_supported"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document), path)
		assert.Equal(t, resource, document.Resource, path)
		assert.Equal(t, []string{"mcp:" + resource[len(hostOrigin)+1:][:5]}, document.Scopes)
	}
	for path, resource := range map[string]string{"/sales/mcp": hostSales, "/sales/mcp/x": hostSales, "/stock": hostStock, "/stock/": hostStock} {
		name := resource[len(hostOrigin)+1:][:5]
		w := b.do(http.MethodPost, path, "")
		assert.Equal(t, http.StatusUnauthorized, w.Code, path)
		assert.Equal(t, `Bearer resource_metadata="`+b.host.Resource(resource).MetadataURL()+`", scope="mcp:`+name+`"`, w.Header().Get("WWW-Authenticate"), path)
		w = b.do(http.MethodPost, path, b.issuer.TokenFor(resource))
		assert.Equal(t, http.StatusOK, w.Code, path)
		assert.Equal(t, name, w.Header().Get("Handler"), path)
		for _, other := range []string{hostSales, hostStock, hostOrigin} {
			if other != resource {
				w = b.do(http.MethodPost, path, b.issuer.TokenFor(other))
				assert.Equal(t, http.StatusUnauthorized, w.Code, "%s with a token for %s", path, other)
				assert.Empty(t, w.Header().Get("Handler"))
			}
		}
	}
	assert.Nil(t, b.host.Resource(hostOrigin))
	assert.Equal(t, 1, b.issuer.Fetches(mcpauthtest.Metadata), "one set of keys")
	assert.Equal(t, 1, b.issuer.Fetches(mcpauthtest.JWKS), "one set of keys")
	assert.Equal(t, 1, strings.Count(b.log.String(), "mcpauth: issuer in use"))
}

// TestHostReload_PRM_07: what one resource gives up, the other still has.
func TestHostReload_PRM_07_RELOAD_05(t *testing.T) {
	b := newHostBed(t)
	serves := func(path, resource string) int { return b.do(http.MethodPost, path, b.issuer.TokenFor(resource)).Code }
	require.Equal(t, http.StatusOK, serves("/stock", hostStock))
	other := b.config(hostSales)
	other.Issuers = []mcpauth.Issuer{{URL: "https://other.example.com", Keys: []byte(otherKeys(t))}}
	require.NoError(t, b.host.Resource(hostSales).Reload(t.Context(), other, "other"))
	assert.Equal(t, http.StatusUnauthorized, serves("/sales/mcp", hostSales))
	assert.Equal(t, http.StatusOK, serves("/stock", hostStock))
	b.issuer.Rotate()
	assert.Equal(t, http.StatusOK, serves("/stock", hostStock), "it follows a rotation")
	require.NoError(t, b.host.Resource(hostSales).Reload(t.Context(), b.config(hostSales), "as before"))
	fetches := b.issuer.Fetches(mcpauthtest.JWKS)
	assert.Equal(t, http.StatusOK, serves("/sales/mcp", hostSales))
	assert.Equal(t, fetches, b.issuer.Fetches(mcpauthtest.JWKS), "what the other has is fresh")
}

// TestHostWithRoot_PRM_07: a resource without a path has what no other has, and its document at the root.
func TestHostWithRoot_PRM_07(t *testing.T) {
	b := &hostBed{t: t, issuer: mcpauthtest.NewIssuerAt(t, testIssuerURL)}
	root, nested, legacy := b.config(hostSales), b.config(hostStock), b.config(hostStock+"/old")
	root.Resource, legacy.LegacyASMetadata = hostOrigin, true
	host, err := mcpauth.NewHost(root, nested, legacy)
	require.NoError(t, err)
	b.handler = host.Wrap(map[string]http.Handler{hostOrigin: named("root"), hostStock: named("stock"), hostStock + "/old": named("old")})
	for path, want := range map[string][2]string{"/": {hostOrigin, "root"}, "/x": {hostOrigin, "root"}, "/stock": {hostStock, "stock"}, "/stock/olde": {hostStock, "stock"}, "/stock/old/x": {hostStock + "/old", "old"}} {
		w := b.do(http.MethodPost, path, b.issuer.TokenFor(want[0]))
		assert.Equal(t, want[1], w.Header().Get("Handler"), path)
	}
	assert.Contains(t, b.do(http.MethodGet, "/.well-known/oauth-protected-resource", "").Body.String(), `"resource":"`+hostOrigin+`"`)
	assert.Equal(t, http.StatusNotFound, b.do(http.MethodGet, "/.well-known/oauth-protected-resource/x", "").Code)
	assert.Contains(t, b.do(http.MethodGet, "/.well-known/oauth-authorization-server", "").Body.String(), `"issuer":"`+testIssuerURL+`"`)
	assert.Equal(t, http.StatusFound, b.do(http.MethodGet, "/authorize", "").Code)
}

// TestHostPaths_PRM_07: a handler, or a server behind it, may read a path in another way than we do. What has two readings is of no resource.
func TestHostPaths_PRM_07(t *testing.T) {
	b := newHostBed(t)
	nested := b.config(hostStock)
	nested.Resource = hostStock + "/deep"
	host, err := mcpauth.NewHost(b.config(hostSales), b.config(hostStock), nested)
	require.NoError(t, err)
	b.handler = host.Wrap(map[string]http.Handler{hostSales: named("sales"), hostStock: named("stock"), hostStock + "/deep": named("deep")})
	for path, want := range map[string]string{
		"/stock/../sales/mcp": "", "/stock/%2e%2e/sales/mcp": "", "/stock/.%2E/sales/mcp": "", "/stock//../sales/mcp": "", "/stock/..": "", "/stock/.": "",
		"/stock/..%2fsales/mcp": "", "/stock/..%2Fsales/mcp": "", "/stock/a%2fb": "", "/stock/..%5csales/mcp": "", `/stock/..\sales/mcp`: "",
		"/stock/..;/sales/mcp": "", "/stock/;/../sales/mcp": "", "/stock/x;a=b": "", "/stock/.%3b/x": "", "/stock/./x": "",
		"/stock/%252e%252e/sales/mcp": "", "/stock/..%252fsales/mcp": "", "/stock/..%00/sales/mcp": "", "/stock/.%09./sales/mcp": "", "/stock/.%7f./sales/mcp": "",
		"//sales/mcp": "", "/sales//mcp": "", "/stock//": "", "/stock//deep": "", "/stock/./deep": "", "/stock/x/../deep": "", "/stock/dee%70/..": "",
		"/stock/Deep": "", "/stock/DEEP/x": "", "/SALES/mcp": "", "/STOCK": "",
		"/stock": "stock", "/stock/": "stock", "/stock/x": "stock", "/stock/a.b/..c/d..": "stock", "/stock/a%20b": "stock", "/stock/deeper": "stock", "/stock/DEEPER": "stock",
		"/stock/...": "stock", "/stock/x,y:z@1": "stock", "/stoc%6b/x": "stock", "/stock/deep/": "deep", "/stock/dee%70": "deep", "/sales/mcp/x": "sales",
	} {
		parsed, err := url.Parse(hostOrigin + path)
		require.NoError(t, err, path)
		for _, resource := range []string{hostSales, hostStock, hostStock + "/deep"} {
			r := newRequest(http.MethodPost, hostStock, b.issuer.TokenFor(resource), `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
			r.URL, r.RequestURI = parsed, path
			w := httptest.NewRecorder()
			b.handler.ServeHTTP(w, r)
			status, handler := http.StatusUnauthorized, ""
			switch {
			case want == "":
				status = http.StatusNotFound
			case strings.HasSuffix(strings.TrimSuffix(resource, "/mcp"), "/"+want):
				status, handler = http.StatusOK, want
			}
			assert.Equal(t, status, w.Code, "%s with a token for %s", path, resource)
			assert.Equal(t, handler, w.Header().Get("Handler"), path)
		}
	}
	for _, path := range []string{"/a//b", "/a/../b", "/a/%2e%2e/b", "/a;b", "/a%2Fb", "//", "/a//"} {
		other := b.config(hostStock)
		other.Resource = hostOrigin + path
		_, err := mcpauth.NewHost(b.config(hostSales), other)
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, err, &mistake, path)
		assert.Equal(t, "[1].Resource", mistake.Field, path)
	}
}

// TestHostLegacyASReload_PRM_07: who answers for the authorization server is what the configurations in force say.
func TestHostLegacyASReload_PRM_07_RELOAD_07(t *testing.T) {
	b := newHostBed(t)
	const document = "/.well-known/oauth-authorization-server"
	get := func(path string) int { return b.do(http.MethodGet, path, "").Code }
	with := b.config(hostSales)
	with.LegacyASMetadata = true
	assert.Equal(t, http.StatusNotFound, get(document))
	require.NoError(t, b.host.Resource(hostSales).Reload(t.Context(), with, "on"))
	assert.Equal(t, http.StatusOK, get(document))
	assert.Equal(t, http.StatusFound, get("/authorize"))
	require.NoError(t, b.host.Resource(hostSales).Reload(t.Context(), b.config(hostSales), "off"))
	for _, path := range []string{document, "/.well-known/openid-configuration", "/authorize", "/token", "/register"} {
		w := b.do(http.MethodPost, path, b.issuer.TokenFor(hostSales))
		assert.Equal(t, http.StatusNotFound, w.Code, path)
		assert.Empty(t, w.Header().Get("Handler"), "what is under no resource reaches no handler")
	}
}

// TestHostMistakes_PRM_07: each mistake says of which resource it is.
func TestHostMistakes_PRM_07(t *testing.T) {
	b := &hostBed{t: t, issuer: mcpauthtest.NewIssuerAt(t, testIssuerURL)}
	for name, tt := range map[string]struct {
		change func(*mcpauth.Config)
		field  string
	}{
		"another host":      {func(c *mcpauth.Config) { c.Resource = "https://other.example.com/stock" }, "[1].Resource"},
		"the same path":     {func(c *mcpauth.Config) { c.Resource = hostSales + "/" }, "[1].Resource"},
		"a query":           {func(c *mcpauth.Config) { c.Resource += "?a=b" }, "[1].Resource"},
		"another transport": {func(c *mcpauth.Config) { c.Transport = &http.Transport{} }, "[1].Transport"},
		"two for the past":  {func(c *mcpauth.Config) { c.LegacyASMetadata = true }, "[1].LegacyASMetadata"},
		"a mistake of New":  {func(c *mcpauth.Config) { c.Scopes = []string{"a b"} }, "[1].Scopes[0]"},
	} {
		first, second := b.config(hostSales), b.config(hostStock)
		first.LegacyASMetadata = true
		tt.change(&second)
		_, err := mcpauth.NewHost(first, second)
		all := mistakes(t, err)
		require.Len(t, all, 1, name)
		assert.Equal(t, tt.field, all[0].Field, name)
		assert.ErrorContains(t, all[0], "mcpauth: Config"+tt.field+" = ", name)
	}
	fields := func(configs ...mcpauth.Config) (all []string) {
		_, err := mcpauth.NewHost(configs...)
		for _, mistake := range mistakes(t, err) {
			all = append(all, mistake.Field)
		}
		return all
	}
	bad, stock, sales := b.config(hostSales), b.config(hostStock), b.config(hostSales)
	bad.Resource, bad.Scopes, bad.MaxBody = "https://other.example.com/mcp", []string{"a b"}, 1
	assert.Equal(t, []string{"[0].MaxBody", "[0].Scopes[0]"}, fields(bad, stock), "the others are compared with one that is good")
	assert.Equal(t, []string{"[1].MaxBody", "[1].Scopes[0]"}, fields(sales, bad, stock))
	past, again := b.config(hostOrigin+"/early"), b.config(hostOrigin+"/again")
	past.LegacyASMetadata, again.LegacyASMetadata = true, true
	assert.Equal(t, []string{"[2].LegacyASMetadata"}, fields(past, stock, again))
	_, err := mcpauth.NewHost()
	assert.EqualError(t, err, "mcpauth: a host without a resource: give NewHost a Config for each")
	host, err := mcpauth.NewHost(b.config(hostSales), b.config(hostStock))
	require.NoError(t, err)
	all := map[string]http.Handler{hostSales: named("sales"), hostStock: named("stock")}
	for words, change := range map[string]func(map[string]http.Handler){
		`mcpauth: Wrap: no handler for the resource "` + hostStock + `"`: func(m map[string]http.Handler) { delete(m, hostStock) },
		`mcpauth: Wrap: the host has no resource "` + hostOrigin + `"`:   func(m map[string]http.Handler) { m[hostOrigin] = named("nobody") },
		"mcpauth: Wrap(nil): there is no handler to protect":             func(m map[string]http.Handler) { m[hostStock] = nil },
	} {
		handlers := maps.Clone(all)
		change(handlers)
		assert.PanicsWithValue(t, words, func() { host.Wrap(handlers) })
	}
}
