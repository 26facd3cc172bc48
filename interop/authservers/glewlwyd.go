package authservers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

const glewlwydPath = "/api/oidc"

// glewlwydTables are what Debian's package makes its database of.
const glewlwydTables = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"

// glewlwydSubjects are what the people are called in tokens, or else Glewlwyd makes
// a random text of each.
const glewlwydSubjects = `INSERT INTO gpo_subject_identifier (gposi_plugin_name, gposi_username, gposi_sub)
VALUES ('oidc', 'ann', 'ann'), ('oidc', 'lee', 'lee'), ('oidc', 'ron', 'ron');`

//go:embed glewlwyd/plugin.json
var glewlwydPlugin []byte

// StartGlewlwyd starts Glewlwyd as glewlwyd/glewlwyd.conf and glewlwyd/plugin.json
// say, with a sign-in page. Its people have their names for passwords.
func StartGlewlwyd(t testing.TB) *Server {
	t.Helper()
	for _, program := range []string{"glewlwyd", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			process.Unavailable(t, "Glewlwyd cannot be run: "+program+" is not installed (Debian's package glewlwyd has both)")
		}
	}
	server := &Server{
		Name:    "Glewlwyd",
		Version: glewlwydVersion(t),
		Habits: "dynamic registration with a secret for every client, an issuer with a path, RFC 8707 for resources that are listed, " +
			"RFC 9068 tokens (`at+jwt`, ES256), redirect URIs with their ports, always a refresh token, OpenID discovery only, no `access_denied`",
		Known:     map[string]string{"Inspector CLI": "interop"},
		Secret:    rand.Text(),
		Narrows:   true,
		Authorize: glewlwydPath + "/auth", Token: glewlwydPath + "/token",
		Register: glewlwydPath + "/register",
		Record:   &wire.Record{},
	}
	port := process.FreePort(t)
	g := &glewlwyd{at: "http://127.0.0.1:" + port, secret: server.Secret, people: map[string]*http.Client{}}
	serve(t, server.Record, func(origin string) http.Handler {
		g.origin = origin
		number, _ := strconv.Atoi(port)
		return g.handler(forward(number))
	})
	directory := t.TempDir()
	tables, err := os.ReadFile(glewlwydTables)
	must(t, err)
	build := exec.CommandContext(t.Context(), "sqlite3", "-bail", filepath.Join(directory, "glewlwyd.db"))
	build.Stdin = bytes.NewReader(append(tables, glewlwydSubjects...))
	output, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	process.Serve(t, []string{"env", "-C", directory, "glewlwyd", "-e", "-c", filepath.Join(glewlwydDirectory(), "glewlwyd.conf")},
		func() bool { return answers(g.at + "/config") },
		"GLWD_PORT="+port, "GLWD_EXTERNAL_URL="+g.origin)
	must(t, g.setUp(t.Context()))
	server.Issuer = mcpauth.Issuer{URL: g.origin + glewlwydPath}
	server.Rotate, server.Revoke, server.Revoked, server.Redirects = g.rotate, g.revoke, g.revoked, g.redirects
	server.Prepare = func(person string) { must(t, g.prepare(t.Context(), person)) }
	return server
}

func glewlwydDirectory() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "glewlwyd")
}

func glewlwydVersion(t testing.TB) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "glewlwyd", "-v").Output()
	must(t, err)
	return strings.TrimSpace(string(output))
}

// glewlwyd is what its operator knows.
type glewlwyd struct {
	at, origin string // where it listens, and where it is reached
	secret     string // of the client that has an id from the operator
	admin      *http.Client

	mu        sync.Mutex
	people    map[string]*http.Client
	short     bool              // tokens live for [ShortLife]
	resources []string          // that are listed
	keys      []jose.JSONWebKey // the first signs
}

// setUp makes the scopes, the people and the plugin, and takes the administrator's
// password, which everybody knows, away.
func (g *glewlwyd) setUp(ctx context.Context) (err error) {
	if g.admin, err = g.signIn(ctx, "admin", "password"); err != nil {
		return err
	}
	if err := g.ask(ctx, g.admin, http.MethodPut, "/api/user/admin", map[string]any{"username": "admin", "password": rand.Text(),
		"name": "The Administrator", "scope": []string{"g_admin", "g_profile"}, "enabled": true}, nil); err != nil {
		return err
	}
	for _, scope := range Scopes {
		if err := g.ask(ctx, g.admin, http.MethodPost, "/api/scope/", map[string]any{"name": scope, "display_name": scope, "password_required": false}, nil); err != nil {
			return err
		}
	}
	for _, person := range []string{Ann, Lee, Ron} {
		if err := g.ask(ctx, g.admin, http.MethodPost, "/api/user/", map[string]any{"username": person, "password": person,
			"scope": append([]string{"g_profile", "openid"}, Scopes...), "enabled": true}, nil); err != nil {
			return err
		}
	}
	if err := g.addKey(); err != nil {
		return err
	}
	if err := g.redirects(ctx, "http://127.0.0.1:7/callback"); err != nil {
		return err
	}
	return g.configure(ctx, http.MethodPost, "/api/mod/plugin/")
}

// configure sends plugin.json with what is particular to the tests.
func (g *glewlwyd) configure(ctx context.Context, method, path string) error {
	var plugin map[string]any
	if err := json.Unmarshal(glewlwydPlugin, &plugin); err != nil {
		return err
	}
	settings := plugin["parameters"].(map[string]any)
	g.mu.Lock()
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: g.keys})
	settings["iss"], settings["jwks-private"], settings["default-kid"] = g.origin+glewlwydPath, string(keys), g.keys[0].KeyID
	if g.short {
		settings["access-token-duration"] = ShortLife
	}
	for scope, listed := range settings["resource-scope"].(map[string]any) {
		for _, resource := range g.resources {
			listed = append(listed.([]any), resource)
		}
		settings["resource-scope"].(map[string]any)[scope] = listed
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return g.ask(ctx, g.admin, method, path, plugin, nil)
}

// reconfigure changes the settings. The running plugin takes them with its reset.
func (g *glewlwyd) reconfigure(ctx context.Context) error {
	if err := g.configure(ctx, http.MethodPut, "/api/mod/plugin/oidc"); err != nil {
		return err
	}
	return g.ask(ctx, g.admin, http.MethodPut, "/api/mod/plugin/oidc/reset", nil, nil)
}

// list lists a resource, as an operator does in plugin.json.
func (g *glewlwyd) list(ctx context.Context, resource string) error {
	g.mu.Lock()
	known := slices.Contains(g.resources, resource) || !ours.MatchString(resource)
	if !known {
		g.resources = append(g.resources, resource)
	}
	g.mu.Unlock()
	if known {
		return nil
	}
	return g.reconfigure(ctx)
}

func (g *glewlwyd) addKey() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = slices.Insert(g.keys, 0, jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: "ES256", Use: "sig"})
	return nil
}

// rotate puts a key before the others, as OIDC.md of the package says.
func (g *glewlwyd) rotate(ctx context.Context) error {
	if err := g.addKey(); err != nil {
		return err
	}
	return g.reconfigure(ctx)
}

//go:embed glewlwyd/client.json
var glewlwydClient []byte

// redirects sends client.json with one redirect URI: Glewlwyd compares the port, too.
func (g *glewlwyd) redirects(ctx context.Context, uri string) error {
	var client map[string]any
	if err := json.Unmarshal(glewlwydClient, &client); err != nil {
		return err
	}
	client["client_secret"], client["redirect_uri"] = g.secret, []string{uri}
	err := g.ask(ctx, g.admin, http.MethodPost, "/api/client/", client, nil)
	if err != nil { // it is known
		err = g.ask(ctx, g.admin, http.MethodPut, "/api/client/interop", client, nil)
	}
	return err
}

// prepare sets how long tokens live, for they live equally long for everybody, and
// has the person asked again.
func (g *glewlwyd) prepare(ctx context.Context, person string) error {
	client, err := g.person(ctx, person)
	if err != nil {
		return err
	}
	if err := g.ask(ctx, client, http.MethodPut, "/api/auth/grant/interop/", map[string]any{"scope": ""}, nil); err != nil {
		return err
	}
	g.mu.Lock()
	g.short = person == Ron
	g.mu.Unlock()
	return g.reconfigure(ctx)
}

// signIn is a browser with a session.
func (g *glewlwyd) signIn(ctx context.Context, name, password string) (*http.Client, error) {
	jar, _ := cookiejar.New(nil) // fails never, says its documentation
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	return client, g.ask(ctx, client, http.MethodPost, "/api/auth/", map[string]any{"username": name, "password": password}, nil)
}

func (g *glewlwyd) ask(ctx context.Context, client *http.Client, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, g.at+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return exchangeWith(client, request, answer)
}

// person is a session of somebody, for what people do in their profile.
func (g *glewlwyd) person(ctx context.Context, name string) (*http.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if client := g.people[name]; client != nil {
		return client, nil
	}
	client, err := g.signIn(ctx, name, name)
	if err == nil {
		g.people[name] = client
	}
	return client, err
}

// revoke ends the refresh tokens of a person, as "log out, all tokens" does.
func (g *glewlwyd) revoke(ctx context.Context, person string) error {
	client, err := g.person(ctx, person)
	if err != nil {
		return err
	}
	return g.ask(ctx, client, http.MethodDelete, glewlwydPath+"/token/", nil, nil)
}

// revoked asks whether the client of a token has a refresh token still. Every
// grant comes with one here.
func (g *glewlwyd) revoked(ctx context.Context, p *mcpauth.Principal) (bool, error) {
	client, err := g.person(ctx, p.Subject)
	if err != nil {
		return false, err
	}
	var tokens []struct {
		Client  string `json:"client_id"`
		Enabled bool
	}
	if err := g.ask(ctx, client, http.MethodGet, glewlwydPath+"/token/?limit=1000", nil, &tokens); err != nil {
		return false, err
	}
	for _, token := range tokens {
		if token.Enabled && token.Client == p.ClientID {
			return false, nil
		}
	}
	return true, nil
}
