package challenge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"

func TestFormat(t *testing.T) {
	for _, row := range []struct {
		name   string
		scheme string
		params []Param
		want   string
	}{
		{"CHAL-02 bare challenge has no error parameters", "Bearer",
			[]Param{{"error", ""}, {"error_description", ""}, {"resource_metadata", metadata}, {"scope", "mcp:read"}},
			`Bearer resource_metadata="` + metadata + `", scope="mcp:read"`},
		{"CHAL-04 insufficient scope", "Bearer",
			[]Param{{"error", "insufficient_scope"}, {"scope", "mcp:admin"}, {"resource_metadata", metadata}},
			`Bearer error="insufficient_scope", scope="mcp:admin", resource_metadata="` + metadata + `"`},
		{"CHAL-10 quote and backslash escaped, nothing else", "Bearer",
			[]Param{{"realm", `say "hi" \ 'ok', a=b`}},
			`Bearer realm="say \"hi\" \\ 'ok', a=b"`},
		{"CHAL-10 header injection", "Bearer",
			[]Param{{"error_description", "x\r\nSet-Cookie: a=b"}},
			`Bearer error_description="x??Set-Cookie: a=b"`},
		{"CHAL-10 controls, non-ASCII and broken UTF-8", "Bearer",
			[]Param{{"realm", "\x00\t\x7f\u00e9\u2028\xff~"}},
			`Bearer realm="??????~"`},
		{"CHAL-10 parameter injection stays inside its value", "Bearer",
			[]Param{{"scope", `a", resource_metadata="https://evil.example`}, {"resource_metadata", metadata}},
			`Bearer scope="a\", resource_metadata=\"https://evil.example", resource_metadata="` + metadata + `"`},
		{"CHAL-10 each name once, first one stays, whatever its case", "Bearer",
			[]Param{{"scope", "a"}, {"Scope", "b"}, {"error", ""}, {"error", "invalid_token"}},
			`Bearer scope="a", error="invalid_token"`},
		{"CHAL-10 names that are no tokens are dropped", "Bearer",
			[]Param{{"", "x"}, {"a b", "x"}, {"a\r\n", "x"}, {"\u00e9", "x"}, {`a"`, "x"}, {"ok", "x"}},
			`Bearer ok="x"`},
		{"CHAL-12 one scheme makes one line, never joined", "DPoP",
			[]Param{{"algs", "ES256, Bearer x=\"y\""}},
			`DPoP algs="ES256, Bearer x=\"y\""`},
		{"CHAL-12 scheme alone", "Negotiate", nil, "Negotiate"},
		{"CHAL-12 scheme must be a token", "Bearer realm", []Param{{"a", "b"}}, ""},
		{"CHAL-12 scheme must not be empty", "", []Param{{"a", "b"}}, ""},
		{"CHAL-12 scheme with a line break", "Bearer\r\nX:", []Param{{"a", "b"}}, ""},
		{"CHAL-26 realm only when given, quoted", "Bearer", []Param{{"realm", "mcp"}}, `Bearer realm="mcp"`},
		{"CHAL-26 no realm of its own", "Bearer", []Param{{"error", "invalid_token"}}, `Bearer error="invalid_token"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Format(row.scheme, row.params...)
			assert.Equal(t, row.want, got)
			if row.want != "" {
				_, err := parse(got)
				assert.NoError(t, err)
			}
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	assert.Equal(t, `x: Bearer a="b"`, string(Append([]byte("x: "), "Bearer", Param{"a", "b"})))
	assert.Equal(t, "x: ", string(Append([]byte("x: "), "no token", Param{"a", "b"})))
}

func TestCHAL_27_SameInputSameBytes(t *testing.T) {
	params := []Param{{"error", "invalid_token"}, {"error_description", "token expired"},
		{"scope", JoinScopes([]string{"b", "a", "b"})}, {"resource_metadata", metadata}}
	want := `Bearer error="invalid_token", error_description="token expired", scope="b a", resource_metadata="` + metadata + `"`
	for range 100 {
		require.Equal(t, want, Format("Bearer", params...))
	}
}

func TestCHAL_29_ChallengeCrossesHTTP2(t *testing.T) {
	want := Format("Bearer", Param{"error_description", "\x00\r\n\u00e9\x7f\\\""}, Param{"resource_metadata", metadata})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", want)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, 2, response.ProtoMajor)
	assert.Equal(t, []string{want}, response.Header["Www-Authenticate"])
}

func TestCHAL_11_Description(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"CHAL-11 plain", "token expired", "token expired"},
		{"CHAL-11 quote and backslash", `say "hi" \ ok`, `say 'hi' / ok`},
		{"CHAL-11 injection", "\u00e9\r\nX: 1", "???X: 1"},
		{"CHAL-11 controls and broken UTF-8", "\x00\x1f\x7f\xff", "????"},
		{"CHAL-11 edges of the charset", " !#[]~", " !#[]~"},
		{"CHAL-11 200 bytes pass", strings.Repeat("a", 200), strings.Repeat("a", 200)},
		{"CHAL-11 201 bytes are cut", strings.Repeat("a", 200) + "b", strings.Repeat("a", 200)},
		{"CHAL-11 the limit counts what is written", strings.Repeat("\u20ac", 300), strings.Repeat("?", 200)},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, Description(row.in))
		})
	}
}

func TestCHAL_09_ValidScope(t *testing.T) {
	for _, row := range []struct {
		in   string
		want bool
	}{
		{"mcp:read", true}, {"api://id/scope", true}, {"!#[]~", true}, {strings.Repeat("a", 256), true},
		{"", false}, {"a b", false}, {" ", false}, {`a"b`, false}, {`a\b`, false}, {"a\tb", false}, {"a\r\n", false},
		{"a\x00", false}, {"a\x7f", false}, {"\u00e9", false}, {"\xff", false}, {strings.Repeat("a", 257), false},
	} {
		assert.Equal(t, row.want, ValidScope(row.in), "%q", row.in)
	}
}

func TestCHAL_09_JoinScopes(t *testing.T) {
	for _, row := range []struct {
		in   []string
		want string
	}{
		{nil, ""},
		{[]string{"mcp:read"}, "mcp:read"},
		{[]string{"b", "a", "b", "a", "c"}, "b a c"},
		{[]string{"A", "a"}, "A a"},
		{[]string{"", "a b", `"`, "a", "\r\n"}, "a"},
	} {
		assert.Equal(t, row.want, JoinScopes(row.in), "%q", row.in)
	}
}

// The first and the last of each range of RFC 9110 section 5.6.2, and what stands beside them in ASCII.
func TestIsToken_CHAL_11(t *testing.T) {
	for c := range 256 {
		want := strings.Contains("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", string([]byte{byte(c)}))
		assert.Equal(t, want, isToken(string([]byte{byte(c)})), "%q", c)
	}
	assert.False(t, isToken(""))
}
