package pages

import "net/http"

// SignIn asks who is there, for a server that asks for consent elsewhere. The
// answer is posted to action, as name.
func SignIn(w http.ResponseWriter, action string) {
	showPage(w, pageData{Title: "Sign in", Action: action})
}

// Consent asks a person for consent. The answer is posted to action, as decision:
// approve or deny.
func Consent(w http.ResponseWriter, action, person, client string, scopes []string) {
	showPage(w, pageData{Title: "Consent", Action: action, Person: person, Client: client, Scopes: scopes})
}
