package token

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// claims is what one pass over a token's payload collects. Nothing in it is
// trusted before the signature has been verified.
type claims struct {
	written // the payload: what is kept of the claims are parts of its text

	iss, sub                  text
	clientID, azp, cid, appid text
	jti, acr                  text
	aud                       []string
	audPresent                bool
	exp, nbf, iat, authTime   instant
	scope, scp, amr, act      written
	cnf                       []byte // nil for none
	foreign                   bool   // a mark of ID tokens or security events is there
	isID                      bool   // it says itself that it is an ID token

	// Of what an authorization server says of a token that only it can read.
	answered  bool
	endless   bool // it says nothing of an end
	tokenType text
	refresh   bool // it is a refresh token
	ofUser    bool // there is a username
}

// text is a string claim.
type text struct {
	value   string
	present bool // as a string
	wrong   bool // there, but not a string
}

// instant is a NumericDate (RFC 7519 section 2), seconds since the epoch.
type instant struct {
	seconds float64
	present bool
}

func (t instant) time() time.Time {
	if !t.present {
		return time.Time{}
	}
	seconds := min(t.seconds, lastInstant)
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*1e9))
}

// lastInstant is 9999-12-31T00:00:00Z, in every time zone a day that RFC 3339 can
// write. What lies beyond counts as this, so that every Principal can be encoded.
const lastInstant = 253402214400

// maxInstant is 2^53: beyond it a JSON number is not exact.
const maxInstant = 1 << 53

// maxClaimDepth bounds the nesting of the claims.
const maxClaimDepth = 16

// claimLimits bound the payload of a token, which is 12 KiB at the most: it has no
// room for as many members as a text may have anywhere.
var claimLimits = strictjson.Limits{Depth: maxClaimDepth, StrictStrings: true}

// readAll reads the payload in one pass: one strict JSON object. Claims of
// the wrong type that decide whether the token is good make it bad; the
// others count as absent.
func (c *claims) readAll(payload []byte) *refusal.Refusal {
	c.written = written{payload, string(payload)}
	var r strictjson.Reader
	r.Reset(payload, claimLimits)
	if err := r.Object(); err != nil {
		return denyClaims("claims", err)
	}
	for {
		name, more, err := r.Member()
		if err != nil {
			return denyClaims("claims", err)
		}
		if !more {
			break
		}
		if denied := c.member(&r, name); denied != nil {
			return denied
		}
	}
	if err := r.End(); err != nil {
		return denyClaims("claims", err)
	}
	return nil
}

// denyClaims tells a payload beyond the limits from one that is no JSON object.
func denyClaims(what string, err error) *refusal.Refusal {
	if errors.Is(err, strictjson.ErrDepth) || errors.Is(err, strictjson.ErrMembers) {
		return refusal.For(refusal.TokenTooComplex, what, err)
	}
	return refusal.For(refusal.MalformedToken, what, err)
}

// member takes one claim.
func (c *claims) member(r *strictjson.Reader, name []byte) *refusal.Refusal {
	var err error
	switch string(name) {
	case "iss":
		err = c.iss.read(r, c.text)
	case "sub":
		err = c.sub.read(r, c.text)
	case "client_id":
		err = c.clientID.read(r, c.text)
	case "azp":
		err = c.azp.read(r, c.text)
	case "cid":
		err = c.cid.read(r, c.text)
	case "appid":
		err = c.appid.read(r, c.text)
	case "jti":
		err = c.jti.read(r, c.text)
	case "acr":
		err = c.acr.read(r, c.text)
	case "aud":
		err = c.readAudience(r)
	case "exp":
		return c.exp.read(r, "exp")
	case "nbf":
		return c.nbf.read(r, "nbf")
	case "iat":
		return c.iat.read(r, "iat")
	case "auth_time":
		err = c.authTime.readLenient(r)
	case "scope":
		c.scope, err = c.next(r)
	case "scp":
		c.scp, err = c.next(r)
	case "amr":
		c.amr, err = c.next(r)
	case "act":
		c.act, err = c.next(r)
	case "cnf":
		c.cnf, err = r.Skip()
	case "token_use", "typ": // of Cognito, of Keycloak
		var use text
		err = use.read(r, c.text)
		c.isID = c.isID || strings.EqualFold(use.value, "id")
		c.refresh = c.refresh || isRefresh(use.value)
	case "username":
		err = c.readUser(r)
	case "token_type":
		err = c.tokenType.read(r, c.text)
	case "nonce", "at_hash", "c_hash", "s_hash", "events":
		c.foreign = true
		_, err = r.Skip()
	default:
		_, err = r.Skip()
	}
	if err != nil {
		return denyClaims("claim "+foreign.Quote(string(name)), err)
	}
	return nil
}

func (t *text) read(r *strictjson.Reader, payload string) error {
	if r.Kind() != strictjson.String {
		t.wrong = true
		_, err := r.Skip()
		return err
	}
	s, err := r.Text(payload)
	t.value, t.present = s, err == nil
	return err
}

// read takes a NumericDate: a JSON number, not negative, below 2^53.
func (t *instant) read(r *strictjson.Reader, name string) *refusal.Refusal {
	if r.Kind() != strictjson.Number {
		if _, err := r.Skip(); err != nil {
			return denyClaims(name, err)
		}
		return refusal.New(refusal.Claims, name, "", "a JSON number")
	}
	if err := t.readLenient(r); err != nil {
		return denyClaims(name, err)
	}
	if !t.present {
		return refusal.New(refusal.Claims, name, "", "seconds since 1970, below 2^53")
	}
	return nil
}

// readLenient is read for an instant that does not decide whether the token is good: one
// of another type, or out of range, counts as absent.
func (t *instant) readLenient(r *strictjson.Reader) error {
	if r.Kind() != strictjson.Number {
		_, err := r.Skip()
		return err
	}
	raw, err := r.Number()
	if err != nil {
		return err
	}
	seconds, ok := number(raw)
	if t.present = ok && seconds >= 0 && seconds < maxInstant; t.present {
		t.seconds = seconds
	}
	return nil
}

// number is the value of a JSON number. That of digits alone, as nearly all are, is exact while it may be an instant.
func number(raw []byte) (value float64, ok bool) {
	whole := int64(0)
	for _, c := range raw {
		if c-'0' > 9 || whole >= maxInstant {
			value, err := strconv.ParseFloat(string(raw), 64)
			return value, err == nil
		}
		whole = 10*whole + int64(c-'0')
	}
	return float64(whole), true
}

// readUser takes note that an answer names a user (RFC 7662 section 2.2). Who it is, sub alone says.
func (c *claims) readUser(r *strictjson.Reader) error {
	if !c.answered || r.Kind() == strictjson.Null {
		_, err := r.Skip()
		return err
	}
	var user text
	err := user.read(r, c.text)
	c.ofUser = user.wrong || user.value != ""
	return err
}

// readAudience takes a string or an array of strings; anything else is no
// audience at all.
func (c *claims) readAudience(r *strictjson.Reader) error {
	c.audPresent = true
	value, err := c.next(r)
	if list, ok := value.list(); ok && !slices.Contains(list, "") {
		c.aud = list
	}
	return err
}

// memberNames lists the names of an object's members.
func memberNames(raw []byte) (names []string) {
	var r strictjson.Reader
	r.Reset(raw, claimLimits)
	if r.Object() != nil {
		return nil
	}
	for {
		name, more, err := r.Member()
		if err != nil || !more {
			return names
		}
		names = append(names, string(name))
		_, _ = r.Skip()
	}
}

// at returns the value at a path, without a second pass for the usual ones.
func (c *claims) at(path Path) written {
	if len(path) == 1 {
		switch path[0] {
		case "scope":
			return c.scope
		case "scp":
			return c.scp
		}
	}
	return c.written.at(path)
}
