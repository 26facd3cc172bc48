package introspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Bounds of what an authorization server says of a token. The depth is that of the claims of a JWT.
const (
	maxAnswer      = 64 << 10 // bytes
	maxAnswerDepth = 16
)

var answerLimits = strictjson.Limits{Depth: maxAnswerDepth, StrictStrings: true}

// errAnswer is an answer that cannot be read: it says nothing about the token.
var errAnswer = errors.New("the answer is not one well-formed JSON object")

// readActive reads an answer (RFC 7662 section 2.2) and reports whether it says that the token is
// active. Anything but true says that it is not.
func readActive(body []byte) (active bool, err error) {
	err = eachMember(body, func(name string, raw []byte) {
		if name == "active" {
			active = string(raw) == "true"
		}
	})
	return active, err
}

// eachMember reads one strict JSON object.
func eachMember(body []byte, member func(name string, raw []byte)) error {
	r := strictjson.NewReader(body, answerLimits)
	if err := r.Object(); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	for {
		nameBytes, more, err := r.Member()
		name := string(nameBytes)
		var raw []byte
		if err == nil && more {
			raw, err = r.Skip()
		}
		if err == nil && !more {
			err = r.End()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errAnswer, err)
		}
		if !more {
			return nil
		}
		member(name, raw)
	}
}

// tokeninfo are the members of Google's dialect that say something about the token, by the claims
// that they stand for: of a name of the present version, or of the first one if that is absent.
var tokeninfo = []struct{ claim, name, first string }{
	{"aud", "aud", "audience"}, {"azp", "azp", "issued_to"}, {"sub", "sub", "user_id"}, {"scope", "scope", "scope"},
	{"exp", "exp", "exp"}, {"expires_in", "expires_in", "expires_in"},
	{"cnf", "cnf", "cnf"}, {"token_type", "token_type", "token_type"}, // a bound token is none for the bearer, whoever says so
}

// readTokeninfo makes claims of an answer of Google's dialect, which has numbers as decimal texts. That
// it answers at all says that the token is active.
func readTokeninfo(body []byte, asked time.Time) (claims []byte, denied *refusal.Refusal, err error) {
	members := map[string]json.RawMessage{}
	if err = eachMember(body, func(name string, raw []byte) { members[name] = raw }); err != nil {
		return nil, nil, err
	}
	out := map[string]any{}
	for _, m := range tokeninfo {
		raw, ok := members[m.name]
		if !ok {
			raw, ok = members[m.first]
		}
		if ok {
			out[m.claim] = raw
		}
	}
	name, base := "exp", int64(0)
	if out["exp"] == nil {
		name, base = "expires_in", asked.Unix()
	}
	seconds, ok := decimal(out[name])
	if !ok {
		return nil, refusal.New(refusal.Claims, name+" of the answer", "", "seconds, as a decimal number"), nil
	}
	delete(out, "expires_in")
	out["exp"] = base + seconds
	claims, err = json.Marshal(out)
	return claims, nil, err
}

// decimal reads a number that is written as such or as a text.
func decimal(raw any) (int64, bool) {
	text, _ := raw.(json.RawMessage)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	seconds, err := strconv.ParseUint(string(text), 10, 53)
	return int64(seconds), err == nil
}

// saysInvalid reports whether an answer of Google's dialect says that there is no such token: by a code, or by nothing but
// the description.
func saysInvalid(status int, body []byte) bool {
	said := map[string]string{}
	err := eachMember(body, func(name string, raw []byte) { said[name] = string(raw) })
	code, coded := said["error"]
	return status == http.StatusBadRequest && err == nil &&
		(code == `"invalid_token"` || !coded && said["error_description"] == `"Invalid Value"`)
}

// minEchoed is from what length on a token is looked for in the answer to the question about it.
const minEchoed = 16

// withoutToken puts a hash in place of the token where an answer repeats it: what is kept of the answer must not lead to
// it, and what stands around it must make no other name.
func withoutToken(body []byte, token string) []byte {
	if len(token) < minEchoed {
		return body
	}
	if bytes.IndexByte(body, '\\') >= 0 {
		body = unescaped(body)
	}
	for _, spelled := range []string{token, url.QueryEscape(token)} {
		if bytes.Contains(body, []byte(spelled)) {
			sum := sha256.Sum256([]byte(token))
			body = bytes.ReplaceAll(body, []byte(spelled), []byte("sha256:"+base64.RawURLEncoding.EncodeToString(sum[:])))
		}
	}
	return body
}

// unescaped writes the characters of tokens as themselves in the texts of an answer, which means the same.
func unescaped(body []byte) []byte {
	out, inText := make([]byte, 0, len(body)), false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && inText && i+1 < len(body):
			plain, size := unescape(body[i:])
			out = append(out, plain...)
			i += size - 1
		case c == '"':
			inText = !inText
			fallthrough
		default:
			out = append(out, c)
		}
	}
	return out
}

// unescape returns what an escape stands for, if that can be a part of a token, and the escape as it is otherwise.
func unescape(text []byte) (plain []byte, size int) {
	switch text[1] {
	case '/':
		return text[1:2], 2
	case 'u':
		code, err := strconv.ParseUint(string(text[2:min(6, len(text))]), 16, 16)
		if err != nil || len(text) < 6 { // no JSON: what follows must not make it one
			return text, len(text)
		}
		if c := string(rune(code)); c == "=" || IsToken(c) {
			return []byte(c), 6
		}
		return text[:6], 6
	}
	return text[:2], 2
}
