package mcpauthtest

import (
	"crypto"
	"net/http"
	"testing"

	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/internal/inprocess"
)

// Conformance runs the suite of package conformance against a handler, in
// process, and fails the test for each finding. The target's URL is the
// resource as clients dial it; the handler is your server, as it stands at the
// root of that URL's origin, and trusts the issuer of the Minter.
//
//	issuer := mcpauthtest.NewIssuer(t)
//	mcpauthtest.Conformance(t, newServer(issuer), conformance.Target{
//		URL:    "https://notes.example.com/mcp",
//		Minter: issuer.Minter(),
//		Tools:  []conformance.Tool{{Name: "whoami", Scopes: []string{"profile:read"}}},
//	})
//
// Within [testing/synctest.Test] a Notifier that takes seconds takes no time.
//
// The report is returned for further looks; [conformance.Report.WriteText] prints it.
func Conformance(tb testing.TB, handler http.Handler, target conformance.Target) *conformance.Report {
	tb.Helper()
	target.Owned = true
	target.Rate = -1
	target.Alone = true
	target.Transport = inprocess.Transport{Handler: handler}
	report, err := conformance.Run(tb.Context(), target)
	if err != nil {
		tb.Fatalf("mcpauthtest: %v", err)
	}
	for _, finding := range report.Findings(conformance.Low) {
		tb.Errorf("%s (%s): %s: %s\n  rule: %s (%s)\n  fix: %s", finding.ID, finding.Severity, finding.Title,
			finding.Detail, finding.Rule, finding.Requirement, finding.Fix)
	}
	return report
}

// Minter lets [Conformance] sign with the issuer's current key.
func (i *Issuer) Minter() conformance.Minter { return minter{i} }

type minter struct{ issuer *Issuer }

func (m minter) Issuer() string { return m.issuer.URL() }

func (m minter) Key() (kid, alg string, public crypto.PublicKey) {
	key := m.issuer.currentKey()
	return key.ID, key.Alg, key.Private.Public()
}

func (m minter) Sign(header, claims string) (string, error) {
	return m.issuer.Sign(header, claims), nil
}
