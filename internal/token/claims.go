package token

import (
	"errors"
	"math"
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
	raw  []byte
	text string // raw, once more: short claims are parts of it and cost no copy of their own

	iss, sub                  text
	clientID, azp, cid, appid text
	jti, acr                  text
	aud                       []string
	audPresent                bool
	exp, nbf, iat, authTime   instant
	scope, scp                []byte // raw values
	amr                       []byte
	act                       []byte
	confirmed                 bool // cnf is there
	foreign                   bool // a mark of ID tokens or security events is there
	isID                      bool // it says itself that it is an ID token
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
	whole, fraction := math.Modf(min(t.seconds, lastInstant))
	return time.Unix(int64(whole), int64(fraction*1e9))
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
	c.raw, c.text = payload, string(payload)
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
		c.audPresent = true
		c.aud, err = readAudience(r, c.text)
	case "exp":
		return c.exp.read(r, "exp")
	case "nbf":
		return c.nbf.read(r, "nbf")
	case "iat":
		return c.iat.read(r, "iat")
	case "auth_time":
		err = c.authTime.readLenient(r)
	case "scope":
		c.scope, err = r.Skip()
	case "scp":
		c.scp, err = r.Skip()
	case "amr":
		c.amr, err = r.Skip()
	case "act":
		c.act, err = r.Skip()
	case "cnf":
		c.confirmed = true
		_, err = r.Skip()
	case "token_use", "typ": // of Cognito, of Keycloak
		var use text
		err = use.read(r, c.text)
		c.isID = c.isID || strings.EqualFold(use.value, "id")
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
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if t.present = err == nil && seconds >= 0 && seconds < maxInstant; t.present {
		t.seconds = seconds
	}
	return nil
}

// readAudience takes a string or an array of strings; anything else is no
// audience at all.
func readAudience(r *strictjson.Reader, payload string) ([]string, error) {
	if r.Kind() == strictjson.String {
		s, err := r.Text(payload)
		if err != nil || s == "" {
			return nil, err
		}
		return []string{s}, nil
	}
	raw, err := r.Skip()
	if err != nil {
		return nil, err
	}
	list, ok := stringOrList(raw)
	if !ok || slices.Contains(list, "") {
		return nil, nil
	}
	return list, nil
}

// stringOrList decodes a JSON string, or an array of nothing but strings. The
// text has been validated before.
func stringOrList(raw []byte) (list []string, ok bool) {
	var r strictjson.Reader
	r.Reset(raw, claimLimits)
	switch r.Kind() {
	case strictjson.String:
		s, err := r.String()
		return []string{string(s)}, err == nil
	case strictjson.Array:
		_ = r.Array() // an error stays, and Element returns it
		for {
			more, err := r.Element()
			if err != nil || !more {
				return list, err == nil
			}
			s, err := r.String()
			if err != nil {
				return nil, false
			}
			list = append(list, string(s))
		}
	}
	return nil, false
}

// lookup finds the value at a path.
func lookup(raw []byte, path Path) []byte { return strictjson.Lookup(raw, path, claimLimits) }

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

// at returns the raw value at a path, without a second pass for the usual ones.
func (c *claims) at(path Path) []byte {
	if len(path) == 1 {
		switch path[0] {
		case "scope":
			return c.scope
		case "scp":
			return c.scp
		}
	}
	return lookup(c.raw, path)
}
