package onbehalf

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// answer is what has become of one exchange.
type answer struct {
	failed  error // why there is nothing to judge
	outage  bool  // the failure is that of the endpoint, for everybody
	broken  bool  // it is our own
	actor   string
	secrets []string

	status      int
	header      http.Header
	code        string // error
	description string // error_description
	suberror    string
	claims      string
	token       issued
	duplicate   bool // two readers may read it differently

	dies time.Time // how long what was made of it is remembered; zero for not at all
}

// issued are the members of a successful answer.
type issued struct {
	accessToken, kind, issuedType string
	scope                         *string
	expiresIn                     json.RawMessage
}

func (a *answer) fail(err error) *answer {
	a.failed = err
	return a
}

// read reads an answer that has come as a whole. It is JSON, in which no name stands twice.
func (a *answer) read(body []byte) {
	said, err := readObject(body)
	a.duplicate = errors.Is(err, strictjson.ErrDuplicate)
	if a.failed = err; err != nil {
		return
	}
	a.failed = errors.Join(
		said.text("error", &a.code), said.text("error_description", &a.description), said.text("suberror", &a.suberror),
		said.text("access_token", &a.token.accessToken), said.text("token_type", &a.token.kind), said.text("issued_token_type", &a.token.issuedType),
	)
	if scope := said["scope"]; scope != nil && string(scope) != "null" && a.failed == nil {
		a.token.scope = new(string)
		a.failed = said.text("scope", a.token.scope)
	}
	a.token.expiresIn = said["expires_in"]
	if said.text("claims", &a.claims) != nil { // Entra has a text with JSON in it; others may have the JSON
		a.claims = string(said["claims"])
	}
}

// object are the members of a JSON object. They are looked up by their exact names, which Go's reader of structs
// does not do.
type object map[string]json.RawMessage

func readObject(text []byte) (o object, err error) {
	if err := strictjson.Valid(text, strictjson.Limits{}); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &o); err != nil || o == nil {
		return nil, errors.New("no JSON object")
	}
	return o, nil
}

// text reads a member that is a text, or leaves it as it is where there is none.
func (o object) text(name string, into *string) error {
	if raw := o[name]; raw != nil && string(raw) != "null" && json.Unmarshal(raw, into) != nil {
		return errors.New(name + " is no text")
	}
	return nil
}

// judge makes a token or an error of an answer.
func (e *Exchanger) judge(plan flightPlan, a *answer, now time.Time) (*oauth2.Token, *Error) {
	t := plan.target
	fail := func(kind Kind) (*oauth2.Token, *Error) {
		return nil, &Error{Target: t.name, Kind: kind, Code: known(a.code)}
	}
	switch {
	case a.broken:
		return fail(Misconfigured)
	case a.isOutage() && !(a.outage && t.outage.isRefuted(plan.begun)):
		_, err := fail(Unavailable)
		err.RetryAfter = t.outage.begin(now, retryAfter(a.header))
		return nil, err
	case a.duplicate:
		t.outage.end(now)
		return fail(Refused)
	case a.failed != nil && slices.Contains(turnedAway, a.status):
		a.code = ""
		return nil, e.refusal(plan, a, now)
	case a.status >= 500, a.failed != nil:
		_, err := fail(Unavailable) // of this one request: it says nothing about those of others
		err.RetryAfter = min(max(retryAfter(a.header), minBackoff), maxBackoff)
		a.dies = now.Add(err.RetryAfter)
		return nil, err
	}
	t.outage.end(now)
	if a.status != http.StatusOK {
		return nil, e.refusal(plan, a, now)
	}
	token, err := e.accept(plan, a, now)
	if err != nil {
		a.failed = err
		if errors.Is(err, errNarrow) {
			return nil, e.moreScope(plan, "")
		}
		return fail(Refused)
	}
	return token, nil
}

// isOutage reports whether everybody would be answered so.
func (a *answer) isOutage() bool {
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.outage || a.status >= 300 && a.status < 400 || a.code == "temporarily_unavailable"
}

// retryAfter reads Retry-After in seconds; 0 for none that can be read.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxBackoff/time.Second))) * time.Second
}

// codes are the registered error codes, and what is made of them.
var codes = map[string]Kind{
	"invalid_client":                   Misconfigured,
	"unauthorized_client":              Misconfigured,
	"invalid_target":                   Misconfigured,
	"unsupported_grant_type":           Misconfigured,
	"invalid_scope":                    MoreScope,
	"insufficient_scope":               MoreScope,
	"interaction_required":             Interaction,
	"consent_required":                 Interaction,
	"login_required":                   Interaction,
	"account_selection_required":       Interaction,
	"insufficient_user_authentication": Interaction,
	"invalid_grant":                    Refused,
	"invalid_request":                  Refused, // RFC 8693 section 2.2.2: also of a subject token that is not accepted
	"invalid_token":                    Refused,
	"access_denied":                    Refused,
	"server_error":                     Unavailable,
	"temporarily_unavailable":          Unavailable,
}

// interactive are the values of suberror, at Entra, that the user can do something about.
var interactive = []string{"basic_action", "additional_action", "consent_required", "user_password_expired"}

// turnedAway are the statuses of an endpoint that does not take this client, or is none.
var turnedAway = []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed}

// known keeps what an answer says from being anything else than a code.
func known(code string) string {
	if _, registered := codes[code]; registered {
		return code
	}
	return ""
}

// refusal makes an error of one that the endpoint has sent.
func (e *Exchanger) refusal(plan flightPlan, a *answer, now time.Time) *Error {
	kind, registered := codes[a.code]
	switch {
	case !registered && slices.Contains(turnedAway, a.status):
		kind = Misconfigured
	case !registered:
		kind = Refused
	case kind == Refused && slices.Contains(interactive, a.suberror):
		kind = Interaction
	case kind == MoreScope:
		return e.moreScope(plan, a.code)
	}
	err := &Error{Target: plan.target.name, Kind: kind, Code: known(a.code)}
	if kind == Unavailable {
		err.RetryAfter = max(retryAfter(a.header), minBackoff)
		a.dies = now.Add(err.RetryAfter)
	}
	if claims := a.claims; kind == Interaction && claims != "" && claims != "null" {
		err.claims = func() string { return claims }
	}
	return err
}

// moreScope is a challenge only where it helps: what the user's token has already is not asked for, and
// neither is anything twice.
func (e *Exchanger) moreScope(plan flightPlan, code string) *Error {
	t, p := plan.target, plan.from.principal
	err := &Error{Target: t.name, Kind: Refused, Code: known(code), hint: "its scopes are not to be had"}
	for _, scope := range t.StepUp {
		if !p.HasScope(scope) {
			err.Scopes = append(err.Scopes, scope)
		}
	}
	if len(err.Scopes) > 0 && e.memory.firstTold(plan.from.key, p.ClientID, time.Now()) {
		err.Kind, err.hint, err.Scopes = MoreScope, "", slices.Clone(t.StepUp)
		return err
	}
	err.Scopes = nil
	return err
}

// What is wrong with a token that was issued.
var (
	errNarrow = errors.New("the token has fewer scopes than were asked for")
	errPassed = errors.New("the token is the caller's own: the authorization server has exchanged nothing")
)

// accept checks a token before it is used, and says how long it is remembered.
func (e *Exchanger) accept(plan flightPlan, a *answer, now time.Time) (*oauth2.Token, error) {
	t, i := plan.target, &a.token
	expiry, err := i.expiry(now)
	switch {
	case err != nil:
		return nil, err
	case a.code != "" || i.accessToken == "" || !isToken(i.accessToken):
		return nil, errors.New("the answer has no access_token that can be sent")
	case !strings.EqualFold(i.kind, "Bearer"):
		return nil, errors.New("token_type is not Bearer")
	case !slices.Contains([]string{"", "urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"}, i.issuedType):
		return nil, errors.New("issued_token_type is not that of an access token")
	case i.accessToken == plan.from.token || signed(i.accessToken) == signed(plan.from.token):
		return nil, errPassed
	}
	if !t.Opaque {
		exp, err := t.look(i.accessToken, plan, a, now)
		if err != nil {
			return nil, err
		}
		if expiry.IsZero() || !exp.IsZero() && exp.Before(expiry) {
			expiry = exp
		}
	}
	if i.scope != nil && !t.granted(*i.scope) {
		return nil, errNarrow
	}
	if !expiry.IsZero() {
		life := min(expiry.Sub(now), plan.from.principal.Expiry.Sub(now)) - earlier
		a.dies = now.Add(min(life, maxLife))
	}
	return &oauth2.Token{AccessToken: i.accessToken, TokenType: "Bearer", Expiry: expiry}, nil
}

// signed is a token without its signature, whose spelling may have been changed.
func signed(token string) string {
	if strings.Count(token, ".") != 2 {
		return token
	}
	return token[:strings.LastIndexByte(token, '.')]
}

// isToken is what a header field can carry (RFC 6750 section 2.1).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// expiry reads expires_in: a number, or digits in a text as Entra's older endpoint has it.
func (i *issued) expiry(now time.Time) (time.Time, error) {
	text := strings.Trim(string(i.expiresIn), `"`)
	if text == "" || text == "null" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds <= 0 {
		return time.Time{}, errors.New("expires_in is no time to come")
	}
	return now.Add(time.Duration(seconds) * time.Second), nil
}

// granted reports whether nothing is missing of what was asked for. Entra writes a scope without the API's
// identifier, and ".default" stands for whatever there is.
func (t *target) granted(scope string) bool {
	has := strings.Fields(scope)
	for _, asked := range t.scopes {
		short := asked[strings.LastIndexByte(asked, '/')+1:]
		switch {
		case slices.Contains(has, asked):
		case slices.Contains([]string{"openid", "profile", "email", "offline_access"}, asked):
		case t.Grant == EntraOBO && (short == ".default" || slices.ContainsFunc(has, func(s string) bool {
			return strings.EqualFold(s, asked) || strings.EqualFold(s[strings.LastIndexByte(s, '/')+1:], short)
		})):
		default:
			return false
		}
	}
	return true
}

// look checks what a JWT says of itself. Its signature is the business of the API: it came over TLS from the
// endpoint that was asked.
func (t *target) look(token string, plan flightPlan, a *answer, now time.Time) (exp time.Time, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return exp, errors.New("the token is no JWT: set Target.Opaque if that is meant")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	var claims object
	if err == nil {
		claims, err = readObject(payload)
	}
	if err != nil {
		return exp, errors.New("the token is no JWT that can be read: set Target.Opaque if that is meant")
	}
	var audiences []string
	if json.Unmarshal(claims["aud"], &audiences) != nil {
		var one string
		_ = json.Unmarshal(claims["aud"], &one)
		audiences = []string{one}
	}
	if !slices.ContainsFunc(audiences, func(s string) bool { return slices.Contains(t.audiences, s) }) {
		return exp, errors.New("aud of the token is not the target: correct Target.Audiences, or what the authorization server issues")
	}
	if raw := claims["exp"]; raw != nil {
		seconds, err := strconv.ParseFloat(string(raw), 64)
		if exp = time.Unix(int64(seconds), 0); err != nil || !exp.After(now) || seconds > 1<<40 {
			return exp, errors.New("exp of the token is no time to come")
		}
	}
	var subject, actor string
	_ = claims.text("sub", &subject)
	if act, err := readObject(claims["act"]); err == nil {
		_ = act.text("sub", &actor)
	}
	switch {
	case t.Actor != nil && actor != a.actor:
		return exp, errors.New("act of the token does not name the actor")
	case t.SameSubject && subject != plan.from.principal.Subject:
		return exp, errors.New("sub of the token is not the caller's")
	}
	return exp, nil
}
