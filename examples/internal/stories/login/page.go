package login

import (
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const signInPath = "/signin"

var page = template.Must(template.New("page").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Sign in</title>
<h1>{{.Client}} asks for access</h1>
{{with .Problem}}<p><strong>{{.}}</strong></p>{{end}}
<form method="post">
<input type="hidden" name="request" value="{{.Request}}">
<p>{{.Client}} will act for you at {{.Resource}}. Untick what it shall not do.</p>
{{range .Scopes}}<p><label><input type="checkbox" name="scope" value="{{.}}" checked> {{.}}</label></p>
{{end}}<p><label>Name <input name="name" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<button name="answer" value="allow">Sign in and allow</button>
<button name="answer" value="deny" formnovalidate>Deny</button>
</form>
`))

// ask shows who asks for what.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	if q, ok := s.store.waiting(r.URL.Query().Get("request")); ok {
		s.show(w, http.StatusOK, q, "")
		return
	}
	http.Error(w, "Nobody has asked, or it was too long ago.", http.StatusBadRequest)
}

func (s *Server) show(w http.ResponseWriter, status int, q request, problem string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = page.Execute(w, map[string]any{ // the browser has gone, if anything
		"Client": s.store.clientName(q.clientID), "Resource": s.config.Resource,
		"Scopes": s.choices(q), "Request": q.id, "Problem": problem,
	})
}

// choices are what a person can say yes or no to.
func (s *Server) choices(q request) []string {
	return slices.DeleteFunc(slices.Clone(q.scopes), func(scope string) bool {
		return !slices.Contains(s.config.Scopes, scope)
	})
}

// answer is what the person says. The request's id is known to nobody else,
// and the password proves who it is, so that no other site can answer.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	q, ok := s.store.waiting(r.PostFormValue("request"))
	if !ok {
		http.Error(w, "Nobody has asked, or it was too long ago.", http.StatusBadRequest)
		return
	}
	if r.PostForm.Get("answer") != "allow" {
		_ = s.store.DeleteAuthRequest(r.Context(), q.id)
		op.AuthRequestError(w, r, &q, oidc.ErrAccessDenied(), s.provider)
		return
	}
	person, ok := s.store.signIn(r.PostForm.Get("name"), r.PostForm.Get("password"))
	if !ok {
		s.show(w, http.StatusForbidden, q, "Name or password is wrong.")
		return
	}
	var granted []string
	for _, scope := range q.scopes {
		optional := slices.Contains(s.config.Scopes, scope)
		ticked := slices.Contains(r.PostForm["scope"], scope)
		may := person.Scopes == nil || slices.Contains(person.Scopes, scope)
		if !optional || ticked && may {
			granted = append(granted, scope)
		}
	}
	s.store.grant(q.id, person.Name, granted, time.Now())
	http.Redirect(w, r, op.AuthCallbackURL(s.provider)(s.context(r.Context()), q.id), http.StatusSeeOther)
}
