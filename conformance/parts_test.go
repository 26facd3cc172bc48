package conformance_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/internal/inprocess"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// silent counts requests and answers none.
type silent struct {
	asked []*http.Request
	err   error
}

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r)
	return nil, s.err
}

// TestForeignTargets: nothing is sent to a host that nobody has called their own.
func TestForeignTargets_DISC_05(t *testing.T) {
	for _, target := range []string{
		"https://mcp.example.com/mcp", "http://192.0.2.1/mcp", "http://127.0.0.1.example.com/", "http://localhost.example.com/mcp",
		"http://[::ffff:192.0.2.1]/mcp", "http://0.0.0.0/mcp", "http://10.0.0.1/mcp", "http://user@mcp.example.com/",
	} {
		transport := &silent{err: errors.New("nobody")}
		_, err := conformance.Run(t.Context(), conformance.Target{URL: target, Transport: transport})
		require.Error(t, err, target)
		assert.Empty(t, transport.asked, target)
		if !strings.Contains(target, "@") {
			assert.ErrorIs(t, err, conformance.ErrNotOwned, target)
		}
	}
	for _, target := range []string{"http://localhost/mcp", "http://127.0.0.2:1/mcp", "http://[::1]/mcp"} {
		transport := &silent{err: &url.Error{Op: "POST", URL: "secret", Err: errors.New("nobody")}}
		_, err := conformance.Run(t.Context(), conformance.Target{URL: target, Transport: transport})
		var unreachable *conformance.UnreachableError
		require.ErrorAs(t, err, &unreachable, target)
		assert.Equal(t, "conformance: "+target+" cannot be reached: nobody", err.Error())
		assert.Len(t, transport.asked, 1)
	}
}

func TestTargetMistakes(t *testing.T) {
	for _, tt := range []struct {
		target conformance.Target
		want   []string
	}{
		{conformance.Target{}, []string{"not an absolute"}},
		{conformance.Target{URL: "ftp://127.0.0.1/x"}, []string{"not an absolute"}},
		{conformance.Target{URL: "http://127.0.0.1/x#y", Tools: []conformance.Tool{{}, {Name: "a", Arguments: json.RawMessage(`[]`)}, {Name: "b", Arguments: json.RawMessage(`{`)}}},
			[]string{"fragment", "without a name", `tool "a"`, `tool "b"`}},
		{conformance.Target{URL: "http://127.0.0.1/x", Tools: []conformance.Tool{{Name: "a"}}, Notifier: "b"}, []string{`"b" is not one of the tools`}},
	} {
		_, err := conformance.Run(t.Context(), tt.target)
		require.Error(t, err)
		for _, want := range tt.want {
			assert.ErrorContains(t, err, want)
		}
	}
}

// TestEndedContext: a run that is cancelled ends with the cause.
func TestEndedContext_CONC_04(t *testing.T) {
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 3 {
			cancel(gone)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	_, err := conformance.Run(ctx, conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1})
	assert.ErrorIs(t, err, gone)
}

// TestRate: requests are no faster than they may be.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var seen []time.Time
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if seen = append(seen, time.Now()); len(seen) == 4 {
				cancel()
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		_, err := conformance.Run(ctx, conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: 100})
		require.ErrorIs(t, err, context.Canceled)
		require.Len(t, seen, 4)
		for i := 1; i < len(seen); i++ {
			assert.Equal(t, 10*time.Millisecond, seen[i].Sub(seen[i-1]))
		}
	})
}

// TestSigners: tokens of other kinds of keys are good tokens, for the issuer of
// which they are.
func TestSigners_TOK_32(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		signer, err := conformance.NewSigner("https://login.example.com", "ec", key)
		require.NoError(t, err)
		accepts(t, signer)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := conformance.NewSigner("https://login.example.com", "", key)
	require.NoError(t, err)
	accepts(t, signer)

	_, err = conformance.NewSigner("", "x", key)
	assert.Error(t, err)
	odd, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	_, err = conformance.NewSigner("https://login.example.com", "x", odd)
	assert.Error(t, err)
	for _, wrong := range []string{"", "://", "http://127.0.0.1:1?x", "http://127.0.0.1:1#x", "x"} {
		_, err = conformance.NewIssuer(wrong)
		assert.Error(t, err, wrong)
	}
}

// accepts runs the suite against a server that has the signer's key, and so
// proves that the tokens it makes are good, and those that shall be bad are.
func accepts(t *testing.T, signer *conformance.Signer) {
	t.Helper()
	kid, alg, public := signer.Key()
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: signer.Issuer(), Keys: pemOf(t, public), Algorithms: []string{alg}}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read": mcpauth.Scopes("notes:read")}},
	})
	require.NoError(t, err)
	handler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\ndata: " + served + "\n\n"))
	}))
	report, err := conformance.Run(t.Context(), conformance.Target{
		URL: "https://mcp.example.com/mcp", Owned: true, Rate: -1, Minter: signer, Transport: inprocess.Transport{Handler: handler},
		Tools: []conformance.Tool{{Name: "read", Scopes: []string{"notes:read"}}},
	})
	require.NoError(t, err)
	for _, finding := range report.Findings(conformance.Low) {
		// The stand-in for an MCP server serves tools that do not exist, if the gate lets them through.
		t.Errorf("%s %s: %s: %s", alg, kid, finding.ID, finding.Detail)
	}
	assert.Greater(t, report.Passed, 60)
}

// TestOperatorsToken: with a token and without a minter, what needs no other
// token is run, forgeries included.
func TestOperatorsToken_TOK_33(t *testing.T) {
	issuer := sharedIssuer()
	now := time.Now()
	mint := func(sub string) string {
		claims, err := json.Marshal(map[string]any{"iss": issuerURL, "sub": sub, "client_id": "c", "aud": resource, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
		require.NoError(t, err)
		token, err := issuer.Sign(`{"alg":"RS256","typ":"at+jwt","kid":"check-1"}`, string(claims))
		require.NoError(t, err)
		return token
	}
	target := conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: good(t, issuer)}, Rate: -1, Token: mint("a"), OtherToken: mint("b")}
	report, err := conformance.Run(t.Context(), target)
	require.NoError(t, err)
	assert.Empty(t, report.Findings(conformance.Low))
	run := map[string]conformance.Result{}
	for _, result := range report.Results {
		run[result.ID] = result
	}
	for id, want := range map[string]conformance.Outcome{
		"forgery.alg-none": conformance.Pass, "forgery.stranger": conformance.Pass, "session.foreign": conformance.Pass, "body.duplicate-names": conformance.Pass,
		"token.expired": conformance.NotRun, "forgery.hmac-public-key": conformance.NotRun, "scopes.missing": conformance.NotRun, "origin.admitted": conformance.NotRun,
	} {
		assert.Equal(t, want, run[id].Outcome, "%s: %s", id, run[id].Detail)
	}

	target.OtherToken, target.Token = "", "opaque"
	report, err = conformance.Run(t.Context(), target)
	require.NoError(t, err)
	for _, result := range report.Results {
		if result.ID == "forgery.alg-none" {
			assert.Contains(t, result.Detail, "was not accepted: it got 401")
		}
	}
}

// TestOpaqueToken: a server may take tokens that are no JWTs; they cannot be forged from.
func TestOpaqueToken(t *testing.T) {
	for token, why := range map[string]string{"opaque": "opaque", "a.b.c": "no signed JWT"} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(served))
		})
		report, err := conformance.Run(t.Context(), conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1, Token: token})
		require.NoError(t, err)
		assert.Len(t, report.Results, len(conformance.Catalogue()), "what cannot be run is listed, too")
		for _, result := range report.Results {
			if result.Group == "forgery" && result.ID != "forgery.hmac-public-key" && result.ID != "forgery.linked-key" {
				assert.Equal(t, conformance.NotRun, result.Outcome, result.ID)
				assert.Contains(t, result.Detail, why)
			}
		}
	}
}

// TestOpaqueConfusions_INTRO_03: a careless server is found out, and one that asks about the whole token and for whom
// it is passes.
func TestOpaqueConfusions_INTRO_02_INTRO_03_INTRO_16(t *testing.T) {
	const good, foreign = "opaque_Good1", "opaque_Foreign1"
	for _, row := range []struct {
		name    string
		accepts func(token string) bool
		failed  []string
	}{
		{"careful", func(token string) bool { return token == good }, nil},
		{"any active token", func(token string) bool { return token == good || token == foreign }, []string{"opaque.foreign"}},
		{"without regard to case", func(token string) bool { return strings.EqualFold(token, good) }, []string{"opaque.changed"}},
		{"the beginning", func(token string) bool { return strings.HasPrefix(token, good) }, []string{"opaque.changed"}},
		{"believes what a JWT says", func(token string) bool { return token == good || strings.Count(token, ".") == 2 }, []string{"opaque.unsigned"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				if !ok || !row.accepts(token) {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(served))
			})
			report, err := conformance.Run(t.Context(), conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1, Token: good, ForeignToken: foreign})
			require.NoError(t, err)
			outcomes, failed := 0, []string(nil)
			for _, result := range report.Results {
				if result.Group == "opaque" {
					outcomes++
					if result.Outcome == conformance.Fail {
						failed = append(failed, result.ID)
						assert.NotEmpty(t, result.Fix)
					}
				}
			}
			assert.Equal(t, 3, outcomes)
			assert.Equal(t, row.failed, failed)
		})
	}
}

// TestOpaqueMcpauth_INTRO_03: this library passes, with tokens about which it asks.
func TestOpaqueMcpauth_INTRO_03(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	config := mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(), AllowInsecureLoopback: true, Policy: mcpauth.Rules{}}
	config.Issuers[0].Introspect = issuer.Introspection()
	auth, err := mcpauth.New(config)
	require.NoError(t, err)
	handler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(served))
	}))
	report, err := conformance.Run(t.Context(), conformance.Target{
		URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1,
		Token: issuer.Opaque(mcpauthtest.Claims{"aud": resource}), ForeignToken: issuer.Opaque(mcpauthtest.Claims{"aud": "https://other.example.com"}),
	})
	require.NoError(t, err)
	passed := 0
	for _, result := range report.Results {
		assert.NotEqual(t, conformance.Fail, result.Outcome, "%s: %s", result.ID, result.Detail)
		if result.Group == "opaque" && result.Outcome == conformance.Pass {
			passed++
		}
	}
	assert.Equal(t, 3, passed)
}

// TestNoAnswer: a server that goes away in the middle is no finding.
func TestNoAnswer(t *testing.T) {
	n := 0
	report, err := conformance.Run(t.Context(), conformance.Target{URL: resource, Rate: -1, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if n++; n > 1 {
			return nil, errors.New("gone away")
		}
		return inprocess.Transport{Handler: http.NotFoundHandler()}.RoundTrip(r)
	})})
	require.NoError(t, err)
	assert.Zero(t, report.Failed)
	assert.Zero(t, report.Passed)
	assert.Contains(t, report.Results[1].Detail, "gone away")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTextTellsReasonsOnce: one line for the checks of a group that stand together and were not run for one reason.
func TestTextTellsReasonsOnce(t *testing.T) {
	report := &conformance.Report{Target: resource}
	for _, one := range [][3]string{
		{"a", "one", "no token"}, {"a", "two", "no token"}, {"a", "three", "no tool\x1b"}, {"a", "four", ""}, {"a", "five", ""},
		{"b", "six", "no token"}, {"b", "seven", "no token"}, {"c", "eight", "no token"},
	} {
		result := conformance.Result{Group: one[0], Title: one[1], Outcome: conformance.NotRun, Detail: one[2]}
		if one[2] == "" {
			result.Outcome = conformance.Pass
		}
		report.Results = append(report.Results, result)
	}
	var text strings.Builder
	require.NoError(t, report.WriteText(&text))
	_, lines, _ := strings.Cut(text.String(), "\n\n")
	lines, _, _ = strings.Cut(lines, "\n\n0 passed")
	assert.Equal(t, "a\n  - 2 checks not run: no token\n  - three\n      not run: no tool\\x1b\n  ✓ four\n  ✓ five\n\n"+
		"b\n  - 2 checks not run: no token\n\nc\n  - eight\n      not run: no token", lines)
}

// TestRenderingGolden: the three forms of a report, with texts of a hostile server in it.
func TestRenderingGolden_AUDIT_04(t *testing.T) {
	report := &conformance.Report{Target: "http://127.0.0.1/\x1b[31m", Issuer: "http://127.0.0.1:9400", Requests: 3, Passed: 1, Failed: 1, NotRun: 1, Results: []conformance.Result{
		{ID: "a.one", Group: "a", Title: "one", Severity: conformance.High, Rule: "RFC 1", Requirement: "TOK-01", Outcome: conformance.Pass},
		{ID: "a.two", Group: "a", Title: "two", Severity: conformance.Low, Rule: "RFC 2", Requirement: "TOK-02", Outcome: conformance.Fail, Detail: "got \x1b]0;x\a\u202e<b>", Fix: "mend it"},
		{ID: "b.three", Group: "b", Title: "three", Severity: conformance.Low, Rule: "RFC 3", Requirement: "TOK-03", Outcome: conformance.NotRun, Detail: "no token"},
	}}
	var text, object, junit bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.NoError(t, report.WriteJSON(&object))
	require.NoError(t, report.WriteJUnit(&junit))
	golden(t, "testdata/report.txt", text.String())
	golden(t, "testdata/report.json", object.String())
	golden(t, "testdata/report.xml", junit.String())
	for _, rendered := range []string{text.String(), junit.String()} {
		assert.NotContains(t, rendered, "\x1b")
		assert.NotContains(t, rendered, "\u202e")
	}
	var again conformance.Report
	require.NoError(t, json.Unmarshal(object.Bytes(), &again))
	assert.Equal(t, *report, again)
	require.NoError(t, xml.Unmarshal(junit.Bytes(), &struct{ XMLName xml.Name }{}))
	for _, write := range []func(*conformance.Report) error{
		func(r *conformance.Report) error { return r.WriteText(full{}) },
		func(r *conformance.Report) error { return r.WriteJSON(full{}) },
		func(r *conformance.Report) error { return r.WriteJUnit(full{}) },
	} {
		assert.ErrorIs(t, write(report), errFull)
	}
	_, err := conformance.ParseSeverity("dreadful")
	assert.Error(t, err)
	worst, err := conformance.ParseSeverity("high")
	require.NoError(t, err)
	assert.Empty(t, report.Findings(worst))
	assert.Len(t, report.Findings(conformance.Low), 1)
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestIssuerEndpoints: what a resource server asks is answered, and nothing else.
func TestIssuerEndpoints(t *testing.T) {
	issuer, err := conformance.NewIssuer("http://127.0.0.1:9400/tenant")
	require.NoError(t, err)
	for path, status := range map[string]int{
		"/.well-known/oauth-authorization-server/tenant": 200, "/.well-known/openid-configuration/tenant": 200, "/tenant/.well-known/openid-configuration": 200,
		"/tenant/jwks": 200, "/jwks": 404, "/": 404, "/tenant/token": 404,
	} {
		answer := httptest.NewRecorder()
		issuer.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, status, answer.Code, path)
		assert.NotContains(t, answer.Body.String(), `"d"`, "a private key")
	}
}

// TestModernOnly: a server that speaks nothing before 2026-07-28 is looked at in
// that revision, and a tool without scopes is one too.
func TestModernOnly_MCP_20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := sharedIssuer()
		handler := after(func(r *http.Request, answer *httptest.ResponseRecorder) {
			if r.Method == http.MethodPost && answer.Code == http.StatusOK && r.Header.Get("Mcp-Protocol-Version") != "2026-07-28" {
				answer.Code = http.StatusBadRequest
			}
		})(issuer, good(t, issuer))
		report, err := conformance.Run(t.Context(), conformance.Target{
			URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1, Minter: issuer, Tools: append([]conformance.Tool{}, tools...), Scopes: []string{"more"},
		})
		require.NoError(t, err)
		assert.Empty(t, report.Findings(conformance.Low))
		for _, result := range report.Results {
			if result.ID == "body.batch" || result.ID == "session.works" {
				assert.Equal(t, conformance.NotRun, result.Outcome, result.ID)
			}
		}

		report, err = conformance.Run(t.Context(), conformance.Target{
			URL: resource, Transport: inprocess.Transport{Handler: good(t, issuer)}, Rate: -1, Minter: issuer, Tools: []conformance.Tool{{Name: "no-rule"}},
		})
		require.NoError(t, err)
		findings := report.Findings(conformance.Low)
		require.Len(t, findings, 1, "a tool that needs no scope is refused to nobody")
		assert.Equal(t, "scopes.granted", findings[0].ID)
		assert.Contains(t, findings[0].Detail, "no-rule")
	})
}

// TestChallengeForms: what else a challenge can have wrong.
func TestChallengeForms_CHAL_04_CHAL_05(t *testing.T) {
	for _, tt := range []struct{ unauthorized, forbidden, id, detail string }{
		{`Bearer`, `Bearer`, "challenge.resource-metadata", "there is no resource_metadata"},
		{`Bearer resource_metadata="/x"`, `Bearer error="insufficient_scope"`, "challenge.resource-metadata", "not an absolute URL"},
		{`Bearer resource_metadata="https://other.example/x"`, `Bearer error="insufficient_scope"`, "challenge.resource-metadata", "on another origin"},
		{`Bearer scope="a  b"`, `Bearer error="x`, "challenge.scope", "two spaces"},
		{`Bearer scope="é"`, `Bearer`, "challenge.scope", "no scope may have"},
		{`Bearer error="invalid_token", error_description="a\"b"`, `Bearer`, "challenge.invalid-token", "may not stand there"},
		{`Bearer scope="a`, `Bearer`, "challenge.present", "has no end"},
		{`Basic realm="x"`, `Basic realm="x"`, "challenge.present", "none of them Bearer"},
		{`Bearer`, `Bearer error="x`, "scopes.challenge", "has no end"},
		{`Bearer`, `Basic realm="x"`, "scopes.challenge", "without a Bearer challenge"},
		{`Bearer`, `Bearer error="invalid_token"`, "scopes.challenge", "expected insufficient_scope"},
		{`Bearer`, `Bearer error="insufficient_scope"`, "scopes.challenge", "no resource_metadata"},
		{`Bearer`, `Bearer error="insufficient_scope", resource_metadata="http://127.0.0.1/x", scope="notes:write"`, "scopes.challenge", "expected all of"},
	} {
		report := check(t, "challenge forms", after(func(_ *http.Request, answer *httptest.ResponseRecorder) {
			switch answer.Code {
			case http.StatusUnauthorized:
				answer.Header()["Www-Authenticate"] = []string{tt.unauthorized}
			case http.StatusForbidden:
				answer.Header()["Www-Authenticate"] = []string{tt.forbidden}
			}
		}))
		for _, result := range report.Results {
			if result.ID == tt.id {
				assert.Equal(t, conformance.Fail, result.Outcome, tt.id)
				assert.Contains(t, result.Detail, tt.detail, tt.id)
			}
		}
	}
}

// TestMetadataElsewhere: a document that only the challenge leads to is looked at as well.
func TestMetadataElsewhere_PRM_31(t *testing.T) {
	for _, tt := range []struct{ document, detail string }{{`{"resource":"x"}`, "the challenge points to"}, {`[]`, "expected 200"}} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/mcp":
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="http://127.0.0.1:8080/elsewhere"`)
				w.WriteHeader(http.StatusUnauthorized)
			case "/elsewhere":
				_, _ = w.Write([]byte(tt.document))
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		})
		report, err := conformance.Run(t.Context(), conformance.Target{URL: resource, Transport: inprocess.Transport{Handler: handler}, Rate: -1})
		require.NoError(t, err)
		assert.Equal(t, "metadata.served", report.Results[1].ID)
		assert.Contains(t, report.Results[1].Detail, tt.detail)
	}
}
