package introspect

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

func TestReadActive_INTRO_02_INTRO_11(t *testing.T) {
	for text, want := range map[string]bool{
		`{"active":true}`: true, `{"active":false}`: false, `{"active":"true"}`: false, `{"active":1}`: false, `{}`: false, `{"Active":true}`: false,
		`{"sub":"u","active":true,"x":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}`: true,
	} {
		active, err := readActive([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, want, active, text)
	}
	for _, text := range []string{``, `true`, `[]`, `{"active":true`, `{"active":true}{}`, `{"active":true,"active":true}`, `{"active":}`, `{"a":"\ud800"}`,
		`{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}`} {
		_, err := readActive([]byte(text))
		assert.ErrorIs(t, err, errAnswer, text)
	}
	for _, text := range []string{`true`, `[]`} {
		_, err := readActive([]byte(text))
		assert.ErrorIs(t, err, strictjson.ErrKind, "that is what the operator is told of %s", text)
	}
}

// Google's dialect, in both of its versions.
func TestReadTokeninfo_INTRO_19(t *testing.T) {
	asked := time.Unix(1000, 0)
	for text, want := range map[string]string{
		`{"aud":"a","azp":"z","sub":"u","scope":"s","exp":"2000","expires_in":"3","email":"e"}`: `{"aud":"a","azp":"z","exp":2000,"scope":"s","sub":"u"}`,
		`{"audience":"a","issued_to":"z","user_id":"u","scope":"s","expires_in":3}`:             `{"aud":"a","azp":"z","exp":1003,"scope":"s","sub":"u"}`,
		`{"aud":"a","audience":"b","exp":2000}`:                                                 `{"aud":"a","exp":2000}`,
		`{"exp":9007199254740991}`:                                                              `{"exp":9007199254740991}`,
	} {
		claims, denied, err := readTokeninfo([]byte(text), asked)
		require.NoError(t, err, text)
		assert.Nil(t, denied, text)
		assert.JSONEq(t, want, string(claims), text)
	}
	for text, what := range map[string]string{
		`{}`: "expires_in", `{"exp":""}`: "exp", `{"exp":"x"}`: "exp", `{"exp":"\""}`: "exp", `{"exp":-1}`: "exp", `{"exp":1.5}`: "exp", `{"exp":null,"expires_in":1}`: "exp",
		`{"exp":9007199254740992}`: "exp", `{"expires_in":"-3"}`: "expires_in", `{"exp":"1}`: "", `[]`: "",
	} {
		claims, denied, err := readTokeninfo([]byte(text), asked)
		assert.Nil(t, claims, text)
		if what == "" {
			assert.ErrorIs(t, err, errAnswer, text)
		} else if assert.NotNil(t, denied, text) {
			assert.Equal(t, what+" of the answer", denied.What, text)
		}
	}
}

func TestSaysInvalid_INTRO_19_INTRO_20(t *testing.T) {
	for _, row := range []struct {
		status int
		body   string
		want   bool
	}{
		{http.StatusBadRequest, `{"error":"invalid_token"}`, true},
		{http.StatusBadRequest, `{"error":"invalid_token","error_description":"x"}`, true},
		{http.StatusBadRequest, `{"error_description":"Invalid Value"}`, true},
		{http.StatusBadRequest, `{"error":"x","error_description":"Invalid Value"}`, false},
		{http.StatusBadRequest, `{"error_description":"x"}`, false},
		{http.StatusBadRequest, `{}`, false},
		{http.StatusBadRequest, `{"error":"invalid_token"`, false},
		{http.StatusUnauthorized, `{"error":"invalid_token"}`, false},
		{http.StatusOK, `{"error_description":"Invalid Value"}`, false},
	} {
		assert.Equal(t, row.want, saysInvalid(row.status, []byte(row.body)), row.body)
	}
}

// However an answer spells the token, what is kept of it does not have it, and means the same otherwise.
func TestWithoutToken_INTRO_13(t *testing.T) {
	const token = "abcdefgh-_~+/12="
	require.Len(t, token, 16)
	const hash = "sha256:"
	for text, hidden := range map[string]bool{
		`{"t":"` + token + `"}`:                                                  true,
		`{"t":"` + strings.ReplaceAll(token, "/", `\/`) + `"}`:                   true,
		`{"t":"` + strings.ReplaceAll(token, "=", `\u003d`) + `"}`:               true,
		`{"t":"` + strings.ReplaceAll(token, "a", `\u0061`) + `"}`:               true,
		`{"t":"\n` + strings.ReplaceAll(token, "a", `\u0061`) + `"}`:             true,
		`{"t":"abcdefgh-_~%2B%2F12%3D"}`:                                         true,
		`{"t":"\"","\u0061":"` + strings.ReplaceAll(token, "b", `\u0062`) + `"}`: true,
		`\{"t":"` + strings.ReplaceAll(token, "a", `\u0061`) + `"}`:              true, // no JSON either
		`{"t":"` + token[1:] + `"}`:                                              false,
	} {
		got := string(withoutToken([]byte(text), token))
		assert.Equal(t, hidden, strings.Contains(got, hash), text)
		assert.NotContains(t, got, token)
		assert.NotContains(t, got, "%2B%2F12%3D")
	}
	short := token[:15]
	assert.Equal(t, short, string(withoutToken([]byte(short), short)), "it may be a part of any other word")
	for text, want := range map[string]string{
		`{"a":"\u0022\u0041"}`: `{"a":"\u0022A"}`, `{"a":"\n\\u0041"}`: `{"a":"\n\\u0041"}`, `\u0041{"a":"\u0042"}`: `\u0041{"a":"B"}`,
		`{"a":"\u00`: `{"a":"\u00`, `{"a":"\u00zz\u0041"}`: `{"a":"\u00zz\u0041"}`, `"\`: `"\`, `"\u003D"`: `"="`, `"\u0020"`: `"\u0020"`,
		`{"a":"\u0041`: `{"a":"A`,
	} {
		assert.Equal(t, want, string(unescaped([]byte(text))), text)
	}
}

func TestIsOfOther_INTRO_16(t *testing.T) {
	for header, want := range map[string]bool{
		`{"enc":"x","iss":"i"}`: false, `{"enc":"x","iss":"j"}`: true, `{"iss":1}`: true, `{"ISS":"j"}`: true, `{"ISS":"j","iss":"i"}`: true, `{}`: false, `["iss"]`: false,
	} {
		assert.Equal(t, want, IsOfOther(base64.RawURLEncoding.EncodeToString([]byte(header))+".a.b.c.d", "i"), header)
	}
	assert.False(t, IsOfOther("opaque", "i"))
}
