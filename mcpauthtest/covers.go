package mcpauthtest

import (
	"net/http"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/registered"
)

// Covers fails the test for each tool, prompt and resource that no token can reach by the rules of auth, and for each rule that is
// about none of them. What only "*" is about is written into the test's log. A policy in code cannot be
// asked, and fails the test. Of the official SDK gosdk.Registered tells what a server has.
func Covers(tb testing.TB, auth *mcpauth.Middleware, has mcpauth.Registered) mcpauth.Coverage {
	tb.Helper()
	coverage := auth.Coverage(has)
	if coverage.PolicyIsCode {
		tb.Errorf("mcpauthtest: the policy is code, of which nobody knows what it would say: compare the rules on which it is built")
	}
	for _, err := range each(coverage.Err()) {
		tb.Errorf("%v", err)
	}
	for _, e := range coverage.Entries {
		if e.Rule == string(e.Kind)+`s["*"]` {
			tb.Logf("mcpauthtest: %s %q is decided by *", e.Kind, e.Name)
		}
	}
	return coverage
}

// CoversHandler is [Covers] for a server that is asked for all pages of its lists: the handler that
// [mcpauth.Middleware.Wrap] is given.
func CoversHandler(tb testing.TB, auth *mcpauth.Middleware, handler http.Handler) mcpauth.Coverage {
	tb.Helper()
	has, err := registered.By(tb.Context(), handler)
	if err != nil {
		tb.Fatalf("mcpauthtest: %v", err)
	}
	return Covers(tb, auth, has)
}

// each returns what an error joins.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}
