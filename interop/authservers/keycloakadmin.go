package authservers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// TokensLive sets the life of access tokens: [ShortLife], or ten minutes.
func (r *Realm) TokensLive(t testing.TB, short bool) {
	t.Helper()
	life := 600
	if short {
		life = ShortLife
	}
	r.Change(t, map[string]any{"accessTokenLifespan": life})
}

// ForgetConsent lets a person be asked again by the client that every test
// shares: Keycloak remembers what was granted to whom.
func (r *Realm) ForgetConsent(t testing.TB, person string) {
	t.Helper()
	var granted []struct{ ClientID string }
	r.Admin(t, http.MethodGet, "/users/"+person+"/consents", nil, &granted)
	for _, g := range granted {
		if g.ClientID == "interop" {
			r.Admin(t, http.MethodDelete, "/users/"+person+"/consents/interop", nil, nil)
		}
	}
}

// Change sets settings of the realm.
func (r *Realm) Change(t testing.TB, settings map[string]any) {
	t.Helper()
	r.Admin(t, http.MethodPut, "", settings, nil)
}

// Admin sends a request to the admin API of the realm, and decodes the answer.
func (r *Realm) Admin(t testing.TB, method, path string, body, into any) {
	t.Helper()
	// Not the context of the test, which is over when settings are put back.
	if err := r.process.administrate(context.Background(), method, r.path+path, body, into); err != nil {
		t.Fatal(err)
	}
}

func (k *keycloak) admin(ctx context.Context, method, path string, body, into any) error {
	return k.administrate(ctx, method, keycloakPath+path, body, into)
}

func (k *keycloak) administrate(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	token, err := k.adminToken()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, k.url("/admin"+path), bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	return exchange(request, into)
}

// Edit changes what the admin API has at a path, until the test ends.
func (r *Realm) Edit(t testing.TB, path string, change func(map[string]any)) {
	t.Helper()
	var was, is map[string]any
	r.Admin(t, http.MethodGet, path, nil, &was)
	r.Admin(t, http.MethodGet, path, nil, &is)
	change(is)
	r.Admin(t, http.MethodPut, path, is, nil)
	t.Cleanup(func() { r.Admin(t, http.MethodPut, path, was, nil) })
}

// Client is the path of a client in the admin API.
func (r *Realm) Client(t testing.TB, clientID string) string {
	t.Helper()
	var found []struct{ ID string }
	r.Admin(t, http.MethodGet, "/clients?clientId="+clientID, nil, &found)
	if len(found) != 1 {
		t.Fatalf("there are %d clients %s", len(found), clientID)
	}
	return "/clients/" + found[0].ID
}

// Scope is the path of a client scope in the admin API.
func (r *Realm) Scope(t testing.TB, name string) string {
	t.Helper()
	var all []struct{ ID, Name string }
	r.Admin(t, http.MethodGet, "/client-scopes", nil, &all)
	for _, scope := range all {
		if scope.Name == name {
			return "/client-scopes/" + scope.ID
		}
	}
	t.Fatal("there is no client scope ", name)
	return ""
}

// RemoveMappers takes the protocol mappers of a client scope away until the test ends.
func (r *Realm) RemoveMappers(t testing.TB, scope string) {
	t.Helper()
	path := r.Scope(t, scope) + "/protocol-mappers/"
	var mappers []map[string]any
	r.Admin(t, http.MethodGet, path+"models", nil, &mappers)
	for _, mapper := range mappers {
		r.Admin(t, http.MethodDelete, path+"models/"+mapper["id"].(string), nil, nil)
	}
	t.Cleanup(func() { r.Admin(t, http.MethodPost, path+"add-models", mappers, nil) })
}

// Granted are the tokens that Keycloak gives a person at an origin without a
// browser, by the client for roles.
type Granted struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
}

// Grant gets tokens for a person. The origin is how Keycloak is addressed: it
// calls itself by that.
func (r *Realm) Grant(t testing.TB, origin, person, scope string) (granted Granted) {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {"by-roles"}, "username": {person}, "password": {person}}
	if scope != "" {
		form.Set("scope", scope)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+r.Token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := exchange(request, &granted); err != nil {
		t.Fatal(err)
	}
	return granted
}

// Origin is where the test has Keycloak.
func (r *Realm) Origin() string { return strings.TrimSuffix(r.Issuer.URL, r.path) }

func (k *keycloak) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", k.port, path) }

// adminToken is a token of the administrator. They live for a minute.
func (k *keycloak) adminToken() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.granted) < 40*time.Second {
		return k.token, nil
	}
	form := url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {k.password}}
	request, err := http.NewRequest(http.MethodPost, k.url("/realms/master/protocol/openid-connect/token"), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := exchange(request, &answer); err != nil {
		return "", err
	}
	k.token, k.granted = answer.Token, time.Now()
	return k.token, nil
}

// exchange expects an answer of 2xx, and decodes it.
func exchange(request *http.Request, into any) error {
	return exchangeWith(&http.Client{Timeout: 30 * time.Second}, request, into)
}

func exchangeWith(client *http.Client, request *http.Request, into any) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %d: %.300q", request.Method, request.URL.Path, response.StatusCode, text)
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// rotate adds a key that goes before the others. These verify, and sign no more.
func (k *keycloak) rotate(ctx context.Context) error {
	k.mu.Lock()
	k.keys++
	priority := strconv.Itoa(100 + k.keys)
	k.mu.Unlock()
	return k.admin(ctx, http.MethodPost, "/components", map[string]any{
		"name": "rotated " + priority, "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": map[string][]string{"priority": {priority}},
	}, nil)
}

// revoke takes from the clients of a person what they were granted, and ends the
// person's sessions. A session with offline_access ends by the first alone.
func (k *keycloak) revoke(ctx context.Context, person string) error {
	var granted []struct{ ClientID string }
	if err := k.admin(ctx, http.MethodGet, "/users/"+person+"/consents", nil, &granted); err != nil {
		return err
	}
	for _, g := range granted {
		if err := k.admin(ctx, http.MethodDelete, "/users/"+person+"/consents/"+g.ClientID, nil, nil); err != nil {
			return err
		}
	}
	return k.admin(ctx, http.MethodPost, "/users/"+person+"/logout", nil, nil)
}

// revoked asks whether the session that a token belongs to has ended.
func (k *keycloak) revoked(ctx context.Context, p *mcpauth.Principal) (bool, error) {
	var token struct{ Sid string }
	if err := p.Claims(&token); err != nil {
		return false, err
	}
	var clients []struct{ ID string }
	if err := k.admin(ctx, http.MethodGet, "/clients?clientId="+url.QueryEscape(p.ClientID), nil, &clients); err != nil || len(clients) != 1 {
		return len(clients) != 1, err
	}
	for _, path := range []string{"/sessions", "/offline-sessions/" + clients[0].ID} {
		var open []struct{ ID string }
		if err := k.admin(ctx, http.MethodGet, "/users/"+url.PathEscape(p.Subject)+path, nil, &open); err != nil {
			return false, err
		}
		for _, session := range open {
			if session.ID == token.Sid {
				return false, nil
			}
		}
	}
	return true, nil
}
