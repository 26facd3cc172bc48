package authservers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/interop/authservers/pages"
)

// handler is Glewlwyd with its sign-in page, which Debian's package has as a program
// for browsers. This one does the same without one: it uses the interfaces of
// /api/auth with the browser's session.
func (g *glewlwyd) handler(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/app/login", g.login)
	mux.HandleFunc("GET "+glewlwydPath+"/auth", func(w http.ResponseWriter, r *http.Request) {
		if err := g.list(r.Context(), r.URL.Query().Get("resource")); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	mux.Handle("/", next)
	return mux
}

// session makes a request with the session of the browser.
func (g *glewlwyd) session(r *http.Request, method, path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(r.Context(), method, g.at+path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Cookie", r.Header.Get("Cookie"))
	return http.DefaultClient.Do(request)
}

// glewlwydGrant is what a client asks for, and what of it the person has granted before.
type glewlwydGrant struct {
	Client struct{ Name string }
	Scope  []struct {
		Name    string
		Granted bool
	}
}

// scopes are those that are asked for, and those of them that were not granted.
func (a glewlwydGrant) scopes() (asked, open []string) {
	for _, scope := range a.Scope {
		asked = append(asked, scope.Name)
		if !scope.Granted && scope.Name != "openid" { // which is granted always
			open = append(open, scope.Name)
		}
	}
	return asked, open
}

// unticked are the boxes that a person leaves empty who refuses: that of mcp:admin,
// or else all.
func unticked(open []string) func(scope string) bool {
	return func(scope string) bool {
		return scope == "mcp:admin" || !slices.Contains(open, "mcp:admin") && slices.Contains(open, scope)
	}
}

func (g *glewlwyd) login(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := query.Get("callback_url")
	if !strings.HasPrefix(back, g.origin+glewlwydPath+"/auth?") {
		http.Error(w, "no request of ours", http.StatusBadRequest)
		return
	}
	if name := r.PostFormValue("name"); name != "" {
		g.enter(w, r, name)
		return
	}
	client := "/api/auth/grant/" + url.PathEscape(query.Get("client_id"))
	response, err := g.session(r, http.MethodGet, client+"/"+url.PathEscape(query.Get("scope")), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		pages.SignIn(w, r.URL.RequestURI())
		return
	}
	var grant glewlwydGrant
	if err := json.NewDecoder(response.Body).Decode(&grant); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	asked, open := grant.scopes()
	decision := r.PostFormValue("decision")
	if len(open) > 0 && decision == "" {
		pages.Consent(w, r.URL.RequestURI(), "", grant.Client.Name, open)
		return
	}
	if decision == "deny" {
		asked = slices.DeleteFunc(asked, unticked(open))
	}
	if len(asked) == 0 || slices.Equal(asked, []string{"openid"}) { // Glewlwyd has no answer access_denied, and its page no way to send one
		http.Error(w, "you may close this window", http.StatusForbidden)
		return
	}
	if len(open) > 0 {
		answer, err := g.session(r, http.MethodPut, client+"/", map[string]any{"scope": strings.Join(asked, " ")})
		if err != nil || answer.StatusCode != http.StatusOK {
			http.Error(w, "the grant was not taken", http.StatusBadGateway)
			return
		}
		_ = answer.Body.Close()
	}
	http.Redirect(w, r, back+"&g_continue", http.StatusSeeOther)
}

// enter signs a person in, and gives the browser Glewlwyd's cookie.
func (g *glewlwyd) enter(w http.ResponseWriter, r *http.Request, name string) {
	response, err := g.session(r, http.MethodPost, "/api/auth/", map[string]any{"username": name, "password": name})
	if err != nil || response.StatusCode != http.StatusOK {
		http.Error(w, "nobody of that name", http.StatusForbidden)
		return
	}
	_ = response.Body.Close()
	for _, cookie := range response.Header.Values("Set-Cookie") {
		w.Header().Add("Set-Cookie", cookie)
	}
	http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther)
}
