package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// registration is what a client tells about itself (RFC 7591 section 2).
type registration struct {
	Name         string   `json:"client_name"`
	RedirectURIs []string `json:"redirect_uris"`
}

func (c registration) redirectsTo(uri string) bool {
	return slices.Contains(c.RedirectURIs, uri)
}

// register lets a client introduce itself (dynamic client registration, RFC
// 7591). Clients are public: they have no secret, PKCE takes its place.
func (i *issuer) register(w http.ResponseWriter, r *http.Request) {
	var client registration
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&client); err != nil {
		refuse(w, "invalid_client_metadata", "the body is no JSON object of client metadata")
		return
	}
	if len(client.RedirectURIs) == 0 || slices.ContainsFunc(client.RedirectURIs, unsafeRedirect) {
		refuse(w, "invalid_redirect_uri", "redirect_uris: https, or http on loopback")
		return
	}
	id := i.clients.put(client, 24*time.Hour)
	if id == "" {
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusCreated, map[string]any{
		"client_id":                  id,
		"client_name":                client.Name,
		"redirect_uris":              client.RedirectURIs,
		"token_endpoint_auth_method": "none",
		"grant_types":                []string{"authorization_code"},
		"response_types":             []string{"code"},
	})
}

func unsafeRedirect(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return true
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	return u.Scheme != "https" && !(u.Scheme == "http" && loopback)
}

// token exchanges a code for an access token (OAuth 2.1 section 4.1.3). The
// code is spent by the attempt, whether it succeeds or not.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.PostFormValue("grant_type") != "authorization_code" {
		refuse(w, "unsupported_grant_type", "only authorization_code")
		return
	}
	g, ok := i.codes.take(r.PostFormValue("code"))
	verifier := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	proven := subtle.ConstantTimeCompare([]byte(encode64(verifier[:])), []byte(g.challenge)) == 1
	resource := r.PostFormValue("resource")
	switch {
	case !ok || !proven || r.PostFormValue("client_id") != g.clientID || r.PostFormValue("redirect_uri") != g.redirectURI:
		refuse(w, "invalid_grant", "the code, its verifier or its client is wrong")
		return
	case resource != "" && resource != g.resource:
		refuse(w, "invalid_target", "the code is for another resource")
		return
	}
	access, err := i.mint(g)
	if err != nil {
		http.Error(w, "cannot sign", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, http.StatusOK, map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   int(tokenLifetime.Seconds()),
		"scope":        g.scope,
	})
}
