package mcpauthtest

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

// introspectionPlace is where tokens are asked about, relative to origin and path of the issuer.
const introspectionPlace = "/introspect"

// introspectionClient is who may ask.
const introspectionClient = "resource-server"

// opaque is what an issuer knows of tokens that only it can read. It is guarded by [Issuer].mu.
type opaque struct {
	secret  string            // of the client that may ask; "" if nobody may
	answers map[string]string // by token
}

// Introspection is what makes a server ask this issuer about opaque tokens (RFC 7662), for [mcpauth.Issuer].Introspect.
// From now on the metadata names the endpoint. What it answers is known by [Issuer.Opaque].
func (i *Issuer) Introspection() *mcpauth.Introspection {
	i.tb.Helper()
	i.PublishMetadata(func(metadata map[string]any) {
		metadata["introspection_endpoint"] = i.origin + i.path + introspectionPlace
	})
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque.secret == "" {
		i.opaque.secret = rand.Text()
	}
	return &mcpauth.Introspection{Client: clientauth.SecretBasic(introspectionClient, i.opaque.secret)}
}

// Opaque mints an access token that nobody can read but this issuer. Asked about it, the issuer answers with active
// true, token_type Bearer and the claims of [Issuer.Token], changed by those given. A server has to be told to
// ask: see [Issuer.Introspection]. A token that is bound to a client's key has its thumbprint there:
//
//	token := issuer.Opaque(mcpauthtest.Claims{"cnf": map[string]any{"jkt": key.Thumbprint()}})
func (i *Issuer) Opaque(claims Claims) string {
	now := time.Now()
	all := map[string]any{
		"active":     true,
		"token_type": "Bearer",
		"iss":        i.url,
		"sub":        "user-1",
		"client_id":  "client-1",
		"iat":        now.Unix(),
		"exp":        now.Add(tokenLifetime).Unix(),
	}
	i.tb.Helper()
	token := "opaque_" + rand.Text()
	i.Answer(token, i.rendered(all, claims))
	return token
}

// Answer is what the issuer says of a token from now on, word for word. "" stands for what it
// says of all that it does not know: that the token is not active.
//
//	issuer.Answer(token, "") // revoked
func (i *Issuer) Answer(token, text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque.answers == nil {
		i.opaque.answers = map[string]string{}
	}
	i.opaque.answers[token] = text
}

// introspect answers one question about a token. It must be called with mu held.
func (i *Issuer) introspect(r *http.Request, token string, a *answer) {
	id, secret, _ := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost:
		a.replace(http.StatusMethodNotAllowed, "text/plain; charset=utf-8", "only POST\n")
		a.header.Set("Allow", "POST")
	case i.opaque.secret == "" || id != introspectionClient || secret != i.opaque.secret:
		a.replace(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`)
	default:
		if a.text = i.opaque.answers[token]; a.text == "" {
			a.text = `{"active":false}`
		}
	}
}
