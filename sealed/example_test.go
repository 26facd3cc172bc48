package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

// A tool that asks for confirmation, and goes on where it was. The context is the one that [mcpauth.Middleware.Wrap]
// has given the request; here it is made for two users.
func ExampleSealer_Seal() {
	sealer, err := sealed.New(sealed.Config{Resource: "https://mcp.example.com/mcp", Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	type progress struct{ Question, Amount int }
	// transfer is the tool: requestState is "" in a first call.
	transfer := func(ctx context.Context, arguments map[string]any, requestState string) (result, nextState string) {
		call := sealed.Tool("transfer", arguments)
		if requestState == "" {
			state, err := sealer.Seal(ctx, call, progress{Question: 1, Amount: 100})
			if err != nil {
				return "cannot be done: " + err.Error(), ""
			}
			return "really?", state
		}
		var p progress
		if err := sealer.Open(ctx, call, requestState, &p); err != nil {
			return err.Error(), "" // the same words for whatever is wrong
		}
		return fmt.Sprint("done: ", p.Amount), ""
	}

	alice := mcpauthtest.NewContext(context.Background(), &mcpauth.Principal{Issuer: "https://as.example.com", Subject: "alice"})
	bob := mcpauthtest.NewContext(context.Background(), &mcpauth.Principal{Issuer: "https://as.example.com", Subject: "bob"})
	arguments := map[string]any{"to": "carol"}
	result, state := transfer(alice, arguments, "")
	fmt.Println(result)
	for _, try := range []struct {
		ctx       context.Context
		arguments map[string]any
		state     string
	}{
		{bob, arguments, state},
		{alice, map[string]any{"to": "mallory"}, state},
		{alice, arguments, "Amount=1000000"},
		{alice, arguments, state},
	} {
		result, _ = transfer(try.ctx, try.arguments, try.state)
		fmt.Println(result)
	}
	// Output:
	// really?
	// request state not accepted
	// request state not accepted
	// request state not accepted
	// done: 100
}

// The kind of an error is for the server; its text is for anybody.
func ExampleError() {
	sealer, err := sealed.New(sealed.Config{Resource: "https://mcp.example.com/mcp", Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	alice := mcpauthtest.NewContext(context.Background(), &mcpauth.Principal{Issuer: "https://as.example.com", Subject: "alice"})
	state, _ := sealer.Seal(alice, sealed.Prompt("review", nil), "draft 1")
	err = sealer.Open(alice, sealed.Prompt("publish", nil), state, new(string))
	var refused *sealed.Error
	fmt.Println(errors.Is(err, sealed.ErrState), errors.As(err, &refused))
	fmt.Println(err)
	fmt.Println(refused.Kind)
	// Output:
	// true true
	// request state not accepted
	// state-call
}

// A server that knows nothing of this package, and writes its states as they are.
func ExampleSealer_Handler() {
	const resource = "https://mcp.example.com/mcp"
	issuer := mcpauthtest.NewIssuerAt(exampleTB{}, "https://as.example.com")
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(),
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"transfer": mcpauth.Authenticated()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	sealer, err := sealed.New(sealed.Config{Resource: resource, Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println("the server sees its own state:", strings.Contains(string(body), `"requestState":"step=1"`))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"step=1"}}`)
	})
	handler := auth.Wrap(sealer.Handler(backend))

	call := func(token, more string) string {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"transfer","arguments":{"to":"carol"}` + more + `}}`
		r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	alice := issuer.Token(mcpauthtest.Claims{"aud": resource, "sub": "alice"})
	bob := issuer.Token(mcpauthtest.Claims{"aud": resource, "sub": "bob"})
	_, state, _ := strings.Cut(call(alice, ""), `"requestState":`)
	state = strings.TrimSuffix(state, "}}")
	fmt.Println("the client does not:", !strings.Contains(state, "step"))
	call(alice, `,"requestState":`+state)
	fmt.Println(call(bob, `,"requestState":`+state))
	// Output:
	// the server sees its own state: false
	// the client does not: true
	// the server sees its own state: true
	// {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"request state not accepted"}}
}
