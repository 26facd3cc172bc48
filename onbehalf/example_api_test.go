package onbehalf_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// The test of a handler that calls another API: the fake issuer exchanges tokens, refuses and fails as it is told.
func Example_test() {
	issuer := mcpauthtest.NewIssuer(exampleTB{})
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "customers, for a caller with a token of its own: ", strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey"))
	}))
	defer crm.Close()
	exchanger, err := onbehalf.New(onbehalf.Config{
		Issuer:                issuer.URL(),
		Client:                clientauth.SecretBasic("mcp-server", "from a safe place"),
		Targets:               map[string]onbehalf.Target{"crm": {Resource: crm.URL, Scopes: []string{"crm.read"}}},
		AllowInsecureLoopback: true,
	})
	if err != nil {
		panic(err)
	}
	trusted := issuer.Config()
	trusted.AllowTokenExchange = true
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{trusted},
		Policy:                mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"customers": mcpauth.Scopes("crm:use")}},
		AllowInsecureLoopback: true,
	})
	if err != nil {
		panic(err)
	}
	handler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, err := exchanger.Client(r.Context(), "crm").Get(crm.URL + "/customers")
		if failed := (*onbehalf.Error)(nil); errors.As(err, &failed) {
			fmt.Fprint(w, failed)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))
	call := func(subject string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"customers"}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Authorization", "Bearer "+issuer.Token(mcpauthtest.Claims{"sub": subject, "aud": "https://mcp.example.com/mcp", "scope": "crm:use"}))
		handler.ServeHTTP(w, r)
		fmt.Println(w.Body)
	}

	call("alice")
	issuer.OnExchange(func(x mcpauthtest.Exchange) (mcpauthtest.Claims, error) {
		return nil, &mcpauthtest.Refusal{Code: "consent_required"}
	})
	call("bob")
	issuer.Break(mcpauthtest.TokenEndpoint, mcpauthtest.Down)
	call("carol")
	// Output:
	// customers, for a caller with a token of its own: true
	// onbehalf: crm: the user's consent is needed
	// onbehalf: crm: not available now
}

// exampleTB lets an example have what a test has. It leaves the issuer to the end of the process.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                      {}
func (exampleTB) Cleanup(func())               {}
func (exampleTB) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (exampleTB) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
