package main

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// theUser is the one person who is signed in at this authorization server.
const theUser = "alice"

// authorize begins the authorization code flow (OAuth 2.1 section 4.1.1) and
// shows the user what is being asked for.
func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	client, ok := i.clients.get(query.Get("client_id"))
	if !ok || !client.redirectsTo(query.Get("redirect_uri")) {
		// A redirect to an address that nobody registered would hand the error,
		// or worse a code, to a stranger.
		http.Error(w, "unknown client_id, or a redirect_uri that is not registered", http.StatusBadRequest)
		return
	}
	g := grant{
		clientID:    query.Get("client_id"),
		clientName:  client.Name,
		redirectURI: query.Get("redirect_uri"),
		state:       query.Get("state"),
		challenge:   query.Get("code_challenge"),
		resource:    query.Get("resource"),
		scope:       query.Get("scope"),
		user:        theUser,
	}
	switch {
	case query.Get("response_type") != "code":
		i.sendBack(w, r, g, "error", "unsupported_response_type")
	case query.Get("code_challenge_method") != "S256" || len(g.challenge) != 43:
		i.sendBack(w, r, g, "error", "invalid_request")
	case g.resource != i.resource:
		i.sendBack(w, r, g, "error", "invalid_target") // RFC 8707 section 2
	case !knows(g.scope):
		i.sendBack(w, r, g, "error", "invalid_scope")
	default:
		i.ask(w, r, g)
	}
}

var consentPage = template.Must(template.New("consent").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Allow access?</title>
<h1>Allow access?</h1>
<p>{{.User}}, the application <b>{{.Client}}</b> asks to use <b>{{.Resource}}</b> for you:</p>
<ul>{{range .Scopes}}<li>{{.}}</li>{{end}}</ul>
<form method="post" action="/consent">
<input type="hidden" name="consent" value="{{.Consent}}">
<button name="answer" value="allow">Allow</button>
<button name="answer" value="deny">Deny</button>
</form></html>
`))

// ask shows the consent page. Its hidden value can be used once and is known to
// this page only, so that no other site can answer for the user.
func (i *issuer) ask(w http.ResponseWriter, r *http.Request, g grant) {
	consent := i.consents.put(g, askLifetime)
	if consent == "" {
		i.sendBack(w, r, g, "error", "temporarily_unavailable")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_ = consentPage.Execute(w, map[string]any{
		"User": g.user, "Client": g.clientName, "Resource": g.resource,
		"Scopes": strings.Fields(g.scope), "Consent": consent,
	})
}

// consent takes the user's answer.
func (i *issuer) consent(w http.ResponseWriter, r *http.Request) {
	g, ok := i.consents.take(r.PostFormValue("consent"))
	if !ok {
		http.Error(w, "this question has been answered, or is too old", http.StatusBadRequest)
		return
	}
	if r.PostFormValue("answer") != "allow" {
		i.sendBack(w, r, g, "error", "access_denied")
		return
	}
	code := i.codes.put(g, codeLifetime)
	if code == "" {
		i.sendBack(w, r, g, "error", "temporarily_unavailable")
		return
	}
	i.sendBack(w, r, g, "code", code)
}

// sendBack redirects to the client with one result, its state, and iss, by
// which a client of several authorization servers tells them apart (RFC 9207).
func (i *issuer) sendBack(w http.ResponseWriter, r *http.Request, g grant, name, value string) {
	target, err := url.Parse(g.redirectURI)
	if err != nil {
		http.Error(w, "redirect_uri is no URL", http.StatusBadRequest)
		return
	}
	query := target.Query()
	query.Set(name, value)
	query.Set("iss", i.url)
	if g.state != "" {
		query.Set("state", g.state)
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}
