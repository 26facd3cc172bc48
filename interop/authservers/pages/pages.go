// Package pages is what a person sees of an authorization server: a sign-in page
// and a consent page.
package pages

import (
	"html/template"
	"net/http"
)

// page is plain HTML: a person with a browser can use it, and so can a program.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<form method="post" action="{{.Action}}">
{{if .Scopes}}<p>{{.Person}}, <b>{{.Client}}</b> asks for:</p><ul>{{range .Scopes}}<li>{{.}}</li>{{end}}</ul>
<button name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
{{else}}<label>Name <input name="name" autocomplete="username" required></label>
<button>Sign in</button>{{end}}
</form></html>
`))

type pageData struct {
	Title, Action  string
	Person, Client string
	Scopes         []string // empty: this is the sign-in page
}

func showPage(w http.ResponseWriter, data pageData) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	// The answer has begun, so there is nobody left to tell about an error.
	_ = page.Execute(w, data)
}

// Desk is where a person meets a server written in Go: it signs people in and
// asks for their consent, and then leaves the request to the server.
type Desk struct {
	// Asks returns who asks for what, and false after answering a request that is wrong.
	Asks func(http.ResponseWriter, *http.Request) (client string, scopes []string, ok bool)

	// Answered goes on with the request.
	Answered func(w http.ResponseWriter, r *http.Request, person string, approved bool)
}

const signedIn = "signed_in"

func (d Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, scopes, ok := d.Asks(w, r)
	if !ok {
		return
	}
	here := r.URL.RequestURI()
	if name := r.PostFormValue("name"); name != "" {
		http.SetCookie(w, &http.Cookie{Name: signedIn, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, here, http.StatusSeeOther)
		return
	}
	person, err := r.Cookie(signedIn)
	if err != nil {
		showPage(w, pageData{Title: "Sign in", Action: here})
		return
	}
	switch r.PostFormValue("decision") {
	case "approve":
		d.Answered(w, r, person.Value, true)
	case "deny":
		d.Answered(w, r, person.Value, false)
	default:
		showPage(w, pageData{Title: "Consent", Action: here, Person: person.Value, Client: client, Scopes: scopes})
	}
}
