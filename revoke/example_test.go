package revoke_test

import (
	"context"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// All that a user was given until now is good no more, in whatever replica it comes.
func Example() {
	ctx := context.Background()
	store, key := revoke.MemoryStore(), []byte("32 bytes, of crypto/rand in truth")
	issuer, subject := "https://login.example.com", "alice"
	var config mcpauth.Config

	list, err := revoke.New(store, key)
	if err != nil {
		log.Fatal(err)
	}
	config.Revoked = list.Revoked
	err = list.RevokeSubject(ctx, issuer, subject, time.Now(), time.Now().Add(24*time.Hour))
	if err != nil {
		log.Fatal(err)
	}

	as := mcpauthtest.NewIssuerAt(exampleTB{}, issuer)
	for _, subject := range []string{"alice", "bob"} {
		revoked, err := config.Revoked(ctx, as.Principal(mcpauthtest.Claims{"sub": subject}))
		fmt.Println(subject, revoked, err)
	}
	// Output:
	// alice true <nil>
	// bob false <nil>
}

// exampleTB lets an example have what a test has.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                      {}
func (exampleTB) Cleanup(func())               {}
func (exampleTB) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }
