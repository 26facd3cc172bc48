package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// redirectURI is where the authorization server sends the browser with its
// answer. Nobody listens there: this client is its own browser.
const redirectURI = "http://127.0.0.1:33418/callback"

// flow is an authorization in progress.
type flow struct {
	state, verifier, code string
	scopes                []string
}

// register introduces the client (RFC 7591).
func (c *client) register(ctx context.Context) error {
	content, err := json.Marshal(map[string]any{
		"client_name":                "quickstart client",
		"redirect_uris":              []string{redirectURI},
		"token_endpoint_auth_method": "none",
	})
	if err != nil {
		return err
	}
	var registered struct {
		ID string `json:"client_id"`
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	err = c.exchange(ctx, http.MethodPost, c.server.Registration, header, string(content), http.StatusCreated, &registered)
	if err != nil {
		return err
	}
	if registered.ID == "" {
		return errors.New("the registration has no client_id")
	}
	c.id = registered.ID
	return nil
}

var consentField = regexp.MustCompile(`name="consent" value="([^"]+)"`)

// authorize goes to the authorization server as the user's browser would, for
// the scopes that the client has and those of the last challenge, and allows
// what the page asks. The new token takes the place of the old one, so what is
// not asked for again would be lost.
func (c *client) authorize(ctx context.Context) error {
	c.pending = flow{state: rand.Text(), verifier: rand.Text() + rand.Text(), scopes: slices.Clone(c.scopes)}
	for _, scope := range c.challenge.scopes {
		if !slices.Contains(c.pending.scopes, scope) {
			c.pending.scopes = append(c.pending.scopes, scope)
		}
	}
	digest := sha256.Sum256([]byte(c.pending.verifier))
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {c.id},
		"redirect_uri":          {redirectURI},
		"state":                 {c.pending.state},
		"code_challenge":        {encode64(digest[:])},
		"code_challenge_method": {"S256"},
		"resource":              {c.resource}, // RFC 8707: a token for this server and no other
		"scope":                 {strings.Join(c.pending.scopes, " ")},
	}
	page, content, err := c.send(ctx, http.MethodGet, c.server.Authorization+"?"+query.Encode(), http.Header{"Accept": {"text/html"}}, "")
	if err != nil {
		return err
	}
	field := consentField.FindSubmatch(content)
	if page.StatusCode != http.StatusOK || field == nil {
		return fmt.Errorf("expected a consent page, got %s, Location: %s", page.Status, page.Header.Get("Location"))
	}
	return c.allow(ctx, string(field[1]))
}

// allow presses the button, and reads the answer that the redirect brings.
func (c *client) allow(ctx context.Context, consent string) error {
	base, err := url.Parse(c.server.Authorization)
	if err != nil {
		return err
	}
	form := url.Values{"consent": {consent}, "answer": {"allow"}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}}
	response, _, err := c.send(ctx, http.MethodPost, base.ResolveReference(&url.URL{Path: "/consent"}).String(), header, form.Encode())
	if err != nil {
		return err
	}
	location, err := response.Location()
	if err != nil {
		return fmt.Errorf("expected a redirect, got %s: %w", response.Status, err)
	}
	answer := location.Query()
	switch {
	case !strings.HasPrefix(location.String(), redirectURI+"?"):
		return fmt.Errorf("redirected to %s", location.Host)
	case answer.Get("state") != c.pending.state:
		return errors.New("the answer belongs to another question: state differs")
	case c.server.SendsIssuer && answer.Get("iss") != c.server.Issuer:
		return errors.New("the answer is another authorization server's: iss differs (RFC 9207)")
	case answer.Get("code") == "":
		return fmt.Errorf("no code, error %q", answer.Get("error"))
	}
	c.pending.code = answer.Get("code")
	return nil
}

// fetchToken exchanges the code for a token.
func (c *client) fetchToken(ctx context.Context) error {
	var answer struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
		Scope string `json:"scope"`
	}
	err := c.postForm(ctx, c.server.Token, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {c.pending.code},
		"code_verifier": {c.pending.verifier},
		"client_id":     {c.id},
		"redirect_uri":  {redirectURI},
		"resource":      {c.resource},
	}, &answer)
	if err != nil {
		return err
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "Bearer") {
		return errors.New("the answer has no bearer token")
	}
	c.token, c.scopes, c.pending = answer.Token, strings.Fields(answer.Scope), flow{}
	return nil
}
