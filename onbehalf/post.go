package onbehalf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// maxAnswer bounds what is read of an answer of the token endpoint, in bytes.
const maxAnswer = 64 << 10

// place is the token endpoint, and whether its address may be a private one.
type place struct {
	url     string
	private bool
}

// endpoint finds the token endpoint. Where it is not typed it stands in the metadata of the issuer that made the
// token, as the wrapper has fetched it.
func (e *Exchanger) endpoint(ctx context.Context, t *target) (at place, failed *Error) {
	if e.typed != nil {
		return place{e.typed.String(), true}, nil
	}
	document, private, err := onward.Metadata(ctx)
	switch {
	case errors.Is(err, onward.ErrOver), errors.Is(err, onward.ErrNone):
		return at, e.asError(t, err)
	case err != nil:
		e.complain(t, "the authorization server's metadata, which names the token endpoint, cannot be had", err.Error())
		return at, &Error{Target: t.name, Kind: Unavailable, RetryAfter: minBackoff}
	}
	u := e.endpointURL(strictjson.MemberText(document, "token_endpoint", strictjson.Limits{}))
	if u == nil {
		e.complain(t, "the authorization server's metadata names no token endpoint to which a secret may go: set Config.TokenURL", "")
		return at, &Error{Target: t.name, Kind: Misconfigured}
	}
	if !private && !(e.config.AllowInsecureLoopback && fetch.IsLoopbackHost(u.Hostname())) && fetch.IsPrivateHost(u.Hostname()) {
		e.complain(t, "the authorization server's metadata names a token endpoint at a private address: set mcpauth.Issuer.AllowPrivate or Config.TokenURL", "")
		return at, &Error{Target: t.name, Kind: Misconfigured}
	}
	return place{u.String(), private || fetch.IsLoopbackHost(u.Hostname())}, nil
}

// poster makes the connections to the token endpoint.
type poster struct{ trusted, guarded http.RoundTripper }

func newPoster(custom http.RoundTripper) poster {
	if custom != nil {
		return poster{custom, custom}
	}
	trusted := &http.Transport{
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: flightTimeout, ResponseHeaderTimeout: flightTimeout,
		MaxResponseHeaderBytes: maxAnswer, DisableKeepAlives: true, // one that has died in silence would be used until somebody notices
	}
	return poster{trusted, fetch.GuardedTransport()}
}

// ask sends one exchange and reads the answer.
func (e *Exchanger) ask(ctx context.Context, plan flightPlan) *answer {
	a := &answer{secrets: []string{plan.from.token}}
	form, err := e.form(ctx, plan, a)
	if err != nil {
		return a.fail(err)
	}
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {"mcpauth (+https://github.com/seed-1e292522/mcpauth)"}}
	if err := e.config.Client.Apply(ctx, clientauth.Endpoint{Issuer: e.config.Issuer, URL: plan.at.url}, header, form); err != nil {
		a.broken = true
		return a.fail(err)
	}
	a.secrets = append(a.secrets, secretsOf(header, form)...)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, plan.at.url, strings.NewReader(form.Encode()))
	if err != nil {
		return a.fail(err)
	}
	r.Header, r.GetBody = header, nil // it is sent once
	transport := e.post.guarded
	if plan.at.private {
		transport = e.post.trusted
	}
	a.outage = true
	response, err := transport.RoundTrip(r)
	if err != nil {
		return a.fail(err)
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if response.Request != nil && response.Request.Response != nil {
		return a.fail(errors.New("a redirect that the transport has followed"))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return a.fail(err)
	}
	a.outage = false
	if len(body) > maxAnswer { // on somebody's token
		return a.fail(fmt.Errorf("an answer of more than %d bytes", maxAnswer))
	}
	a.read(body)
	return a
}

// form is the request by the grant of the target, and nothing else.
func (e *Exchanger) form(ctx context.Context, plan flightPlan, a *answer) (url.Values, error) {
	const accessToken = "urn:ietf:params:oauth:token-type:access_token"
	t := plan.target
	form := url.Values{"grant_type": {string(t.Grant)}}
	set := func(name, value string) {
		if value != "" {
			form.Set(name, value)
		}
	}
	set("scope", strings.Join(t.scopes, " "))
	if t.Grant == EntraOBO {
		form.Set("assertion", plan.from.token)
		form.Set("requested_token_use", "on_behalf_of")
		return form, nil
	}
	form.Set("subject_token", plan.from.token)
	form.Set("subject_token_type", accessToken)
	form.Set("requested_token_type", accessToken)
	set("resource", t.Resource)
	set("audience", t.Audience)
	if t.Actor == nil {
		return form, nil
	}
	actor, err := t.Actor(ctx)
	if err == nil && (actor.Token == "" || actor.Subject == "") {
		a.broken, err = true, errors.New("Actor gives no token, or no subject")
	}
	if err != nil {
		return nil, err
	}
	if actor.Type == "" {
		actor.Type = accessToken
	}
	form.Set("actor_token", actor.Token)
	form.Set("actor_token_type", actor.Type)
	a.actor = actor.Subject
	return form, nil
}

// secretsOf is what of a request must not be seen in what is logged about it.
func secretsOf(header http.Header, form url.Values) (secrets []string) {
	for _, name := range []string{"assertion", "subject_token", "actor_token", "client_secret", "client_assertion"} {
		if value := form.Get(name); value != "" {
			secrets = append(secrets, value, url.QueryEscape(value))
		}
	}
	if basic := header.Get("Authorization"); basic != "" {
		secrets = append(secrets, strings.TrimPrefix(basic, "Basic "))
		_, secret, _ := (&http.Request{Header: header}).BasicAuth()
		plain, _ := url.QueryUnescape(secret)
		secrets = append(secrets, secret, plain)
	}
	return secrets
}

// tell writes into the log what is the operator's business, once a minute for each target and kind, of refusals for
// each code, and the rest for who looks closely.
func (e *Exchanger) tell(plan flightPlan, err *Error, a *answer) {
	if err == nil {
		return
	}
	defer func() { _ = recover() }() // a log that is not ours may panic, and would end the process
	redact := foreign.Redact(a.secrets...)
	shown := ""
	if a.failed != nil {
		shown = redact(a.failed.Error())
	}
	report := func(level slog.Level, what, key string) {
		if e.mayTell(plan.target, what+key) {
			e.write(level, plan.target, what, cmp.Or(shown, err.Code), "status", a.status)
		}
	}
	switch err.Kind {
	case Misconfigured:
		report(slog.LevelError, "the authorization server does not take this client or the target", "")
	case Unavailable:
		report(slog.LevelError, "the token endpoint cannot be used now", "")
	case Refused: // the user's affair or the operator's: who gets a token, and for what, is set at the server
		what := "the authorization server refuses the exchange: its own words are in the debug log"
		if a.failed != nil {
			what = "what the token endpoint answers cannot be used"
		}
		report(slog.LevelWarn, what, err.Code)
	}
	e.log.Debug("onbehalf: no token", "target", plan.target.name, "kind", string(err.Kind), "status", a.status,
		"error", foreign.QuoteShort(redact(a.code), maxShown), "description", foreign.QuoteShort(redact(a.description), maxShown), "cause", foreign.LineShort(shown, maxShown))
}

// maxShown bounds what is shown of an answer.
const maxShown = 256

func (e *Exchanger) complain(t *target, what, cause string) {
	if e.mayTell(t, what) {
		e.write(slog.LevelError, t, what, cause)
	}
}

func (e *Exchanger) mayTell(t *target, what string) bool {
	told := &t.told
	if e.targets[t.name] != t {
		told = &e.told
	}
	return told.mayTell(what, time.Now())
}

func (e *Exchanger) write(level slog.Level, t *target, what, cause string, more ...any) {
	e.log.With("target", t.name, "client_id", e.config.Client.ClientID(), "issuer", e.config.Issuer, "cause", foreign.LineShort(cause, maxShown)).
		Log(context.Background(), level, "onbehalf: "+what, more...)
}
