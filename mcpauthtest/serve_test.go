package mcpauthtest_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// reply is a response that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t *testing.T) (document map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.body), &document), r.body)
	return document
}

func ask(t *testing.T, via http.RoundTripper, method, url string, headers ...string) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for n := 0; n < len(headers); n += 2 {
		r.Header.Add(headers[n], headers[n+1])
	}
	response, err := via.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	if response.ContentLength >= 0 && method != http.MethodHead {
		assert.EqualValues(t, response.ContentLength, len(body))
	}
	return reply{response.StatusCode, response.Header, string(body)}, nil
}

func get(t *testing.T, via http.RoundTripper, url string, headers ...string) reply {
	t.Helper()
	answer, err := ask(t, via, http.MethodGet, url, headers...)
	require.NoError(t, err)
	return answer
}

// socket is an HTTP client whose connections end with the test.
func socket(t *testing.T) *http.Transport {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestDocuments_TEST_02(t *testing.T) {
	const root, oauth, openid = "https://as.example.com", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	for _, tt := range []struct {
		url, jwks string
		places    []string
	}{
		{root, "/jwks", []string{oauth, openid}},
		{root + "/", "/jwks", []string{oauth, openid}},
		{root + ":8443", ":8443/jwks", []string{":8443" + oauth, ":8443" + openid}},
		{root + "/tenant1", "/tenant1/jwks", []string{oauth + "/tenant1", openid + "/tenant1", "/tenant1" + openid}},
		{root + "/tenant1/", "/tenant1/jwks", []string{oauth + "/tenant1", openid + "/tenant1", "/tenant1" + openid}},
		{root + "/a%2Fb/c", "/a%2Fb/c/jwks", []string{oauth + "/a%2Fb/c", openid + "/a%2Fb/c", "/a%2Fb/c" + openid}},
	} {
		t.Run(tt.url, func(t *testing.T) {
			issuer := mcpauthtest.NewIssuerAt(t, tt.url)
			assert.Equal(t, tt.url, issuer.URL())
			assert.Equal(t, tt.url, issuer.Config().URL)
			for n, place := range tt.places {
				answer := get(t, issuer.Transport(), root+place)
				assert.Equal(t, 200, answer.status)
				assert.Equal(t, "application/json", answer.header.Get("Content-Type"))
				metadata := answer.json(t)
				assert.Equal(t, tt.url, metadata["issuer"])
				assert.Equal(t, root+tt.jwks, metadata["jwks_uri"])
				assert.Equal(t, []any{"S256"}, metadata["code_challenge_methods_supported"])
				base := strings.TrimSuffix(root+tt.jwks, "/jwks")
				assert.Equal(t, base+"/authorize", metadata["authorization_endpoint"])
				assert.Equal(t, base+"/token", metadata["token_endpoint"])
				assert.Equal(t, n+1, issuer.Fetches(mcpauthtest.Metadata))
			}
			keys := get(t, issuer.Transport(), root+tt.jwks)
			assert.Equal(t, 200, keys.status)
			assert.Equal(t, []any{rendered(t, issuer.Keys()[0].JWK())}, keys.json(t)["keys"])
			assert.Equal(t, 1, issuer.Fetches(mcpauthtest.JWKS))
			assert.EqualValues(t, len(keys.body), issuer.Served(mcpauthtest.JWKS))
			assert.Equal(t, 404, get(t, issuer.Transport(), root+tt.jwks+"x").status)
			assert.Equal(t, 404, get(t, issuer.Transport(), root+tt.places[0]+"/x").status)
		})
	}
}

func TestAnyURL(t *testing.T) {
	for _, url := range []string{"", "://", "nonsense", "nonsense/path", "https://", "https://u:p@h/x?q#f", "https://h:bad:port/%zz", "urn:x", "HTTPS://AS.Example.COM/X"} {
		issuer := mcpauthtest.NewIssuerAt(t, url)
		assert.Equal(t, url, issuer.URL())
		_, claims := read(t, issuer.Token(nil))
		assert.Equal(t, url, claims["iss"])
		_, err := ask(t, issuer.Transport(), http.MethodGet, "https://elsewhere.example.com/jwks")
		require.Error(t, err)
	}
	issuer := mcpauthtest.NewIssuerAt(t, "HTTPS://AS.Example.COM/X")
	assert.Equal(t, 200, get(t, issuer.Transport(), "https://as.example.com/X/jwks").status)
	issuer = mcpauthtest.NewIssuerAt(t, "https://as.example.com/x?y=1")
	assert.Equal(t, "https://as.example.com/x/jwks", get(t, issuer.Transport(), "https://as.example.com/.well-known/openid-configuration/x").json(t)["jwks_uri"])
}

func TestOtherHosts(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant1")
	for _, url := range []string{"https://other.example.com/tenant1/jwks", "http://as.example.com/tenant1/jwks", "https://as.example.com:444/tenant1/jwks", "http://169.254.169.254/"} {
		_, err := ask(t, issuer.Transport(), http.MethodGet, url)
		var lookup *net.DNSError
		require.ErrorAs(t, err, &lookup)
		assert.True(t, lookup.IsNotFound)
	}
	assert.Zero(t, issuer.Fetches(mcpauthtest.JWKS))
	requests := issuer.Requests()
	require.Len(t, requests, 4)
	assert.Equal(t, "http://169.254.169.254/", requests[3].URL.String())

	issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://keys.example.com/v1/keys?v=2" })
	assert.Equal(t, 200, get(t, issuer.Transport(), "https://keys.example.com/v1/keys").status)
	assert.Equal(t, 404, get(t, issuer.Transport(), "https://keys.example.com/tenant1/jwks").status)
	assert.Equal(t, 200, get(t, issuer.Transport(), "https://as.example.com/tenant1/jwks").status)
	assert.Equal(t, 2, issuer.Fetches(mcpauthtest.JWKS))
	issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "%zz" })
	_, err := ask(t, issuer.Transport(), http.MethodGet, "https://keys.example.com/v1/keys")
	require.Error(t, err)
}

func TestPublish(t *testing.T) {
	const url = "https://as.example.com"
	const place = url + "/.well-known/openid-configuration"
	issuer := mcpauthtest.NewIssuerAt(t, url)
	original := get(t, issuer.Transport(), place).body
	keys := get(t, issuer.Transport(), url+"/jwks").body

	issuer.PublishMetadata(func(m map[string]any) { delete(m, "jwks_uri") })
	issuer.PublishMetadata(func(m map[string]any) { m["issuer"] = "https://evil.example.com" })
	metadata := get(t, issuer.Transport(), place).json(t)
	assert.NotContains(t, metadata, "jwks_uri")
	assert.Equal(t, "https://evil.example.com", metadata["issuer"])
	issuer.PublishMetadataRaw("{")
	assert.Equal(t, "{", get(t, issuer.Transport(), place).body)
	issuer.PublishMetadataRaw("")
	assert.Equal(t, metadata, get(t, issuer.Transport(), place).json(t))
	issuer.PublishMetadata(nil)
	assert.Equal(t, original, get(t, issuer.Transport(), place).body)

	issuer.PublishKeySet("[]")
	assert.Equal(t, "[]", get(t, issuer.Transport(), url+"/jwks").body)
	issuer.PublishKeySet("")
	assert.Equal(t, keys, get(t, issuer.Transport(), url+"/jwks").body)

	issuer.Rotate(mcpauthtest.NewKey("a", "ES256"), mcpauthtest.NewKey("b", "EdDSA"))
	set := get(t, issuer.Transport(), url+"/jwks").json(t)["keys"].([]any)
	require.Len(t, set, 2)
	assert.Equal(t, "a", set[0].(map[string]any)["kid"])
	assert.Equal(t, "b", set[1].(map[string]any)["kid"])
	issuer.Rotate()
	assert.JSONEq(t, `{"keys":[]}`, get(t, issuer.Transport(), url+"/jwks").body)

	issuer.ServeOnly("/.well-known/oauth-authorization-server")
	assert.Equal(t, 404, get(t, issuer.Transport(), place).status)
	assert.Equal(t, 200, get(t, issuer.Transport(), url+"/.well-known/oauth-authorization-server").status)
	issuer.ServeOnly()
	assert.Equal(t, 404, get(t, issuer.Transport(), url+"/.well-known/oauth-authorization-server").status)
}

func TestHeadersAndConditions(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*mcpauthtest.Issuer, http.RoundTripper){
		"in process": func(t *testing.T) (*mcpauthtest.Issuer, http.RoundTripper) {
			issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
			return issuer, issuer.Transport()
		},
		"socket": func(t *testing.T) (*mcpauthtest.Issuer, http.RoundTripper) {
			return mcpauthtest.NewIssuer(t), socket(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, via := start(t)
			url := issuer.URL() + "/jwks"
			assert.Equal(t, 200, get(t, via, url, "If-None-Match", "*").status, "no ETag, no condition")
			issuer.Header(mcpauthtest.JWKS, "etag", `"v1"`)
			issuer.Header(mcpauthtest.JWKS, "Cache-Control", "max-age=60")
			for condition, status := range map[string]int{`"v1"`: 304, `W/"v1"`: 304, `"v0", "v1"`: 304, "*": 304, `"v0"`: 200, "v1": 200, "": 200} {
				answer := get(t, via, url, "If-None-Match", condition)
				assert.Equal(t, status, answer.status, condition)
				assert.Equal(t, `"v1"`, answer.header.Get("ETag"))
				assert.Equal(t, "max-age=60", answer.header.Get("Cache-Control"))
				assert.Equal(t, status == 304, answer.body == "")
				assert.Equal(t, status == 200, answer.header.Get("Content-Type") != "")
			}
			assert.Empty(t, get(t, via, issuer.URL()+"/.well-known/openid-configuration").header.Get("ETag"))
			issuer.Header(mcpauthtest.JWKS, "ETag", "")
			assert.Equal(t, 200, get(t, via, url, "If-None-Match", `"v1"`).status)
			issuer.Header(mcpauthtest.JWKS, "Content-Type", "")
			assert.NotContains(t, get(t, via, url).header, "Content-Type")
			issuer.Header(mcpauthtest.JWKS, "Content-Type", "text/plain")
			assert.Equal(t, "text/plain", get(t, via, url).header.Get("Content-Type"))
			issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
			issuer.Header(mcpauthtest.JWKS, "Retry-After", "7")
			down := get(t, via, url)
			assert.Equal(t, 503, down.status)
			assert.Equal(t, "7", down.header.Get("Retry-After"))
		})
	}
}

func TestMethods(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	before := issuer.Served(mcpauthtest.JWKS)
	head, err := ask(t, issuer.Transport(), http.MethodHead, "https://as.example.com/jwks")
	require.NoError(t, err)
	assert.Equal(t, 200, head.status)
	assert.Empty(t, head.body)
	assert.Equal(t, before, issuer.Served(mcpauthtest.JWKS))
	closed := false
	r, err := http.NewRequest(http.MethodPost, "https://as.example.com/jwks", closer{strings.NewReader("secret"), &closed})
	require.NoError(t, err)
	response, err := issuer.Transport().RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, 405, response.StatusCode)
	assert.Equal(t, "GET, HEAD", response.Header.Get("Allow"))
	assert.True(t, closed, "a RoundTripper closes the body")
	require.NoError(t, response.Body.Close())
	_, err = response.Body.Read(make([]byte, 1))
	assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)

	requests := issuer.Requests()
	require.Len(t, requests, 2)
	assert.Equal(t, http.MethodHead, requests[0].Method)
	assert.Nil(t, requests[1].Body)
	requests[0].Header.Set("X", "changed")
	assert.Empty(t, issuer.Requests()[0].Header)
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

func TestMounted(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant1")
	server := httptest.NewTLSServer(issuer)
	defer server.Close()
	via := server.Client().Transport
	assert.Equal(t, 200, get(t, via, server.URL+"/tenant1/jwks").status)
	assert.Equal(t, 404, get(t, via, server.URL+"/jwks").status)
	issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "https://keys.example.com/keys" })
	assert.Equal(t, 200, get(t, via, server.URL+"/keys").status)
	assert.Equal(t, "/tenant1/jwks", issuer.Requests()[0].URL.Path)
	issuer.PublishMetadata(func(m map[string]any) { delete(m, "jwks_uri") })
	w := httptest.NewRecorder()
	issuer.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: httptest.NewRequest("GET", "*", nil).URL, Header: http.Header{}})
	assert.Equal(t, 404, w.Code)
}

// TestConcurrentUse: whatever happens at once, the race detector is content.
func TestConcurrentUse(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	keys := []*mcpauthtest.Key{mcpauthtest.NewKey("a", "ES256"), mcpauthtest.NewKey("b", "ES256")}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 20 {
				issuer.Rotate(keys[n%2])
				issuer.TokenFor("x", "y")
				issuer.Header(mcpauthtest.JWKS, "ETag", `"x"`)
				issuer.Break(mcpauthtest.JWKS, mcpauthtest.Fault(n%2))
				issuer.PublishMetadata(func(m map[string]any) { m["n"] = n })
				issuer.PublishMetadataRaw("")
				issuer.PublishKeySet("")
				issuer.ServeOnly("/.well-known/openid-configuration")
				get(t, issuer.Transport(), "https://as.example.com/jwks")
				get(t, issuer.Transport(), "https://as.example.com/.well-known/openid-configuration")
				issuer.Requests()
				issuer.Keys()
			}
		})
	}
	group.Wait()
	assert.Equal(t, 160, issuer.Fetches(mcpauthtest.JWKS))
	assert.Equal(t, 160, issuer.Fetches(mcpauthtest.Metadata))
	assert.Len(t, issuer.Requests(), 320)
}

// TestMisuse: mistakes of a test end that test, with a reason.
func TestMisuse(t *testing.T) {
	for name, misuse := range map[string]func(*mcpauthtest.Issuer){
		"unknown endpoint": func(i *mcpauthtest.Issuer) { i.Break("nowhere", mcpauthtest.Down) },
		"unknown counter":  func(i *mcpauthtest.Issuer) { i.Fetches("") },
		"unknown fault":    func(i *mcpauthtest.Issuer) { i.Break(mcpauthtest.JWKS, 99) },
		"negative fault":   func(i *mcpauthtest.Issuer) { i.Break(mcpauthtest.JWKS, -1) },
		"claims":           func(i *mcpauthtest.Issuer) { i.Token(mcpauthtest.Claims{"x": func() {}}) },
		"metadata":         func(i *mcpauthtest.Issuer) { i.PublishMetadata(func(m map[string]any) { m["x"] = func() {} }) },
	} {
		tb := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			misuse(mcpauthtest.NewIssuerAt(tb, "https://as.example.com"))
		}()
		<-done
		assert.True(t, tb.fatal, name)
	}
}

type recorder struct {
	testing.TB
	fatal bool
}

func (r *recorder) Fatalf(string, ...any) {
	r.fatal = true
	runtime.Goexit()
}
