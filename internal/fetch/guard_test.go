package fetch

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// addresses are what a name may resolve to, and whether a URL that was learned
// from a document may lead there.
var addresses = []struct {
	name, address string
	public        bool
}{
	{"DISC-08 public IPv4", "93.184.215.14", true},
	{"DISC-08 public IPv6", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", true},
	{"DISC-08 public IPv4, mapped", "::ffff:93.184.215.14", true},
	{"DISC-08 just outside of 172.16/12", "172.32.0.1", true},
	{"DISC-08 just outside of 100.64/10", "100.128.0.1", true},
	{"DISC-08 loopback", "127.0.0.1", false},
	{"DISC-08 loopback, another", "127.255.255.254", false},
	{"DISC-08 loopback IPv6", "::1", false},
	{"DISC-08 loopback, mapped", "::ffff:127.0.0.1", false},
	{"DISC-08 loopback, mapped, in hexadecimal", "::ffff:7f00:1", false},
	{"DISC-08 loopback, mapped, with a zone", "::ffff:127.0.0.1%eth0", false},
	{"DISC-08 loopback, compatible", "::127.0.0.1", false},
	{"DISC-08 loopback in 6to4", "2002:7f00:1::", false},
	{"DISC-08 loopback in NAT64", "64:ff9b::7f00:1", false},
	{"DISC-08 private in local NAT64", "64:ff9b:1::a00:1", false},
	{"DISC-08 Teredo", "2001:0:7f00:1::1", false},
	{"DISC-08 RFC 1918 10/8", "10.0.0.1", false},
	{"DISC-08 RFC 1918 172.16/12", "172.31.255.255", false},
	{"DISC-08 RFC 1918 192.168/16", "192.168.1.1", false},
	{"DISC-08 RFC 1918, mapped", "::ffff:10.0.0.1", false},
	{"DISC-08 link-local, metadata service", "169.254.169.254", false},
	{"DISC-08 link-local, mapped", "::ffff:169.254.169.254", false},
	{"DISC-08 link-local IPv6", "fe80::1", false},
	{"DISC-08 link-local IPv6 with a zone", "fe80::1%eth0", false},
	{"DISC-08 site-local IPv6", "fec0::1", false},
	{"DISC-08 unique local", "fd00:ec2::254", false},
	{"DISC-08 unique local with a zone", "fd00::1%1", false},
	{"DISC-08 shared address space", "100.64.0.1", false},
	{"DISC-08 shared address space, end", "100.127.255.255", false},
	{"DISC-08 unspecified", "0.0.0.0", false},
	{"DISC-08 unspecified IPv6", "::", false},
	{"DISC-08 unspecified, mapped", "::ffff:0.0.0.0", false},
	{"DISC-08 this network", "0.1.2.3", false},
	{"DISC-08 protocol assignments", "192.0.0.8", false},
	{"DISC-08 documentation 1", "192.0.2.1", false},
	{"DISC-08 documentation 2", "198.51.100.1", false},
	{"DISC-08 documentation 3", "203.0.113.1", false},
	{"DISC-08 documentation IPv6", "2001:db8::1", false},
	{"DISC-08 benchmarking", "198.19.0.1", false},
	{"DISC-08 multicast", "224.0.0.1", false},
	{"DISC-08 multicast IPv6", "ff02::1", false},
	{"DISC-08 reserved", "240.0.0.1", false},
	{"DISC-08 broadcast", "255.255.255.255", false},
	{"DISC-08 discard only", "100::1", false},
}

// The control function sees what the name resolved to for this very
// connection, so a name with a public address at first and 127.0.0.1 at the second
// look-up is refused at the second.
func TestGuard_ResolvedAddress_DISC_08(t *testing.T) {
	for _, row := range addresses {
		t.Run(row.name, func(t *testing.T) {
			err := refusePrivate(t.Context(), "tcp", net.JoinHostPort(row.address, "443"), nil)
			literal := refuseLiteral(row.address)
			if row.public {
				assert.NoError(t, err)
				assert.NoError(t, literal)
				return
			}
			assert.ErrorIs(t, err, errPrivateAddress)
			assert.ErrorIs(t, literal, errPrivateAddress)
		})
	}
	for _, broken := range []string{"", "127.0.0.1", "example.com:443", "@/tmp/socket"} {
		assert.ErrorIs(t, refusePrivate(t.Context(), "tcp", broken, nil), errPrivateAddress, "DISC-08: %q", broken)
	}
}

func TestGuard_Names_DISC_08(t *testing.T) {
	for host, want := range map[string]struct{ loopback, private bool }{
		"localhost":            {true, true},
		"LOCALHOST":            {true, true},
		"localhost.":           {true, true},
		"a.localhost":          {true, true},
		"127.0.0.1":            {true, true},
		"::1":                  {true, true},
		"::ffff:127.0.0.1":     {true, true},
		"10.0.0.1":             {false, true},
		"fe80::1%eth0":         {false, true},
		"as.example.com":       {false, false},
		"localhost.example":    {false, false},
		"notlocalhost":         {false, false},
		"127.0.0.1.nip.io":     {false, false},
		"93.184.215.14":        {false, false},
		"2606:2800:21f:cb07::": {false, false},
	} {
		assert.Equal(t, want.loopback, IsLoopbackHost(host), "loopback %q", host)
		assert.Equal(t, want.private, IsPrivateHost(host), "private %q", host)
	}
}

// Real sockets on loopback: the trusted client gets through, and the guarded
// one is stopped before the listener sees a connection, both for a literal
// in the URL and, by the control function alone, for what a name resolves to.
func TestGuard_RealListener_DISC_08(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	client := New(nil)

	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "[::1]", "0.0.0.0"} {
		target := "http://" + host + ":" + port + "/jwks"
		_, err := client.Get(t.Context(), Request{URL: target, Limit: 100, Guarded: true})
		requireClass(t, err, DialRefused)

		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		require.NoError(t, err)
		resp, err := client.guarded.RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		require.ErrorIs(t, err, errPrivateAddress, "DISC-08: the control function let %s through", host)
		assert.Equal(t, DialRefused, classify(t.Context(), err))
	}
	assert.Zero(t, connections.Load(), "DISC-08: a connection was made")

	resp, err := client.Get(t.Context(), Request{URL: server.URL, Limit: 100})
	require.NoError(t, err)
	assert.Equal(t, "{}", string(resp.Body))
	assert.Equal(t, int32(1), connections.Load())
	// An idle connection of the trusted client must not serve the guarded one.
	_, err = client.Get(t.Context(), Request{URL: server.URL, Limit: 100, Guarded: true})
	requireClass(t, err, DialRefused)
}

// A custom transport is asked only for what does not look private.
func TestGuard_CustomTransport_DISC_08(t *testing.T) {
	asked := 0
	client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		asked++
		return answer(r, http.StatusOK, "{}"), nil
	}))
	_, err := client.Get(t.Context(), Request{URL: "https://[::ffff:10.0.0.1]/jwks", Limit: 100, Guarded: true})
	requireClass(t, err, DialRefused)
	assert.Zero(t, asked)
	_, err = client.Get(t.Context(), Request{URL: "https://keys.example.com/jwks", Limit: 100, Guarded: true})
	require.NoError(t, err)
	assert.Equal(t, 1, asked)
}

// A host that some library would turn into an address, or into another name, is
// never handed to a transport that resolves it: what was judged is what is dialed.
func TestGuard_OneSpelling_DISC_08_DISC_06(t *testing.T) {
	asked := 0
	client := New(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		asked++
		return answer(r, http.StatusOK, "{}"), nil
	}))
	for _, host := range []string{
		"\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610.0.1",
		"\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "loc\u00adalhost", "local\u017fost", "m\u00fcnchen.example",
		"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01", "127.0.0.1.", "1.2.3.4.5", "0", "0x", "keys.0x7f", "keys.1", "keys.1.",
		"%31%32%37.0.0.1", "127.0.0.1%2e", "a%20b", "localhost..", "..", ".", "a..b", "[::1%25lo]", "[::ffff:127.0.0.1%25x]",
	} {
		_, err := client.Get(t.Context(), Request{URL: "https://" + host + "/keys", Limit: 100, Guarded: true})
		var failed *Error
		if assert.ErrorAs(t, err, &failed, "DISC-08 %s", host) {
			assert.Contains(t, []Class{DialRefused, Network}, failed.Class, host) // what is no URL at all is not dialed either
		}
	}
	assert.Zero(t, asked, "DISC-08")
	for _, host := range []string{"keys.example.com", "KEYS.example.com.", "xn--mnchen-3ya.example", "93.184.215.14", "[2606:2800:21f:cb07::1]", "1.example", "0x7f.example", "keys.0xyz", "a1.b2", "login-1.example:8443", "a_b.example", "keys.example.com:"} {
		_, err := client.Get(t.Context(), Request{URL: "https://" + host + "/keys", Limit: 100, Guarded: true})
		assert.NoError(t, err, host)
	}
}

func TestSameOrigin(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		require.NoError(t, err)
		return u
	}
	issuer := parse("https://as.example.com/tenant1")
	assert.True(t, SameOrigin(parse("https://AS.example.com/jwks"), issuer))
	assert.True(t, SameOrigin(parse("https://AZ.example.com/"), parse("https://az.example.com/")), "from the first letter to the last")
	for _, other := range []string{
		"http://as.example.com/jwks", "https://as.example.com:8443/jwks", "https://as.example.com.evil.example/jwks", "https://example.com/jwks",
		"https://a\u017f.example.com/jwks",
	} {
		assert.False(t, SameOrigin(parse(other), issuer), "DISC-08 %s", other)
	}
}

// requireClass asserts the class of a failure, and that it can be printed.
func requireClass(t *testing.T, err error, class Class) *Error {
	t.Helper()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, class, failed.Class, "%v", err)
	require.Contains(t, err.Error(), string(class))
	require.True(t, strings.HasPrefix(err.Error(), "GET "+foreign.URL(failed.URL)))
	require.ErrorIs(t, err, failed.Err)
	return failed
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(body))}
}

// A name says nothing of where it leads: what was learned from a document goes through the transport
// that looks at the address dialed, and nothing else does.
func TestGuard_Transport_DISC_08(t *testing.T) {
	client := New(nil)
	for _, guarded := range []bool{true, false} {
		var asked []string
		recording := func(name string) http.RoundTripper {
			return roundTripFunc(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, name)
				return answer(r, http.StatusOK, "{}"), nil
			})
		}
		client.trusted, client.guarded = recording("trusted"), recording("guarded")
		_, err := client.Get(t.Context(), Request{URL: "https://keys.example.com/jwks", Limit: 100, Guarded: guarded})
		require.NoError(t, err)
		assert.Equal(t, map[bool][]string{true: {"guarded"}, false: {"trusted"}}[guarded], asked)
	}
}
