package owned

import (
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
	for _, id := range []string{"1", "a.b", strings.Repeat("~", maxSessionID)} {
		sealed, ok := s.Seal(c, id)
		require.True(t, ok)
		got, ok := s.Open(c, sealed)
		assert.True(t, ok)
		assert.Equal(t, id, got)
		_, ok = s.Open(other, sealed)
		assert.False(t, ok)
		_, ok = NewSessions([32]byte{2}).Open(c, sealed)
		assert.False(t, ok, "another key")
		for _, changed := range []string{sealed + "A", sealed[1:], sealed[:len(sealed)-1], strings.Replace(sealed, "."+sealed[len(id)+1:], "", 1)} {
			_, ok = s.Open(c, changed)
			assert.False(t, ok)
		}
	}
	for _, id := range []string{"", " ", "a b", "\x7f", "\u00e9", strings.Repeat("a", maxSessionID+1)} {
		_, ok := s.Seal(c, id)
		assert.False(t, ok, "%.10q", id)
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
	}
}
