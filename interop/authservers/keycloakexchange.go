package authservers

import (
	_ "embed"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// KeycloakExchange is a realm with an MCP server that exchanges tokens, as
// Keycloak imports it when it starts.
//
//go:embed keycloak/exchange.json
var KeycloakExchange []byte

// The clients of that realm, and the secret of the one that exchanges.
const (
	ExchangeClient = "mcp-server"
	ExchangeSecret = "of-the-tests"
	ExchangeAPI    = "crm"
)

// StartKeycloakExchange is [StartKeycloakRealm] for the realm in which tokens are exchanged.
func StartKeycloakExchange(t testing.TB) *Realm {
	t.Helper()
	return startRealm(t, "/realms/exchange")
}

// SignIn gets the access token that a client without a secret has after a person
// has signed in and agreed.
func (r *Realm) SignIn(t testing.TB, client, person, scope string) string {
	t.Helper()
	config := oauth2.Config{
		ClientID: client, RedirectURL: "http://127.0.0.1/callback", Scopes: strings.Fields(scope),
		Endpoint: oauth2.Endpoint{AuthURL: r.Origin() + r.Authorize, TokenURL: r.Origin() + r.Token, AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	back, err := NewBrowser(person, false).Walk(t.Context(), config.AuthCodeURL(oauth2.GenerateVerifier(), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal("the client has no token for its code") // an error of this package may have the code
	}
	return got.AccessToken
}

// Event is one line of the log of events that Keycloak keeps for the realm.
type Event struct {
	Type, ClientID, Error string
	Details               map[string]string
}

// Events takes the events that were logged since they were last taken.
func (r *Realm) Events(t testing.TB) (events []Event) {
	t.Helper()
	r.Admin(t, http.MethodGet, "/events?max=10000", nil, &events)
	r.Admin(t, http.MethodDelete, "/events", nil, nil)
	return events
}

// EndSessions signs a person out everywhere.
func (r *Realm) EndSessions(t testing.TB, person string) {
	t.Helper()
	var found []struct{ ID string }
	r.Admin(t, http.MethodGet, "/users?exact=true&username="+url.QueryEscape(person), nil, &found)
	if len(found) != 1 {
		t.Fatalf("there are %d people %s", len(found), person)
	}
	r.Admin(t, http.MethodPost, "/users/"+found[0].ID+"/logout", nil, nil)
}

// Stop ends Keycloak, for all tests of this program. The next one that wants it
// starts another.
func (r *Realm) Stop(t testing.TB) {
	t.Helper()
	keycloakProcess = sync.OnceValues(startKeycloak)
	_ = r.process.input.Close()
	for range 300 {
		connection, err := net.Dial("tcp", r.Address())
		if err != nil {
			return
		}
		_ = connection.Close()
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("Keycloak does not end")
}

// Address is where Keycloak itself listens, behind the origin of the test.
func (r *Realm) Address() string { return "127.0.0.1:" + strconv.Itoa(r.process.port) }
