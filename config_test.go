package mcpauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// mistakes takes the error of New apart.
func mistakes(t *testing.T, err error) []*mcpauth.ConfigError {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	var all []*mcpauth.ConfigError
	for _, e := range joined.Unwrap() {
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, e, &mistake)
		all = append(all, mistake)
	}
	return all
}

// The secrets that some rows contain: no error may repeat them.
const secret = "hunter2"

func privatePEM(t *testing.T) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

type misconfiguration struct {
	name              string
	change            func(*mcpauth.Config)
	field, value, fix string // fix and value: a part of the text
}

func resourceRows() []misconfiguration {
	resource := func(url string) func(*mcpauth.Config) { return func(c *mcpauth.Config) { c.Resource = url } }
	return []misconfiguration{
		{"TOK-10 no resource", resource(""), "Resource", `""`, "required"},
		{"PRM-05 http", resource("http://mcp.example.com/mcp"), "Resource", `"http://mcp.example.com/mcp"`, "must be https"},
		{"PRM-05 loopback http without leave", resource("http://localhost:8080/mcp"), "Resource", "localhost", "set AllowInsecureLoopback"},
		{"PRM-05 http to something that begins like loopback", func(c *mcpauth.Config) {
			c.Resource, c.AllowInsecureLoopback = "http://127.0.0.1.example.com/mcp", true
		}, "Resource", "127.0.0.1.example.com", "must be https"},
		{"PRM-05 fragment", resource("https://mcp.example.com/mcp#x"), "Resource", "#x", "remove it"},
		{"PRM-05 empty fragment", resource("https://mcp.example.com/mcp#"), "Resource", "#", "remove it"},
		{"PRM-05 user information", resource("https://user:" + secret + "@mcp.example.com/mcp"), "Resource", "a URL with user information", "remove it"},
		{"PRM-05 unreadable user information", resource("https://user:%zz" + secret + "@mcp.example.com/mcp"), "Resource", "@mcp.example.com", "write https://host/path"},
		{"PRM-05 user information without a host", resource("https://user:" + secret + "@/mcp"), "Resource", "@/mcp", "write https://host/path"},
		{"PRM-05 no scheme", resource("mcp.example.com/mcp"), "Resource", "mcp.example.com", "write https://host/path"},
		{"PRM-05 no host", resource("https:///mcp"), "Resource", "https:///mcp", "write https://host/path"},
		{"PRM-05 a port and no host", resource("https://:443/mcp"), "Resource", "443", "write https://host/path"},
		{"PRM-05 opaque", resource("https:mcp.example.com"), "Resource", "https:mcp", "write https://host/path"},
		{"PRM-05 other scheme", resource("ftp://mcp.example.com/mcp"), "Resource", "ftp", "must be https"},
		{"PRM-05 another scheme on loopback", func(c *mcpauth.Config) {
			c.Resource, c.AllowInsecureLoopback = "ftp://localhost/mcp", true
		}, "Resource", "ftp://localhost/mcp", "must be https"},
		{"PRM-04 AUD-10 no complaint about audiences on top of an upper-case host", func(c *mcpauth.Config) {
			c.Resource, c.Issuers[0].Audiences = "https://MCP.example.com/mcp", []string{testResource}
		}, "Resource", "MCP", "lower case"},
		{"PRM-04 upper-case host", resource("https://MCP.example.com/mcp"), "Resource", "MCP", "lower case"},
		{"PRM-04 upper-case scheme", resource("HTTPS://mcp.example.com/mcp"), "Resource", "HTTPS", "lower case"},
		{"PRM-04 host not ASCII", resource("https://mcp.ex\u00e4mple.com/mcp"), "Resource", "mple", "xn--"},
		{"PRM-04 path not ASCII", resource("https://mcp.example.com/\u00fc"), "Resource", "mcp.example.com", "percent-encoded"},
		{"PRM-04 space in the path", resource("https://mcp.example.com/a b"), "Resource", "a b", "percent-encoded"},
		{"PRM-04 line break", resource("https://mcp.example.com/mcp\n"), "Resource", `\n`, "white space: remove it"},
		{"AUD-10 no complaint about audiences on top", func(c *mcpauth.Config) {
			c.Resource, c.Issuers[0].Audiences = "mcp", []string{"api://default"}
		}, "Resource", `"mcp"`, "write https://host/path"},
		{"PRM-03 empty query", resource("https://mcp.example.com/mcp?"), "Resource", "mcp?", "question mark"},
	}
}

func topRows() []misconfiguration {
	return []misconfiguration{
		{"TOK-10 a policy that adds to rules is nil", func(c *mcpauth.Config) { c.Policy = (*adding)(nil) }, "Policy", "a nil *mcpauth_test.adding", "nobody answers there"},
		{"TOK-10 no issuer", func(c *mcpauth.Config) { c.Issuers = nil }, "Issuers", "none", "required"},
		{"TOK-10 empty list of issuers", func(c *mcpauth.Config) { c.Issuers = []mcpauth.Issuer{} }, "Issuers", "none", "required"},
		{"TOK-54 LIMITS-10 negative leeway", func(c *mcpauth.Config) { c.Leeway = -1 }, "Leeway", "-1ns", "between 0 and 5m"},
		{"TOK-54 LIMITS-10 leeway beyond 5 minutes", func(c *mcpauth.Config) { c.Leeway = 5*time.Minute + 1 }, "Leeway", "5m0", "between 0 and 5m"},
		{"LIMITS-02 negative MaxBody", func(c *mcpauth.Config) { c.MaxBody = -1 }, "MaxBody", "-1", "between 1024 and 67108864"},
		{"LIMITS-02 MaxBody beyond 64 MiB", func(c *mcpauth.Config) { c.MaxBody = 64<<20 + 1 }, "MaxBody", "67108865", "between 1024 and 67108864"},
		{"LIMITS-02 MaxBody in which no request fits", func(c *mcpauth.Config) { c.MaxBody = 4 }, "MaxBody", "4", "between 1024 and 67108864"},
		{"LIMITS-02 MaxBody of a byte less than 1 KiB", func(c *mcpauth.Config) { c.MaxBody = 1023 }, "MaxBody", "1023", "in bytes"},
		{"SESS-06 a SessionKey of zeros", func(c *mcpauth.Config) { c.SessionKey = make([]byte, 32) }, "SessionKey", "32 equal bytes", "crypto/rand"},
		{"SESS-06 a SessionKey of one letter", func(c *mcpauth.Config) { c.SessionKey = []byte(strings.Repeat("k", 64)) }, "SessionKey", "64 equal bytes", "crypto/rand"},
		{"CHAL-09 scope with a quote", func(c *mcpauth.Config) { c.Scopes = []string{"ok", `a"b`} }, "Scopes[1]", `a\"b`, "RFC 6749"},
		{"CHAL-09 two scopes in one", func(c *mcpauth.Config) { c.Scopes = []string{"a b"} }, "Scopes[0]", "a b", "without space"},
		{"CHAL-09 empty scope", func(c *mcpauth.Config) { c.Scopes = []string{""} }, "Scopes[0]", `""`, "is not a scope"},
		{"CHAL-09 scope with a backslash", func(c *mcpauth.Config) { c.Scopes = []string{`a\b`} }, "Scopes[0]", `a\\b`, "backslash"},
		{"CHAL-09 scope with a line break", func(c *mcpauth.Config) { c.Scopes = []string{"a\r\nX: y"} }, "Scopes[0]", `\r\n`, "is not a scope"},
		{"CHAL-09 scope not ASCII", func(c *mcpauth.Config) { c.Scopes = []string{"l\u00e9ger"} }, "Scopes[0]", "l", "printable ASCII"},
		{"PRM-11 offline_access", func(c *mcpauth.Config) { c.Scopes = []string{"offline_access"} }, "Scopes[0]", "offline_access", "remove it"},
		{"PRM-11 offline_access implied", func(c *mcpauth.Config) { c.Implies = map[string][]string{"a": {"offline_access"}} }, `Implies["a"]`, "offline_access", "remove it"},
		{"CHAL-09 implied scope", func(c *mcpauth.Config) { c.Implies = map[string][]string{"a": {"b c"}} }, `Implies["a"]`, "b c", "is not a scope"},
		{"CHAL-09 implying scope", func(c *mcpauth.Config) { c.Implies = map[string][]string{"a b": {"c"}} }, `Implies["a b"]`, "a b", "is not a scope"},
		{"CLAIM-10 a scope that includes itself", func(c *mcpauth.Config) { c.Implies = map[string][]string{"a": {"a"}} }, "Implies", `"a"`, "break the cycle"},
		{"CLAIM-10 a longer cycle", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a"}}
		}, "Implies", `"`, "break the cycle"},
		{"MCP-90 star", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"*"} }, "AllowedOrigins[0]", `"*"`, "no wildcard"},
		{"MCP-90 null", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"null"} }, "AllowedOrigins[0]", "null", "scheme://host"},
		{"MCP-90 empty", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://a.example", ""} }, "AllowedOrigins[1]", `""`, "scheme://host"},
		{"MCP-90 wildcard host", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://*.example.com"} }, "AllowedOrigins[0]", "*.example.com", "no wildcard"},
		{"MCP-90 trailing slash", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com/"} }, "AllowedOrigins[0]", "com/", "without path"},
		{"MCP-90 upper case", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://App.example.com"} }, "AllowedOrigins[0]", "App", "lower case"},
		{"MCP-90 default port", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com:443"} }, "AllowedOrigins[0]", ":443", "default port"},
		{"MCP-90 default port of http", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"http://app.example.com:80"} }, "AllowedOrigins[0]", ":80", "default port"},
		{"MCP-90 empty port", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com:"} }, "AllowedOrigins[0]", "com:", "port"},
		{"MCP-90 no scheme", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"app.example.com"} }, "AllowedOrigins[0]", "app", "scheme://host"},
		{"MCP-90 no host", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://:8443"} }, "AllowedOrigins[0]", ":8443", "scheme://host"},
		{"MCP-90 a space", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com https://b.example"} }, "AllowedOrigins[0]", "app.example.com https:", "scheme://host"},
		{"MCP-90 a line break", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com\n"} }, "AllowedOrigins[0]", `\n`, "scheme://host"},
		{"MCP-90 DEL", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app\x7f.example.com"} }, "AllowedOrigins[0]", `\x7f`, "scheme://host"},
		{"MCP-90 no URL", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://[::1"} }, "AllowedOrigins[0]", "[::1", "scheme://host"},
		{"MCP-90 not ASCII", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://\u00e4.example.com"} }, "AllowedOrigins[0]", "example", "as browsers send it"},
		{"MCP-90 user information", func(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://u:" + secret + "@app.example.com"} }, "AllowedOrigins[0]", "@app.example.com", "scheme://host"},
		{"PRM-14 reserved member", func(c *mcpauth.Config) { c.Metadata = map[string]any{"resource": "https://evil.example"} }, `Metadata["resource"]`, "reserved", "remove it"},
		{"PRM-15 PRM-14 jwks_uri", func(c *mcpauth.Config) { c.Metadata = map[string]any{"jwks_uri": "https://as.example.com/jwks"} }, `Metadata["jwks_uri"]`, "reserved", "remove it"},
		{"PRM-29 signed_metadata", func(c *mcpauth.Config) { c.Metadata = map[string]any{"signed_metadata": "a.b.c"} }, `Metadata["signed_metadata"]`, "reserved", "remove it"},
		{"PRM-13 a promise of DPoP", func(c *mcpauth.Config) {
			c.Metadata = map[string]any{"dpop_bound_access_tokens_required": true}
		}, `Metadata["dpop_bound_access_tokens_required"]`, "reserved", "remove it"},
		{"PRM-14 reserved member in a language", func(c *mcpauth.Config) { c.Metadata = map[string]any{"scopes_supported#de": "x"} }, `Metadata["scopes_supported#de"]`, "reserved", "remove it"},
		{"PRM-09 null", func(c *mcpauth.Config) { c.Metadata = map[string]any{"resource_name": nil} }, `Metadata["resource_name"]`, "null", "remove it"},
		{"PRM-09 empty string", func(c *mcpauth.Config) { c.Metadata = map[string]any{"resource_name": ""} }, `Metadata["resource_name"]`, `""`, "remove it"},
		{"PRM-09 empty list", func(c *mcpauth.Config) { c.Metadata = map[string]any{"x": []string{}} }, `Metadata["x"]`, "[]", "remove it"},
		{"PRM-09 empty object", func(c *mcpauth.Config) { c.Metadata = map[string]any{"x": map[string]any{}} }, `Metadata["x"]`, "{}", "remove it"},
		{"PRM-09 null inside", func(c *mcpauth.Config) { c.Metadata = map[string]any{"x": json.RawMessage("null")} }, `Metadata["x"]`, "null", "remove it"},
		{"PRM-09 nil pointer", func(c *mcpauth.Config) { c.Metadata = map[string]any{"x": (*string)(nil)} }, `Metadata["x"]`, "null", "remove it"},
		{"PRM-28 not JSON", func(c *mcpauth.Config) { c.Metadata = map[string]any{"x": make(chan int)} }, `Metadata["x"]`, "a chan int", "cannot be written as JSON"},
		{"TOK-10 a nil function as policy", func(c *mcpauth.Config) { c.Policy = mcpauth.PolicyFunc(nil) }, "Policy", "a nil mcpauth.PolicyFunc", "give a policy"},
		{"TOK-10 a nil pointer as policy", func(c *mcpauth.Config) { c.Policy = (*mcpauth.Rules)(nil) }, "Policy", "a nil *mcpauth.Rules", "give a policy"},
		{"DISC-26 a nil pointer as transport", func(c *mcpauth.Config) { c.Transport = (*http.Transport)(nil) }, "Transport", "a nil *http.Transport", "leave the field out"},
		{"MCP-44 a requirement of nothing", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"x": {}}}
		}, `Policy.Tools["x"]`, "nobody", "write Authenticated()"},
		{"MCP-44 behind a pointer", func(c *mcpauth.Config) {
			c.Policy = &mcpauth.Rules{Prompts: map[string]mcpauth.Requirement{"x": {}}}
		}, `Policy.Prompts["x"]`, "nobody", "write Authenticated()"},
		{"CHAL-09 a scope of the policy", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"x": mcpauth.Scopes("a b")}}
		}, `Policy.Tools["x"]`, "a b", "is not a scope"},
		{"PRM-11 offline_access in the policy", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Resources: map[string]mcpauth.Requirement{"x": mcpauth.AnyScope("a", "offline_access")}}
		}, `Policy.Resources["x"]`, "offline_access", "remove it"},
		{"a pattern with a star inside", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"a*b": mcpauth.Scopes("a")}}
		}, `Policy.Tools["a*b"]`, "a*b", "* may only stand at the end"},
		{"a rule for the handshake", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"initialize": mcpauth.Scopes("a")}}
		}, `Policy.Methods["initialize"]`, "initialize", "remove it"},
	}
}

func issuerRows(t *testing.T) []misconfiguration {
	url := func(url string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) { c.Issuers = []mcpauth.Issuer{{URL: url}} }
	}
	first := func(change func(*mcpauth.Issuer)) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) { change(&c.Issuers[0]) }
	}
	private := privatePEM(t)
	return []misconfiguration{
		{"TOK-10 no URL", url(""), "Issuers[0].URL", `""`, "required"},
		{"DISC-05 a container's name", url("http://keycloak:8080/realms/main"), "Issuers[0].URL", "http://keycloak:8080", "http://localhost:PORT"},
		{"DISC-01 the place of the metadata", url("https://as.example.com/.well-known/openid-configuration"), "Issuers[0].URL", "as.example.com", "this is where metadata stands"},
		{"DISC-01 the place of the metadata, with a path", url("https://as.example.com/.well-known/oauth-authorization-server/tenant1"), "Issuers[0].URL", "tenant1", "this is where metadata stands"},
		{"DISC-05 http on a private address", url("http://192.168.1.5:8080"), "Issuers[0].URL", "192.168.1.5", "Development in containers"},
		{"DISC-05 http on the host of a container", url("http://host.docker.internal:8080"), "Issuers[0].URL", "host.docker.internal", "Development in containers"},
		{"DISC-05 a line end, as of a file", url("https://as.example.com\n"), "Issuers[0].URL", `example.com\n"`, "begins or ends with white space"},
		{"DISC-05 a space before", url(" https://as.example.com"), "Issuers[0].URL", `" https://as.example.com"`, "begins or ends with white space"},
		{"DISC-05 the scheme twice", url("https://http://as.example.com"), "Issuers[0].URL", "https://http://as.example.com", "scheme stands twice"},
		{"DISC-05 the same scheme twice", url("https://https://as.example.com"), "Issuers[0].URL", "https://https://as.example.com", "scheme stands twice"},
		{"DISC-05 http", url("http://as.example.com"), "Issuers[0].URL", "http://as.example.com", "must be https"},
		{"DISC-05 loopback http without leave", url("http://127.0.0.1:9000"), "Issuers[0].URL", "127.0.0.1", "set AllowInsecureLoopback"},
		{"DISC-05 a private address is no loopback", func(c *mcpauth.Config) {
			c.Issuers, c.AllowInsecureLoopback = []mcpauth.Issuer{{URL: "http://10.0.0.1"}}, true
		}, "Issuers[0].URL", "10.0.0.1", "must be https"},
		{"DISC-06 query", url("https://as.example.com/t?x=1"), "Issuers[0].URL", "t?...", "no query"},
		{"DISC-06 empty query", url("https://as.example.com/t?"), "Issuers[0].URL", "t?", "question mark"},
		{"DISC-06 bar", url("https://as.example.com/x|y"), "Issuers[0].URL", "x|y", "bar"},
		{"DISC-06 full-width digits", url("https://\uff11\uff12\uff17.0.0.1/t"), "Issuers[0].URL", "0.0.1", "ASCII"},
		{"DISC-06 short address", url("https://127.1/"), "Issuers[0].URL", "127.1", "more than one way"},
		{"DISC-06 address as one number", url("https://2130706433/"), "Issuers[0].URL", "2130706433", "more than one way"},
		{"DISC-06 last label is a number", url("https://as.1/"), "Issuers[0].URL", "as.1", "more than one way"},
		{"DISC-06 empty label", url("https://as..example/"), "Issuers[0].URL", "as..example", "more than one way"},
		{"DISC-06 keys on a host of two readings", first(func(i *mcpauth.Issuer) { i.JWKSURI = "https://127.1/jwks" }), "Issuers[0].JWKSURI", "127.1", "ASCII"},
		{"DISC-06 fragment", url("https://as.example.com/t#f"), "Issuers[0].URL", "#f", "no fragment"},
		{"DISC-06 user information", url("https://u:" + secret + "@as.example.com"), "Issuers[0].URL", "user information", "remove it"},
		{"DISC-09 private address", url("https://10.0.0.1/"), "Issuers[0].URL", "10.0.0.1", "set AllowPrivate"},
		{"DISC-09 a private address beside loopback with leave", func(c *mcpauth.Config) {
			c.Issuers, c.AllowInsecureLoopback = []mcpauth.Issuer{{URL: "https://10.0.0.1/"}}, true
		}, "Issuers[0].URL", "10.0.0.1", "set AllowPrivate"},
		{"DISC-09 localhost", url("https://localhost:8443"), "Issuers[0].URL", "localhost", "set AllowPrivate"},
		{"DISC-09 link-local address", url("https://169.254.169.254/latest"), "Issuers[0].URL", "169.254", "set AllowPrivate"},
		{"DISC-09 IPv6 loopback", url("https://[::1]/"), "Issuers[0].URL", "::1", "set AllowPrivate"},
		{"DISC-09 IPv4 in IPv6", url("https://[::ffff:10.0.0.1]/"), "Issuers[0].URL", "ffff", "set AllowPrivate"},
		{"DISC-21 the same twice", func(c *mcpauth.Config) { c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: testIssuerURL}) }, "Issuers[1].URL", testIssuerURL, "stands twice"},
		{"AUD-01 empty list of audiences", first(func(i *mcpauth.Issuer) { i.Audiences = []string{} }), "Issuers[0].Audiences", "empty", "accepts no token"},
		{"AUD-10 audiences without the resource", first(func(i *mcpauth.Issuer) { i.Audiences = []string{"api://default"} }), "Issuers[0].Audiences", "api://default", "must contain the resource"},
		{"AUD-10 nearly the resource", first(func(i *mcpauth.Issuer) { i.Audiences = []string{testResource + "/"} }), "Issuers[0].Audiences", "mcp/", "must contain the resource"},
		{"AUD-01 an empty audience", first(func(i *mcpauth.Issuer) { i.Audiences = []string{testResource, ""} }), "Issuers[0].Audiences[1]", `""`, "not empty"},
		{"TOK-33 HS256", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{"RS256", "HS256"} }), "Issuers[0].Algorithms[1]", "HS256", "choose from"},
		{"TOK-33 none", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{"none"} }), "Issuers[0].Algorithms[0]", "none", "choose from"},
		{"TOK-33 another spelling of none", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{"nOnE"} }), "Issuers[0].Algorithms[0]", "nOnE", "choose from"},
		{"TOK-33 lower case", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{"rs256"} }), "Issuers[0].Algorithms[0]", "rs256", "choose from"},
		{"TOK-33 ES256K", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{"ES256K"} }), "Issuers[0].Algorithms[0]", "ES256K", "choose from"},
		{"TOK-10 empty list of algorithms", first(func(i *mcpauth.Issuer) { i.Algorithms = []string{} }), "Issuers[0].Algorithms", "empty", "accepts no token"},
		{"TOK-10 empty list of types", first(func(i *mcpauth.Issuer) { i.TokenTypes = []string{} }), "Issuers[0].TokenTypes", "empty", "accepts no token"},
		{"DPOP-12 no mode", first(func(i *mcpauth.Issuer) { i.DPoP = 3 }), "Issuers[0].DPoP", "3", "DPoPAccepted"},
		{"a type that is no access token", first(func(i *mcpauth.Issuer) { i.TokenTypes = []string{"at+jwt", "application/DPoP+jwt"} }), "Issuers[0].TokenTypes[1]", "DPoP", "remove it"},
		{"LIMITS-10 negative lifetime", first(func(i *mcpauth.Issuer) { i.MaxLifetime = -time.Second }), "Issuers[0].MaxLifetime", "-1s", "0 means no limit"},
		{"a required claim without values", first(func(i *mcpauth.Issuer) { i.RequireClaims = map[string][]string{"tenant": {}} }), `Issuers[0].RequireClaims["tenant"]`, "no values", "accepts nobody"},
		{"a required claim with a bad path", first(func(i *mcpauth.Issuer) { i.RequireClaims = map[string][]string{"a..b": {"x"}} }), `Issuers[0].RequireClaims["a..b"]`, "a..b", "not a claim path"},
		{"a scope path", first(func(i *mcpauth.Issuer) { i.Claims.Scopes = []string{"scope", ""} }), "Issuers[0].Claims.Scopes[1]", `""`, "not a claim path"},
		{"a scope path with a slash", first(func(i *mcpauth.Issuer) { i.Claims.Scopes = []string{"https://example.com/scope"} }), "Issuers[0].Claims.Scopes[0]", "https://", "double quotes"},
		{"a role path", first(func(i *mcpauth.Issuer) {
			i.Claims.Roles, i.Claims.RoleScopes = []string{`"open`}, map[string][]string{"r": {"s"}}
		}), "Issuers[0].Claims.Roles[0]", "open", "not a claim path"},
		{"roles without scopes", first(func(i *mcpauth.Issuer) { i.Claims.Roles = []string{"roles"} }), "Issuers[0].Claims.RoleScopes", "0 roles mapped", "set both"},
		{"scopes without roles", first(func(i *mcpauth.Issuer) { i.Claims.RoleScopes = map[string][]string{"r": {"s"}} }), "Issuers[0].Claims.RoleScopes", "1 roles mapped", "set both"},
		{"a role's scope", first(func(i *mcpauth.Issuer) {
			i.Claims.Roles, i.Claims.RoleScopes = []string{"roles"}, map[string][]string{"r": {"a b"}}
		}), `Issuers[0].Claims.RoleScopes["r"]`, "a b", "is not a scope"},
		{"a client id path", first(func(i *mcpauth.Issuer) { i.Claims.ClientID = "." }), "Issuers[0].Claims.ClientID", ".", "not a claim path"},
		{"an audience path", first(func(i *mcpauth.Issuer) { i.Claims.Audience = "a." }), "Issuers[0].Claims.Audience", "a.", "not a claim path"},
		{"DISC-05 http key URL", first(func(i *mcpauth.Issuer) { i.JWKSURI = "http://as.example.com/jwks" }), "Issuers[0].JWKSURI", "http://", "must be https"},
		{"DISC-05 relative key URL", first(func(i *mcpauth.Issuer) { i.JWKSURI = "/jwks" }), "Issuers[0].JWKSURI", "/jwks", "not an absolute URL"},
		{"DISC-05 key URL with user information", first(func(i *mcpauth.Issuer) { i.JWKSURI = "https://u:" + secret + "@as.example.com/jwks" }), "Issuers[0].JWKSURI", "@as.example.com", "user information"},
		{"DISC-05 key URL with a fragment", first(func(i *mcpauth.Issuer) { i.JWKSURI = "https://as.example.com/jwks#k" }), "Issuers[0].JWKSURI", "#k", "fragment"},
		{"DISC-27 two sources of keys", first(func(i *mcpauth.Issuer) {
			i.Keys, i.JWKSURI = mcpauthtest.NewKey("a", "ES256").PEM(), "https://u:"+secret+"@as.example.com/jwks"
		}), "Issuers[0].JWKSURI", "@as.example.com", "choose one"},
		{"DISC-27 empty keys", first(func(i *mcpauth.Issuer) { i.Keys = []byte{} }), "Issuers[0].Keys", "empty", "leave it nil"},
		{"DISC-27 blank keys", first(func(i *mcpauth.Issuer) { i.Keys = []byte(" \n") }), "Issuers[0].Keys", "empty", "leave it nil"},
		{"DISC-27 keys that are neither", first(func(i *mcpauth.Issuer) { i.Keys = []byte(secret) }), "Issuers[0].Keys", "7 bytes", "neither a usable JWK Set nor PEM"},
		{"DISC-27 a set without keys", first(func(i *mcpauth.Issuer) { i.Keys = []byte(`{"keys":[]}`) }), "Issuers[0].Keys", "11 bytes", "no usable keys"},
		{"DISC-27 a symmetric key", first(func(i *mcpauth.Issuer) { i.Keys = []byte(`{"keys":[{"kty":"oct","k":"` + secret + `"}]}`) }), "Issuers[0].Keys", "bytes", "no usable keys"},
		{"DISC-27 a private key", first(func(i *mcpauth.Issuer) { i.Keys = private }), "Issuers[0].Keys", "bytes", "a private key: give the public key"},
		{"DISC-27 a private key beside a public one", first(func(i *mcpauth.Issuer) {
			leaked := mcpauthtest.NewKey("b", "ES256").JWK()
			leaked["d"] = secret
			i.Keys, _ = json.Marshal(map[string]any{"keys": []any{mcpauthtest.NewKey("a", "ES256").JWK(), leaked}})
		}), "Issuers[0].Keys", `"b"`, "is a private key"},
		{"DISC-27 broken PEM", first(func(i *mcpauth.Issuer) { i.Keys = []byte("-----BEGIN " + secret) }), "Issuers[0].Keys", "bytes", "not a block"},
	}
}

// TestMisconfiguration: each mistake gives one error that names the field, the
// value and the fix, and repeats no secret.
func TestMisconfiguration_TEST_17(t *testing.T) {
	rows := append(append(resourceRows(), topRows()...), issuerRows(t)...)
	require.GreaterOrEqual(t, len(rows), 60)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
			row.change(&config)
			auth, err := mcpauth.New(config)
			require.Error(t, err)
			assert.Nil(t, auth)
			all := mistakes(t, err)
			require.Len(t, all, 1, "%v", err)
			assert.Equal(t, row.field, all[0].Field)
			assert.Contains(t, all[0].Value, row.value)
			assert.Contains(t, all[0].Reason, row.fix)
			assert.Equal(t, "mcpauth: Config."+all[0].Field+" = "+all[0].Value+": "+all[0].Reason, err.Error())
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), "\n")
			for _, issuer := range config.Issuers {
				for line := range bytes.Lines(issuer.Keys) {
					if len(line) > 20 && !bytes.HasPrefix(line, []byte("-----")) {
						assert.NotContains(t, err.Error(), string(bytes.TrimSpace(line)))
					}
				}
			}
		})
	}
}

func TestZeroConfig_TOK_10(t *testing.T) {
	auth, err := mcpauth.New(mcpauth.Config{})
	assert.Nil(t, auth)
	var fields []string
	for _, mistake := range mistakes(t, err) {
		fields = append(fields, mistake.Field)
	}
	assert.Equal(t, []string{"Resource", "Issuers"}, fields)

	_, err = mcpauth.New(mcpauth.Config{Issuers: make([]mcpauth.Issuer, 2)})
	fields = nil
	for _, mistake := range mistakes(t, err) {
		fields = append(fields, mistake.Field)
	}
	assert.Equal(t, []string{"Resource", "Issuers[0].URL", "Issuers[1].URL"}, fields)
}

// TestLongMistake_OBS_11: of a long value an error shows the beginning.
func TestLongMistake_OBS_11_TEST_17(t *testing.T) {
	long := strings.Repeat("a", 100_000)
	_, err := mcpauth.New(mcpauth.Config{
		Resource: testResource, Issuers: []mcpauth.Issuer{{URL: testIssuerURL, Audiences: []string{long, long}}}, Scopes: []string{long + " "}, AllowedOrigins: []string{long},
	})
	require.Error(t, err)
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, one, &mistake)
		assert.LessOrEqual(t, len(mistake.Value), 1100, mistake.Field)
	}
}

// The zero Middleware, which no call of New has made, opens nothing either.
func TestZeroMiddleware_TOK_10(t *testing.T) {
	f := newFixture(t, nil)
	zero := &fixture{tb: t, auth: &mcpauth.Middleware{}}
	zero.handler = zero.auth.Wrap(http.HandlerFunc(f.record))
	const noIssuer = `{"error":"invalid_token","error_description":"issuer not accepted"}`
	for token, body := range map[string]string{"": `{"error_description":"authorization required"}`, "garbage": noIssuer, f.token(nil): noIssuer} {
		w := zero.call(token, "echo")
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Equal(t, body, w.Body.String())
		assert.Regexp(t, `^Bearer( |$)`, w.Header().Get("WWW-Authenticate"))
		assert.Equal(t, http.StatusUnauthorized, zero.legacyCall(token, "echo").Code)
	}
	assert.Zero(t, f.ran)
	assert.Panics(t, func() { f.auth.Wrap(nil) })
}

func TestAllMistakesAtOnce_TEST_17(t *testing.T) {
	_, err := mcpauth.New(mcpauth.Config{
		Resource:       "http://mcp.example.com/mcp",
		Leeway:         10 * time.Minute,
		Scopes:         []string{"a b", "offline_access"},
		Implies:        map[string][]string{"x": {"y"}, "y": {"x"}},
		AllowedOrigins: []string{"*"},
		Metadata:       map[string]any{"resource": "x", "resource_name": ""},
		Policy:         mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"t": {}}},
		Issuers: []mcpauth.Issuer{
			{URL: "http://as.example.com", Algorithms: []string{"HS256"}, MaxLifetime: -1, Audiences: []string{}},
			{URL: "https://as.example.com", JWKSURI: "ftp://x", TokenTypes: []string{"logout+jwt"}},
		},
	})
	var fields []string
	for _, mistake := range mistakes(t, err) {
		fields = append(fields, mistake.Field)
		assert.NotEmpty(t, mistake.Value)
		assert.NotEmpty(t, mistake.Reason)
	}
	assert.Equal(t, []string{
		"Resource", "Leeway", "Scopes[0]", "Scopes[1]", "Implies", `Policy.Tools["t"]`, "AllowedOrigins[0]",
		"Issuers[0].URL", "Issuers[0].Audiences", "Issuers[0].Algorithms[0]", "Issuers[0].MaxLifetime",
		"Issuers[1].TokenTypes[0]", "Issuers[1].JWKSURI", `Metadata["resource"]`, `Metadata["resource_name"]`,
	}, fields)
	assert.Len(t, fields, 15)
	assert.Len(t, strings.Split(err.Error(), "\n"), 15, "one line each")
	var one *mcpauth.ConfigError
	require.True(t, errors.As(err, &one))
	assert.Equal(t, "Resource", one.Field)
}

// TestMistakesOfTwins_TEST_17: where two issuers are wrong in the same way, each is told.
func TestMistakesOfTwins_TEST_17(t *testing.T) {
	leaked := mcpauthtest.NewKey("b", "ES256").JWK()
	leaked["d"] = secret
	keys, err := json.Marshal(map[string]any{"keys": []any{mcpauthtest.NewKey("a", "ES256").JWK(), leaked}})
	require.NoError(t, err)
	twin := mcpauth.Issuer{URL: "http://as.example.com", Keys: keys}
	_, err = mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{twin, twin}})
	var fields []string
	for _, mistake := range mistakes(t, err) {
		fields = append(fields, mistake.Field)
	}
	assert.Equal(t, []string{"Issuers[0].URL", "Issuers[0].Keys", "Issuers[1].URL", "Issuers[1].Keys"}, fields)
}

func TestGoodConfigurations(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*mcpauth.Config)
	}{
		{"DISC-05 loopback with leave", func(c *mcpauth.Config) {
			c.AllowInsecureLoopback, c.Resource = true, "http://localhost:8080/mcp"
			c.Issuers = []mcpauth.Issuer{{URL: "http://127.0.0.1:9000"}, {URL: "http://[::1]:9000/x"}, {URL: "http://as.localhost"}}
		}},
		{"DISC-09 private with leave", func(c *mcpauth.Config) { c.Issuers = []mcpauth.Issuer{{URL: "https://10.0.0.1/", AllowPrivate: true}} }},
		{"TOK-54 the largest leeway", func(c *mcpauth.Config) { c.Leeway = 5 * time.Minute }},
		{"TOK-54 the smallest leeway", func(c *mcpauth.Config) { c.Leeway = 1 }},
		{"LIMITS-02 the smallest MaxBody", func(c *mcpauth.Config) { c.MaxBody = 1 << 10 }},
		{"LIMITS-02 the largest MaxBody", func(c *mcpauth.Config) { c.MaxBody = 64 << 20 }},
		{"AUD-10 more audiences", func(c *mcpauth.Config) { c.Issuers[0].Audiences = []string{"api://default", testResource} }},
		{"PRM-02 root", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com" }},
		{"keys as PEM with space around", func(c *mcpauth.Config) {
			c.Issuers[0].Keys = append([]byte("\n  \n"), mcpauthtest.NewKey("a", "ES256").PEM()...)
		}},
		{"keys of an old and a new issuer at one place", func(c *mcpauth.Config) {
			c.Issuers = []mcpauth.Issuer{{URL: "https://a.example.com", JWKSURI: "https://keys.example.com"}, {URL: "https://a.example.com/", JWKSURI: "https://keys.example.com"}}
		}},
		{"a policy by pointer", func(c *mcpauth.Config) { c.Policy = &mcpauth.Rules{} }},
		{"MCP-90 the default port of the other scheme", func(c *mcpauth.Config) {
			c.AllowedOrigins = []string{"https://app.example.com:80", "http://app.example.com:443"}
		}},
		{"no scopes to begin with", func(c *mcpauth.Config) { c.Scopes = nil }},
		{"SESS-06 as many old keys as there may be", func(c *mcpauth.Config) {
			c.SessionKey, c.OldSessionKeys = storeKey, slices.Repeat([][]byte{oldStoreKey}, 8)
		}},
		{"CLAIM-10 a diamond is no cycle", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) { newFixture(t, row.change) })
	}
}

// What is allowed but seldom meant is said once, when New runs, and to nobody
// when New fails.
func TestWarnings_PRM_06_AUD_12_AUD_09_OBS_08(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*mcpauth.Config)
		want   string // "" for silence
	}{
		{"nothing to say", nil, ""},
		{"PRM-06 trailing slash", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/mcp/" }, "ends with a slash"},
		{"PRM-06 the root's slash is fine", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/" }, ""},
		{"PRM-05 query", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/mcp?t=1" }, "has a query"},
		{"AUD-12 the issuer as audience", func(c *mcpauth.Config) { c.Issuers[0].Audiences = []string{testResource, testIssuerURL} }, "an issuer itself is an accepted audience"},
		{"AUD-12 the other issuer as audience", func(c *mcpauth.Config) {
			c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: "https://other.example.com", Audiences: []string{testResource, testIssuerURL}})
		}, "an issuer itself is an accepted audience"},
		{"OBS-08 no policy", func(c *mcpauth.Config) { c.Policy = nil }, "the policy has no rule"},
		{"OBS-08 rules without a rule", func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{} }, "cause=no-policy"},
		{"OBS-08 rules without a rule, by pointer", func(c *mcpauth.Config) { c.Policy = &mcpauth.Rules{} }, "cause=no-policy"},
		{"OBS-08 a policy of one's own says nothing of scopes", func(c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
				return mcpauth.Scopes("mcp:reed"), nil
			})
		}, ""},
		{"OBS-08 an advertised scope that no rule needs", func(c *mcpauth.Config) { c.Scopes = []string{"mcp:read", "notes:write"} }, "cause=scope-unused"},
		{"OBS-08 scopes of the protocol are the authorization server's", func(c *mcpauth.Config) {
			c.Scopes = []string{"openid", "profile", "email", "mcp:read"}
		}, ""},
		{"OBS-08 an advertised scope that includes one that a rule needs", func(c *mcpauth.Config) {
			c.Scopes, c.Implies = []string{"all"}, map[string][]string{"all": {"some"}, "some": {"mcp:read"}}
		}, ""},
		{"OBS-08 an advertised scope by a template", func(c *mcpauth.Config) {
			c.Scopes = []string{"tool:echo"}
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("tool:{name}")}}
		}, ""},
		{"OBS-08 only a method needs it", func(c *mcpauth.Config) {
			c.Scopes = []string{"mcp:log"}
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"logging/setLevel": mcpauth.Scopes("mcp:log")}}
		}, ""},
		{"OBS-08 one letter off, in a role", func(c *mcpauth.Config) {
			c.Issuers[0].Claims.Roles = []string{"roles"}
			c.Issuers[0].Claims.RoleScopes = map[string][]string{"admin": {"mcp:admim"}}
		}, "cause=scope-alike"},
		{"OBS-08 one letter less, in Implies", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"mcp:admi": {"mcp:read"}}
		}, "cause=scope-alike"},
		{"OBS-08 two letters changed places", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"mcp:amdin": {"mcp:read"}}
		}, "cause=scope-alike"},
		{"OBS-08 so many scopes are not compared with one another", func(c *mcpauth.Config) {
			tools := map[string]mcpauth.Requirement{"x": mcpauth.Scopes("mcp:reed")}
			for i := range 1000 {
				tools[fmt.Sprint("tool", i)] = mcpauth.Scopes("mcp:read", fmt.Sprint("tool", i))
			}
			c.Policy = mcpauth.Rules{Tools: tools}
		}, ""},
		{"OBS-08 numbers and short names differ on purpose", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"level1": {"level2", "a"}, "b": {"mcp:rd"}}
		}, ""},
		{"OBS-08 four letters are no short name", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"read": {"mcp:read"}, "reed": {"mcp:read"}}
		}, "cause=scope-alike"},
		{"OBS-08 the first of two letters has changed its place alone", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"data:ab": {"mcp:read"}, "data:ca": {"mcp:read"}}
		}, ""},
		{"OBS-08 the second of two letters has changed its place alone", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"data:ab": {"mcp:read"}, "data:bc": {"mcp:read"}}
		}, ""},
		{"OBS-08 two letters have changed places, and there is a third", func(c *mcpauth.Config) {
			c.Implies = map[string][]string{"data:ab": {"mcp:read"}, "data:bac": {"mcp:read"}}
		}, ""},
		{"OBS-08 one letter more than a method", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tools/lists": mcpauth.Scopes("mcp:read")}}
		}, "rule=tools/lists method=tools/list"},
		{"OBS-08 the first of all methods is misspelt", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"completion/complet": mcpauth.Scopes("mcp:read")}}
		}, "rule=completion/complet method=completion/complete"},
		{"OBS-08 the first of all names is misspelt", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"$reponse": mcpauth.Scopes("mcp:read")}}
		}, "rule=$reponse method=$response"},
		{"OBS-08 a method is misspelt, and the one that is meant stays free", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tools/lst": mcpauth.Scopes("mcp:read")}}
		}, "rule=tools/lst method=tools/list"},
		{"OBS-08 a method of the server's own", func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tools/sort": mcpauth.Scopes("mcp:read")}}
		}, ""},
		{"AUD-09 another claim as audience", func(c *mcpauth.Config) { c.Issuers[0].Claims.Audience = "client_id" }, "binds them to a client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, row.change)
			lines := strings.Count(f.log.String(), "\n")
			if row.want == "" {
				assert.Empty(t, f.log.String())
				return
			}
			assert.Equal(t, 1, lines, "%s", f.log)
			assert.Contains(t, f.log.String(), "level=WARN")
			assert.Contains(t, f.log.String(), row.want)
			f.call("", "echo")
			f.call("", "echo")
			assert.Equal(t, 1, strings.Count(f.log.String(), row.want), "once")
		})
	}
	t.Run("none of a configuration that is refused", func(t *testing.T) {
		var log logBuffer
		config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
		config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		config.Resource, config.Leeway = "https://mcp.example.com/mcp/", -1
		_, err := mcpauth.New(config)
		require.Error(t, err)
		assert.Empty(t, log.String())
	})
}

// TestAlikeIsBounded_OBS_08: of many scopes that are one letter off another the first pairs are told, in order, and a thousand are
// the most that are compared.
func TestAlikeIsBounded_OBS_08(t *testing.T) {
	needs := func(scopes ...string) func(*mcpauth.Config) {
		return func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes(append(scopes, "mcp:read")...)}}
		}
	}
	var scopes, want, got []string
	for _, name := range []string{"zero", "yard", "west", "view", "unit", "tree", "song", "rain", "quiz", "park"} {
		scopes = append(scopes, name+":ones", name+":one")
		want = append([]string{name + ":one " + name + ":ones"}, want...)
	}
	f := newFixture(t, needs(scopes...))
	for line := range strings.Lines(f.log.String()) {
		_, pair, _ := strings.Cut(strings.TrimSpace(line), " scope=")
		pair, _, _ = strings.Cut(pair, " cause=")
		got = append(got, strings.Replace(pair, " other=", " ", 1))
	}
	assert.Equal(t, want[:8], got)

	for n, told := range map[int]int{1000: 1, 1001: 0} {
		f := newFixture(t, func(c *mcpauth.Config) {
			var narrower []string
			for i := range n - 3 { // beside mcp:read, mcp:reed and mcp:admin
				narrower = append(narrower, fmt.Sprint("tool", i))
			}
			c.Implies = map[string][]string{"mcp:reed": narrower}
		})
		assert.Equal(t, told, strings.Count(f.log.String(), "cause=scope-alike"), n)
	}
}

// What New has read it does not read again: a slice that the caller changes later opens nothing.
func TestConfigIsCopied(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	config := testConfig(issuer)
	config.Issuers[0].Audiences = []string{testResource, "api://one"}
	config.Issuers[0].Algorithms = []string{"ES256", "RS256"}
	config.Issuers[0].TokenTypes = []string{"at+jwt", "JWT"}
	config.Issuers[0].RequireClaims = map[string][]string{"tenant": {"t1"}}
	config.Issuers[0].Claims.Roles = []string{"roles"}
	config.Issuers[0].Claims.RoleScopes = map[string][]string{"reader": {"mcp:read"}}
	config.AllowedOrigins = []string{"https://app.example.com"}
	config.Metadata = map[string]any{"list": []string{"a"}}
	f := &fixture{tb: t, issuer: issuer}
	var err error
	f.auth, err = mcpauth.New(config)
	require.NoError(t, err)
	f.handler = f.auth.Wrap(http.HandlerFunc(f.record))
	before := string(f.auth.MetadataJSON())

	i := &config.Issuers[0]
	i.URL, config.Resource, config.Scopes[0] = "https://evil.example", "https://evil.example", "evil"
	i.Audiences[1], i.Algorithms[1], i.TokenTypes[0] = "https://evil.example", "PS256", "x"
	i.RequireClaims["tenant"][0] = "evil"
	i.RequireClaims["x"] = []string{"y"}
	i.Claims.Roles[0] = "evil"
	i.Claims.RoleScopes["reader"][0] = "mcp:admin"
	i.Claims.RoleScopes["evil"] = []string{"mcp:admin"}
	config.AllowedOrigins[0] = "https://evil.example"
	config.Metadata["list"].([]string)[0] = "evil"

	assert.Equal(t, before, string(f.auth.MetadataJSON()), "PRM-28")
	none := mcpauthtest.Claims{"scope": nil}
	with := func(claims mcpauthtest.Claims) string {
		for name, value := range none {
			claims[name] = value
		}
		return f.token(claims)
	}
	f.served(f.call(with(mcpauthtest.Claims{"tenant": "t1", "roles": "reader"}), "echo"))
	f.refused(f.call(with(mcpauthtest.Claims{"tenant": "t1", "roles": "reader"}), "admin_delete"), 403, adminChallenge)
	assert.Equal(t, 403, f.call(with(mcpauthtest.Claims{"tenant": "t1", "evil": "reader", "roles": "evil"}), "admin_delete").Code)
	assert.Equal(t, 403, f.call(with(mcpauthtest.Claims{"tenant": "evil", "roles": "reader"}), "echo").Code)
	assert.Equal(t, 401, f.call(with(mcpauthtest.Claims{"tenant": "t1", "roles": "reader", "aud": "https://evil.example"}), "echo").Code)
	assert.Equal(t, 403, f.post("", "{}", "Origin: https://evil.example").Code)
	assert.Zero(t, f.ran)
}

// AUD-01: without a word about audiences the resource is the only one.
func TestDefaultAudience_AUD_01(t *testing.T) {
	f := newFixture(t, nil)
	f.served(f.call(f.token(nil), "echo"))
	for _, aud := range []any{"https://other", testIssuerURL, "", nil, []string{}} {
		f.refused(f.call(f.token(mcpauthtest.Claims{"aud": aud}), "echo"), http.StatusUnauthorized, invalidToken("audience mismatch"))
	}
}

// TOK-54: thirty seconds unless said otherwise.
func TestDefaultLeeway_TOK_54(t *testing.T) {
	for _, row := range []struct {
		leeway  time.Duration
		expired time.Duration
		status  int
	}{
		{0, 20 * time.Second, 200}, {0, 40 * time.Second, 401}, {time.Nanosecond, 2 * time.Second, 401}, {5 * time.Minute, 4 * time.Minute, 200},
	} {
		f := newFixture(t, func(c *mcpauth.Config) { c.Leeway = row.leeway })
		w := f.call(f.token(mcpauthtest.Claims{"iat": nil, "exp": time.Now().Add(-row.expired).Unix()}), "echo")
		assert.Equal(t, row.status, w.Code, "%v", row)
	}
}

func TestNilPolicyRefusesEveryTarget_TOK_10(t *testing.T) {
	for name, change := range map[string]func(*mcpauth.Config){
		"nil":          func(c *mcpauth.Config) { c.Policy = nil },
		"empty rules":  func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{} },
		"empty maps":   func(c *mcpauth.Config) { c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{}} },
		"zero answers": wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Requirement{}, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			f.refused(f.call(f.token(nil), "echo"), http.StatusForbidden, "")
			f.refused(f.legacyCall(f.token(nil), "echo"), http.StatusForbidden, "")
		})
	}
}

// In a compose file the browser's name of an authorization server is not that of its container: the
// way out that New names leads somewhere.
func TestContainers_DISC_05(t *testing.T) {
	const url = "http://localhost:8080/realms/main" // nobody listens there
	issuer := mcpauthtest.NewIssuerAt(t, url)
	container := httptest.NewServer(issuer)
	defer container.Close()
	f := keysFixture(t, issuer, func(c *mcpauth.Config) {
		inContainers(c)
		require.Equal(t, url, c.Issuers[0].URL)
		c.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, container.Listener.Addr().String())
		}}
	})
	f.served(f.call(f.token(nil), "echo"))
}
