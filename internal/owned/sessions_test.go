package owned

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A session id opens for the one for whom it was sealed, and for nobody else.
func TestSessions_SESS_02_SESS_06_SESS_08(t *testing.T) {
	s := NewSessions([32]byte{1})
	c := Caller{Issuer: "https://as.example.com", Subject: "u", ClientID: "c"}
	other := c
	other.ClientID = "d"
	for _, id := range []string{"1", "a.b", "!~", strings.Repeat("~", maxSessionID)} {
		sealed, ok := s.Seal(c, id)
		require.True(t, ok)
		got, ok := s.Open(c, sealed)
		assert.True(t, ok)
		assert.Equal(t, id, got)
		_, ok = s.Open(other, sealed)
		assert.False(t, ok)
		_, ok = NewSessions([32]byte{2}).Open(c, sealed)
		assert.False(t, ok, "another key")
		for _, changed := range []string{sealed + "A", sealed[1:], sealed[:len(sealed)-1], strings.Replace(sealed, "."+sealed[len(id)+1:], "", 1), id + "-" + s.mac(c, "session", id)} {
			_, ok = s.Open(c, changed)
			assert.False(t, ok)
		}
	}
	for _, id := range []string{"", " ", "a b", "\x7f", "\u00e9", strings.Repeat("a", maxSessionID+1)} {
		_, ok := s.Seal(c, id)
		assert.False(t, ok, "%.10q", id)
	}
}

// A longer id than any that was sealed does not open, whoever made the tag.
func TestLongSession_SESS_02(t *testing.T) {
	s, c := NewSessions([32]byte{1}), Caller{Subject: "u"}
	for length, want := range map[int]bool{4096: true, 4097: false} {
		id := strings.Repeat("a", length)
		_, ok := s.Open(c, id+"."+s.mac(c, "session", id))
		assert.Equal(t, want, ok)
		_, ok = s.Seal(c, id)
		assert.Equal(t, want, ok)
	}
}

// What is like an endpoint that was announced, where proxies rewrite what stands in front of it.
func TestLikeEndpoint_SESS_04_LIMITS_13(t *testing.T) {
	const id = "0123456789abcdef"
	many := "/many?"
	for i := range 64 {
		many += fmt.Sprintf("p%d=1&", i)
	}
	long := strings.Repeat("x", 256-len("m?"))
	for _, row := range []struct {
		name, announced, asked string
		needs, free            []string // a tag
	}{
		{"by a parameter", "/message?sid=1", "", []string{"/message?sid=2", "/api/message?sid=2", "message?sid=2", "/message?x=1&SID=2", "/message?x=1;sid=2", "/message?s%69d=2"},
			[]string{"/message", "/message?x=1", "/other?sid=2", "/other", "/sid", "/message/?sid=2"}},
		{"by one of several", "/v1/message?x=1&sid=1", "x=7", []string{"/v2/message?sid=1", "/message?sid"}, []string{"/message?x=1"}},
		{"by a name that cannot be decoded", "/message?%zz=1", "", []string{"/message?%ZZ=1"}, []string{"/message?zz=1"}},
		{"by a path", "/v1/" + id, "", []string{"/v1/fedcba9876543210", "/api/v1/fedcba9876543210", "v1/fedcba9876543210?x=1"}, []string{"/v1/" + id[1:], "/v2/" + id, "/" + id, "/v1/x/" + id}},
		{"by a path, of a client that asks with a name of nothing", "/v1/" + id, "=1", []string{"/v1/" + id}, nil},
		{"by a short path", "/v1/" + id[1:], "", nil, []string{"/v1/" + id[1:], "/v1/" + id}},
		{"by a path without a slash", id, "", []string{"/" + id, id}, []string{"/v1/" + id}},
		{"named, with another parameter", "/message?sessionId=1&x=2", "", []string{"/message?sessionId=1"}, []string{"/message?x=2"}},
		{"as many as are remembered, and one more", many + "q=1&r=1", "", []string{"/many?p0=1", "/many?p63=1"}, []string{"/many?q=1", "/many?r=1"}},
		{"as long as is remembered", "/m?" + long, "", []string{"/m?" + long + "=1"}, nil},
		{"longer, and what comes behind it", "/m?x" + long + "=1&y=1", "", nil, []string{"/m?x" + long + "=1", "/m?y=1"}},
		{"longer in front of an id", "/" + strings.Repeat("a", 256) + "/" + id + "?y=1", "", nil, []string{"/" + strings.Repeat("a", 256) + "/" + id, "/" + id + "?y=1"}},
	} {
		s, c := NewSessions([32]byte{1}), Caller{Subject: "u"}
		s.SealEndpoint(c, row.asked, row.announced)
		for want, references := range map[bool][]string{false: row.needs, true: row.free} {
			for _, reference := range references {
				u, err := url.Parse(reference)
				require.NoError(t, err)
				_, _, ok := s.OpenEndpoint(c, u)
				assert.Equal(t, want, ok, "%s: %s", row.name, reference)
			}
		}
		s.SealEndpoint(c, "", "/later?z=1") // nobody holds what the next one needs
	}
}

// What looks like an endpoint that was announced opens with the tag alone, and for the one who was told it.
func TestEndpoints_SESS_04_ISOL_09(t *testing.T) {
	c, other := Caller{Subject: "u"}, Caller{Subject: "v"}
	for _, row := range []struct {
		name, reference, asked string
		needs                  bool // a request without a tag is refused
	}{
		{"named", "/message?sessionId=1", "", true},
		{"named in another spelling", "/message?Session_ID=1", "", true},
		{"by a parameter", "/message?sid=1", "", true},
		{"by a path", "/v1/0123456789abcdef", "", true},
		{"by nothing", "/message", "", false},
		{"the client's own parameter", "/message?color=red", "color=red", false},
	} {
		s := NewSessions([32]byte{1})
		sealed, tag := s.SealEndpoint(c, row.asked, row.reference)
		require.True(t, strings.HasSuffix(sealed, "mcpauth="+tag), row.name)
		u, err := url.Parse(sealed)
		require.NoError(t, err)
		assert.True(t, HasEndpointTag(u.RawQuery))
		bare, err := url.Parse(row.reference)
		require.NoError(t, err)
		query, opened, ok := s.OpenEndpoint(c, u)
		assert.True(t, ok, row.name)
		assert.Equal(t, tag, opened)
		assert.Equal(t, bare.RawQuery, query)
		_, _, ok = s.OpenEndpoint(other, u)
		assert.False(t, ok, row.name)
		query, opened, ok = s.OpenEndpoint(c, bare)
		assert.Equal(t, !row.needs, ok, row.name)
		assert.Empty(t, opened)
		if ok {
			assert.Equal(t, bare.RawQuery, query)
		}
		later := NewSessions([32]byte{2}, [32]byte{1})
		_, again := later.SealEndpoint(c, row.asked, row.reference)
		query, opened, ok = later.OpenEndpoint(c, u)
		assert.True(t, ok, row.name)
		assert.Equal(t, again, opened, "an endpoint is one, also by the tag that it had under an old key")
		assert.Equal(t, bare.RawQuery, query)
	}
}
