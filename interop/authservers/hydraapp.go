package authservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/interop/authservers/pages"
)

// hydraApp is the login and consent app that Ory Hydra asks its operator for. It
// talks to Hydra's administration, which must never be public.
type hydraApp struct{ admin string }

// ask makes one request of Hydra's administration.
func (a *hydraApp) ask(ctx context.Context, method, path string, body, answer any) error {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.admin+path, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %d: %.300q", request.URL.Path, response.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// goOn accepts or rejects a request, and sends the browser back to Hydra.
func (a *hydraApp) goOn(w http.ResponseWriter, r *http.Request, kind, verdict string, body any) {
	var answer struct {
		RedirectTo string `json:"redirect_to"`
	}
	path := "/admin/oauth2/auth/requests/" + kind + "/" + verdict + "?" + kind + "_challenge=" + challenge(r, kind)
	if err := a.ask(r.Context(), http.MethodPut, path, body, &answer); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, answer.RedirectTo, http.StatusSeeOther)
}

func challenge(r *http.Request, kind string) string {
	return url.QueryEscape(r.URL.Query().Get(kind + "_challenge"))
}

// login signs people in, once for each browser.
func (a *hydraApp) login(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Skip    bool
		Subject string
	}
	if err := a.ask(r.Context(), http.MethodGet, "/admin/oauth2/auth/requests/login?login_challenge="+challenge(r, "login"), nil, &asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	person := r.PostFormValue("name")
	switch {
	case asked.Skip: // and then Hydra takes no other answer
		person = asked.Subject
	case person == "":
		pages.SignIn(w, r.URL.RequestURI())
		return
	}
	a.goOn(w, r, "login", "accept", map[string]any{"subject": person, "remember": true, "remember_for": 3600})
}

type hydraConsent struct {
	Subject        string
	RequestedScope []string `json:"requested_scope"`
	RequestURL     string   `json:"request_url"`
	Client         struct {
		ID    string `json:"client_id"`
		Scope string // what it may ask for, compared again when a token is refreshed
	}
}

// consent asks for consent, and grants the resource as audience.
func (a *hydraApp) consent(w http.ResponseWriter, r *http.Request) {
	var asked hydraConsent
	if err := a.ask(r.Context(), http.MethodGet, "/admin/oauth2/auth/requests/consent?consent_challenge="+challenge(r, "consent"), nil, &asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	switch r.PostFormValue("decision") {
	case "approve":
		grant, err := a.grant(r.Context(), asked)
		if err != nil {
			a.goOn(w, r, "consent", "reject", map[string]any{"error": "invalid_target", "error_description": err.Error()})
			return
		}
		a.goOn(w, r, "consent", "accept", grant)
	case "deny":
		a.goOn(w, r, "consent", "reject", map[string]any{"error": "access_denied", "error_description": "the person said no"})
	default:
		pages.Consent(w, r.URL.RequestURI(), asked.Subject, asked.Client.ID, asked.RequestedScope)
	}
}

// ours are the MCP servers that the app knows. In production this is a list.
var ours = regexp.MustCompile(`^http://127\.0\.0\.1:\d+/mcp$`)

// grant is what a person's consent comes to. Hydra takes resource for a parameter
// that it does not know, so the app looks for it in the URL of the request, and
// grants it as audience if it is a server of ours.
func (a *hydraApp) grant(ctx context.Context, asked hydraConsent) (map[string]any, error) {
	from, err := url.Parse(asked.RequestURL)
	if err != nil {
		return nil, errors.New("the request's URL cannot be parsed")
	}
	resource := from.Query().Get("resource")
	audience := []string{} // for a client that names no resource
	if resource != "" {
		if !ours.MatchString(resource) {
			return nil, errors.New("no MCP server that is known here")
		}
		audience = []string{resource}
	}
	// With offline_access, which the app may grant unasked, Hydra issues a refresh token.
	scopes := slices.DeleteFunc(asked.RequestedScope, func(scope string) bool { return scope == "offline_access" })
	if asked.Subject != Ann && slices.Contains(strings.Fields(asked.Client.Scope), "offline_access") {
		scopes = append(scopes, "offline_access")
	}
	if err := a.prepare(ctx, asked.Client.ID, asked.Subject, audience); err != nil {
		return nil, err
	}
	return map[string]any{"grant_scope": scopes, "grant_access_token_audience": audience}, nil
}

// prepare makes the client ready for what it will do with the grant. Hydra
// compares the audience of a token with the client's list when the token is
// refreshed, and only then; a client that registered itself has no list.
func (a *hydraApp) prepare(ctx context.Context, client, person string, audience []string) error {
	path := "/admin/clients/" + url.PathEscape(client)
	change := []any{map[string]any{"op": "replace", "path": "/audience", "value": audience}}
	if err := a.ask(ctx, http.MethodPatch, path, change, nil); err != nil {
		return err
	}
	life := "10m"
	if person == Ron {
		life = fmt.Sprintf("%ds", ShortLife)
	}
	lives := map[string]any{}
	for _, grant := range []string{"authorization_code", "refresh_token"} {
		lives[grant+"_grant_access_token_lifespan"] = life
	}
	return a.ask(ctx, http.MethodPut, path+"/lifespans", lives, nil)
}
