package endtoend

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

func TestMain(m *testing.M) {
	if served, err := ServeIfAsked(); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every variant answers as it should: a load fails on any other status.
func TestVariants(t *testing.T) {
	issuer := fixture.NewIssuer()
	defer issuer.Close()
	for _, group := range Groups {
		var out strings.Builder
		if err := Run(&out, issuer, group, 2, 40); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 2*len(group.Variants) {
			t.Errorf("%s: %d lines", group.Name, n)
		}
	}
}

func TestFlood(t *testing.T) {
	issuer := fixture.NewIssuer()
	defer issuer.Close()
	var out strings.Builder
	if err := Flood(&out, issuer, 2, 200); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if n := issuer.Fetches(); n < 2 || n > 4 {
		t.Errorf("%d fetches of the keys, one at the start and up to three for 400 unknown keys expected", n)
	}
}
