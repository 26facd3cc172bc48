package products

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

const redirect = "http://127.0.0.1:7/callback"

// ask is one authorization of a client that does what it is told.
type ask struct {
	resource string // "": no parameter
	scope    string
	client   string // "": that of the server
	id       bool   // the ID token is wanted instead of the access token
	rotated  bool   // the keys are rotated, and a refreshed token is wanted
}

// token gets a token as a client does: registration if the server has it, the
// person's consent, a code for a token. It asserts nothing about the token.
func (a ask) token(t *testing.T, server *authservers.Server) string {
	t.Helper()
	ctx := t.Context()
	issuer := server.Issuer.URL
	config := oauth2.Config{
		ClientID: server.ClientID, RedirectURL: redirect, Scopes: strings.Fields(a.scope),
		Endpoint: endpoint(t, server),
	}
	person := authservers.Ann
	if a.rotated {
		person = authservers.Lee // has a refresh token
	}
	switch {
	case a.client != "":
		config.ClientID = a.client
	case config.ClientID == "":
		config.ClientID, config.ClientSecret = register(t, origin(t, issuer)+server.Register)
	}
	verifier := oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	exchange := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
	if a.resource != "" {
		parameter := oauth2.SetAuthURLParam("resource", a.resource)
		options, exchange = append(options, parameter), append(exchange, parameter)
	}
	if a.id {
		options = append(options, oauth2.SetAuthURLParam("nonce", oauth2.GenerateVerifier())) // some give no ID token without
	}
	if server.Prepare != nil {
		server.Prepare(person)
	}
	back, err := authservers.NewBrowser(person, false).Walk(ctx, config.AuthCodeURL(oauth2.GenerateVerifier(), options...))
	require.NoError(t, err)
	require.Empty(t, back.Query().Get("error"))
	got, err := config.Exchange(ctx, back.Query().Get("code"), exchange...)
	require.NoError(t, err)
	if a.rotated {
		require.NoError(t, server.Rotate(ctx))
		got, err = config.TokenSource(ctx, &oauth2.Token{RefreshToken: got.RefreshToken}).Token()
		require.NoError(t, err)
	}
	if a.id {
		text, _ := got.Extra("id_token").(string)
		require.NotEmpty(t, text, "no ID token")
		return text
	}
	return got.AccessToken
}

func endpoint(t *testing.T, server *authservers.Server) oauth2.Endpoint {
	at := origin(t, server.Issuer.URL)
	return oauth2.Endpoint{AuthURL: at + server.Authorize, TokenURL: at + server.Token, AuthStyle: oauth2.AuthStyleInParams}
}

func origin(t *testing.T, issuer string) string {
	u, err := url.Parse(issuer)
	require.NoError(t, err)
	return u.Scheme + "://" + u.Host
}

// register returns the secret, too, if the server gives one to every client.
func register(t *testing.T, at string) (id, secret string) {
	t.Helper()
	var answer struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	postJSON(t.Context(), t, at, fmt.Sprintf(`{"client_name":"doctor","redirect_uris":[%q],"grant_types":["authorization_code","refresh_token"],
		"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"native"}`, redirect), &answer)
	require.NotEmpty(t, answer.ID)
	return answer.ID, answer.Secret
}

func postJSON(ctx context.Context, t *testing.T, at, body string, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, 2, response.StatusCode/100, "%.300s", text)
	require.NoError(t, json.Unmarshal(text, answer))
}
