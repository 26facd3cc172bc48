package auditlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// schema says what a record may hold: every member, and its form.
var schema = map[string]string{
	"time": `^"\d{4}-\d\d-\d\dT[0-9:.]+Z"$`, "id": `^"[0-9a-f]{16}"$`, "event": `^"(decision|scope_elevated)"$`,
	"decision": `^"(allow|deny)"$`, "reason": `^"[a-z_]+"$`, "cause": `^"[a-z0-9-]+"$`, "status": `^[45]\d\d$`,
	"iss": `^"https://as\.example\.com"$`, "sub": `^"user-1"$`, "client_id": `^"client-1"$`, "kid": `^"k1"$`, "actors": `^\["gateway"\]$`,
	"token_fingerprint": `^"[0-9a-f]{16}"$`, "session_fingerprint": `^"[0-9a-f]{16}"$`,
	"unverified_iss": `^"`, "unverified_kid": `^"`, "http_method": `^"[A-Z]+"$`, "era": `^"(legacy|modern)"$`,
	"config": `^"[0-9a-f]{16}"$`, "generation": `^1$`, "remote": `^"192\.0\.2\.1"$`, "duration_us": `^\d+$`, "calls": `^\[`, "elevated_from": `^"[0-9a-f]{16}"$`,
}

func members(t *testing.T, r auditlog.Record) map[string]json.RawMessage {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// Each row is a request; the record must have these members and no others.
func TestSchema_AUDIT_02(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{}, func(c *mcpauth.Config) {
		c.Issuers[0].RequireClaims = map[string][]string{"tid": {"a"}}
	})
	const always = "time id event decision http_method remote duration_us config generation"
	const principal = " iss sub client_id kid token_fingerprint"
	for _, row := range []struct {
		name, token, body, has string
		headers                []string
	}{
		{"AUDIT-02 allowed", s.token(mcpauthtest.Claims{"tid": "a"}), call(1, "echo"), principal + " era calls", nil},
		{"AUDIT-02 allowed for an agent", s.token(mcpauthtest.Claims{"tid": "a", "act": map[string]any{"sub": "gateway"}}), call(1, "echo"), principal + " era calls actors", nil},
		{"AUDIT-02 no token", "", call(1, "echo"), " reason cause status", nil},
		{"AUDIT-02 lacks a scope", s.token(mcpauthtest.Claims{"tid": "a"}), call(1, "admin_x"), principal + " era calls reason cause status", nil},
		{"AUDIT-02 wrong tenant", s.token(nil), call(1, "echo"), principal + " reason cause status", nil},
		{"AUDIT-05 claims that nobody has verified", s.issuer.Token(mcpauthtest.Claims{"aud": "x"}), call(1, "echo"),
			" token_fingerprint unverified_iss unverified_kid reason cause status", nil},
		{"AUDIT-02 garbage", "abc", call(1, "echo"), " token_fingerprint reason cause status", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.post(row.token, row.body, row.headers...)
			got := members(t, sink.last(t))
			var names []string
			for name, value := range got {
				names = append(names, name)
				assert.Regexp(t, schema[name], string(value), name)
			}
			assert.ElementsMatch(t, strings.Fields(always+row.has), names)
		})
	}
}

// TestPageRecord: the record that the guide shows is that of such a call today.
func TestPageRecord_AUDIT_02_TEST_16(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(strings.ReplaceAll(string(page), "\r\n", "\n"), "\n    {\"seq\":1,")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "\n\n")
	var want, got map[string]any
	require.NoError(t, json.Unmarshal([]byte("{"+shown), &want))

	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{}, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"edit_dashboard": mcpauth.Scopes("dashboard:modify")}}
	})
	s.post(s.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"edit_dashboard","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`,
		"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: edit_dashboard")
	text, err := json.Marshal(sink.last(t))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &got))
	for _, varies := range []string{"time", "id", "iss", "kid", "token_fingerprint", "duration_us", "config"} {
		require.Contains(t, want, varies)
		require.Contains(t, got, varies)
		delete(want, varies)
		delete(got, varies)
	}
	assert.Equal(t, got, want)
}

// TestReload_RELOAD_08: a change of the configuration is a record of its own, whether it comes into force or not, and with
// FailClosed one that cannot be kept does not.
func TestReload_RELOAD_08(t *testing.T) {
	sink := &memory{}
	var config mcpauth.Config
	s := newServer(t, sink, auditlog.Options{FailClosed: true}, func(c *mcpauth.Config) { config = *c })
	config.Leeway = 7 * time.Second
	first := s.auth.ConfigStatus().Fingerprint
	require.NoError(t, s.auth.Reload(t.Context(), config, "mcpauth.json"))
	now := s.auth.ConfigStatus().Fingerprint
	short := func(fingerprint string) string { return strings.TrimPrefix(fingerprint, "sha256:")[:16] }
	got := sink.last(t)
	assert.Regexp(t, "^[0-9a-f]{16}$", got.ID)
	assert.NotZero(t, got.Time)
	assert.Equal(t, auditlog.Record{
		Time: got.Time, ID: got.ID, Event: "reload", Decision: "allow", Config: short(first), Generation: 1,
		Change: &auditlog.Change{Source: "mcpauth.json", To: short(now), Changed: []string{"Leeway"}},
	}, got)

	config.Leeway, config.MaxBody = time.Hour, 1
	require.Error(t, s.auth.Reload(t.Context(), config, "a\nb"))
	got = sink.last(t)
	assert.Equal(t, auditlog.Record{
		Time: got.Time, ID: got.ID, Event: "reload", Decision: "deny", Config: short(now), Generation: 2,
		Change: &auditlog.Change{Source: `a\nb`, Error: "mcpauth: Config.Leeway = 1h0m0s: must be between 0 and 5m; " +
			"mcpauth: Config.MaxBody = 1: is in bytes: must be between 1024 and 67108864, or 0 for 4194304"},
	}, got)

	config.Leeway, config.MaxBody = 8*time.Second, 0
	sink.before = func() error { return errors.New("disk full") }
	require.ErrorContains(t, s.auth.Reload(t.Context(), config, ""), "disk full")
	assert.Equal(t, now, s.auth.ConfigStatus().Fingerprint)
}

func TestRulings_AUDIT_02(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	read, admin := s.token(nil), s.token(mcpauthtest.Claims{"scope": "mcp:admin db:all"})
	tool := func(name, rule, decision string, required, missing []string) auditlog.Call {
		return auditlog.Call{Method: "tools/call", Kind: "tool", Name: name, Rule: rule, Decision: decision, Required: required, Missing: missing}
	}
	for _, row := range []struct {
		name, token, body string
		want              auditlog.Call
	}{
		{"exact", read, call(1, "echo"), tool("echo", `tools["echo"]`, "allow", []string{"mcp:read"}, nil)},
		{"pattern", admin, call(1, "admin_x"), tool("admin_x", `tools["admin_*"]`, "deny", []string{"mcp:admin", "mcp:read"}, []string{"mcp:read"})},
		{"no rule", read, call(1, "none"), tool("none", "", "deny", nil, nil)},
		{"any of", admin, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"db://users"}}`,
			auditlog.Call{Method: "resources/read", Kind: "resource", Name: "db://users", Rule: `resources["db://{table}"]`, Decision: "allow", Required: []string{"db:all"}}},
		{"AUDIT-03 a query", read, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"db://one?key=1"}}`,
			auditlog.Call{Method: "resources/read", Kind: "resource", Name: "db://one", Rule: `resources["db://one?key=1"]`, Decision: "allow"}},
		{"known method", read, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
			auditlog.Call{Method: "tools/list", Kind: "method", Rule: "known method", Decision: "allow"}},
		{"prompt", read, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}`,
			auditlog.Call{Method: "prompts/get", Kind: "prompt", Name: "p", Decision: "deny"}},
		{"listed method", read, `{"jsonrpc":"2.0","id":1,"method":"vendor/x"}`,
			auditlog.Call{Method: "vendor/x", Kind: "method", Rule: `methods["vendor/x"]`, Decision: "allow"}},
		{"unknown method", read, `{"jsonrpc":"2.0","id":1,"method":"vendor/y"}`,
			auditlog.Call{Method: "vendor/y", Kind: "method", Decision: "deny"}},
		{"a URI with a second spelling", read, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"db://a/../b"}}`,
			auditlog.Call{Method: "resources/read", Kind: "resource", Name: "db://a/../b", Decision: "deny"}},
		{"two patterns", admin, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"log://users/x"}}`,
			auditlog.Call{Method: "resources/read", Kind: "resource", Name: "log://users/x", Rule: `resources["log://*"] and resources["log://{name}/x"]`, Decision: "allow", Required: []string{"db:all"}}},
		{"handshake", read, `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
			auditlog.Call{Method: "ping", Kind: "method", Rule: "handshake", Decision: "allow"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.post(row.token, row.body)
			assert.Equal(t, []auditlog.Call{row.want}, sink.last(t).Calls)
		})
	}
}

func TestBatch_AUDIT_10(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	batch := func(n int, tool string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = call(i, "echo")
		}
		all[n-1] = call(n, tool)
		return "[" + strings.Join(all, ",") + "]"
	}
	s.post(s.token(nil), batch(3, "admin_x"))
	require.Len(t, sink.all(), 1)
	r := sink.last(t)
	require.Len(t, r.Calls, 3)
	assert.Equal(t, []string{"allow", "allow", "deny"}, []string{r.Calls[0].Decision, r.Calls[1].Decision, r.Calls[2].Decision})
	assert.Equal(t, "deny", r.Decision)

	log, err := auditlog.New(sink, auditlog.Options{})
	require.NoError(t, err)
	log.OnDecision(t.Context(), mcpauth.Decision{Calls: make([]mcpauth.Call, 40)})
	r = sink.last(t)
	assert.Len(t, r.Calls, 32)
	assert.Equal(t, 8, r.Omitted)
}

// A thousand requests of all kinds, a thousand records.
func TestOnePerRequest_AUDIT_01(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	good, bad := s.token(nil), s.token(mcpauthtest.Claims{"exp": 1})
	for i := range 1000 {
		switch i % 5 {
		case 0:
			s.call(good, "echo")
		case 1:
			s.call("", "echo")
		case 2:
			s.call(bad, "echo")
		case 3:
			s.call(good, "admin_x")
		case 4:
			s.post(good, "{")
		}
	}
	assert.Len(t, sink.all(), 1000)
	counts, ids := map[string]int{}, map[string]bool{}
	for _, r := range sink.all() {
		counts[r.Decision+" "+r.Reason]++
		ids[r.ID] = true
	}
	assert.Equal(t, map[string]int{"allow ": 200, "deny no_credentials": 200, "deny expired": 200, "deny insufficient_scope": 200, "deny unreadable_body": 200}, counts)
	assert.Len(t, ids, 1000)
}

var hostile = "a\nlevel=ERROR msg=forged \x1b[2J\u202e\u2066\x00" + strings.Repeat("x", 400)

// What a sender wrote is one line of printable characters in every sink.
func TestHostileText_AUDIT_04(t *testing.T) {
	var text, jsonText bytes.Buffer
	sink := &memory{}
	s := newServer(t, tee{sink, auditlog.Slog(slog.New(slog.NewTextHandler(&text, nil))), auditlog.Slog(slog.New(slog.NewJSONHandler(&jsonText, nil)))}, auditlog.Options{})
	key := s.issuer.Keys()[0]
	s.audit.OnDecision(t.Context(), mcpauth.Decision{Method: "POST", Calls: []mcpauth.Call{{Method: hostile, Kind: mcpauth.KindTool, Name: hostile}}})
	s.call(s.issuer.Token(mcpauthtest.Claims{"iss": hostile}), "echo")
	s.call(key.Sign(`{"alg":"RS256","kid":"k\u001b[1m","typ":"at+jwt"}`, `{"iss":"https://as.example.com"}`), "echo")
	s.call(s.token(mcpauthtest.Claims{"client_id": hostile, "act": map[string]any{"sub": hostile}}), "echo")
	require.Len(t, sink.all(), 4)
	for _, r := range sink.all() {
		line, err := json.Marshal(r)
		require.NoError(t, err)
		assert.NotRegexp(t, "[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]", string(line))
		assert.NotContains(t, string(line), strings.Repeat("x", 300))
	}
	for name, log := range map[string]string{"text": text.String(), "json": jsonText.String()} {
		assert.Equal(t, 4, strings.Count(log, "\n"), name)
		assert.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", log, name)
	}
	assert.Contains(t, sink.all()[0].Calls[0].Name, `a\nlevel=ERROR msg=forged \x1b[2J\u202e\u2066\x00xx`)
}

type tee []auditlog.Sink

func (all tee) Write(records ...auditlog.Record) (err error) {
	for _, sink := range all {
		err = errors.Join(err, sink.Write(records...))
	}
	return err
}

// TestLongSubjects: names that begin alike are two people in the records, and for the shares of the queue.
func TestLongSubjects_AUDIT_04_LIMITS_13(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	common := "CN=" + strings.Repeat("x", 300)
	for _, sub := range []string{common + ",OU=one", common + ",OU=two", common + ",OU=one"} {
		s.call(s.token(mcpauthtest.Claims{"sub": sub}), "echo")
	}
	records := sink.all()
	require.Len(t, records, 3)
	assert.NotEqual(t, records[0].Subject, records[1].Subject)
	assert.Equal(t, records[0].Subject, records[2].Subject)
	assert.Less(t, len(records[0].Subject), 350)
}

func TestSubjectHashed_AUDIT_08(t *testing.T) {
	sink := &memory{}
	key := bytes.Repeat([]byte{1, 2}, 16)
	s := newServer(t, sink, auditlog.Options{SubjectKey: key})
	s.call(s.token(mcpauthtest.Claims{"sub": "alice@example.com", "act": map[string]any{"sub": "bob@example.com"}}), "echo")
	s.call(s.token(mcpauthtest.Claims{"sub": "alice@example.com"}), "admin_x")
	first, second := sink.all()[0], sink.all()[1]
	assert.Regexp(t, `^hmac:[0-9a-f]{32}$`, first.Subject)
	assert.Equal(t, first.Subject, second.Subject, "the same person")
	assert.NotEqual(t, first.Subject, first.Actors[0])
	for _, r := range sink.all() {
		line, _ := json.Marshal(r)
		assert.NotContains(t, string(line), "@example.com")
	}
	_, err := auditlog.New(sink, auditlog.Options{SubjectKey: key[:31]})
	assert.ErrorContains(t, err, "31 bytes")
	_, err = auditlog.New(sink, auditlog.Options{SubjectKey: make([]byte, 32)})
	assert.ErrorContains(t, err, "32 equal bytes")
	_, err = auditlog.New(nil, auditlog.Options{})
	assert.Error(t, err)
}

// What a client says of itself is nowhere: not in a record, and not before a policy.
func TestClaimedNames_AUDIT_11(t *testing.T) {
	sink := &memory{}
	var asked []string
	s := newServer(t, sink, auditlog.Options{}, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			p, _ := mcpauth.FromContext(ctx)
			text, _ := json.Marshal([]any{call, p})
			asked = append(asked, string(text))
			return mcpauth.Authenticated(), nil
		})
	})
	info := `"clientInfo":{"name":"claimed-name","version":"1"}`
	s.post(s.token(nil), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},`+info+`}}`)
	s.post(s.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/`+info[1:]+`}}}`)
	require.Len(t, sink.all(), 2)
	require.Len(t, asked, 1)
	assert.NotContains(t, asked[0], "claimed-name")
	for _, r := range sink.all() {
		line, _ := json.Marshal(r)
		assert.NotContains(t, string(line), "claimed-name")
	}
	assert.Equal(t, "policy", sink.last(t).Calls[0].Rule)
}

func TestScopeElevated_AUDIT_06(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	more := s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
	s.call(s.token(nil), "admin_x")
	s.call(s.token(mcpauthtest.Claims{"sub": "user-2", "scope": "mcp:read mcp:admin"}), "admin_x")
	s.call(more, "echo")
	s.call(more, "admin_x")
	s.call(more, "admin_x")
	all := sink.all()
	require.Len(t, all, 5)
	for i, r := range all {
		assert.Equal(t, i == 3, r.Event == "scope_elevated", "record %d", i)
	}
	assert.Equal(t, all[0].ID, all[3].ElevatedFrom)
	less := s.token(nil)
	for i := range 5000 { // bounded, whoever knocks
		s.call(less, fmt.Sprintf("admin_%d", i))
	}
	s.call(less, "admin_x")
	s.call(more, "admin_x")
	assert.Equal(t, "scope_elevated", sink.last(t).Event)
}

func TestRemote_AUDIT_02(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{Remote: func(_ context.Context, d mcpauth.Decision) string { return "via " + d.Remote }})
	s.call("", "echo")
	assert.Equal(t, "via 192.0.2.1:1234", sink.last(t).Remote)
}

// The fingerprint of a token is that of its jti, which the issuer can find in
// its own log; one without is told from others, and the fingerprint opens nothing.
func TestFingerprints_AUDIT_02(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	fingerprint := func(token string) string {
		require.Equal(t, http.StatusOK, s.call(token, "echo"))
		return sink.last(t).TokenFingerprint
	}
	assert.Equal(t, "eb66c623572f8a2a", fingerprint(s.token(mcpauthtest.Claims{"jti": "id-1"})), "sha256 of id-1")
	unnamed := s.token(mcpauthtest.Claims{"jti": nil})
	assert.Equal(t, fingerprint(unnamed), fingerprint(unnamed))
	assert.NotEqual(t, fingerprint(unnamed), fingerprint(s.token(mcpauthtest.Claims{"jti": nil, "x": 1})))
	assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{16}$`), fingerprint(unnamed))
}

func TestSlog_AUDIT_09(t *testing.T) {
	var out bytes.Buffer
	s := newServer(t, auditlog.Slog(slog.New(slog.NewTextHandler(&out, nil))), auditlog.Options{})
	s.call(s.token(mcpauthtest.Claims{"act": map[string]any{"sub": "gateway"}}), "echo")
	s.call(s.token(mcpauthtest.Claims{"sub": "client-1"}), "admin_x")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], `msg="mcpauth: decision"`)
	assert.Contains(t, lines[0], "decision=allow")
	assert.Contains(t, lines[0], "actors=[gateway]")
	assert.Contains(t, lines[1], "decision=deny reason=insufficient_scope cause=scope-not-granted")
	assert.Contains(t, lines[1], "status=403 machine=true")
}

// A record that waits keeps its own texts, and not the token or the message of
// which they are parts.
func TestRecordOwnsItsTexts_AUDIT_07_LIMITS_13(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	strangers := func(n int) {
		for i := range n {
			s.post(s.issuer.Token(mcpauthtest.Claims{"aud": "x", "iss": fmt.Sprint("https://stranger", i, ".example"), "pad": strings.Repeat("p", 8<<10)}), call(1, "echo"))
			s.post(s.token(nil), strings.Replace(call(1, "echo"), `"echo"`, `"`+strings.Repeat("e", 8<<10)+fmt.Sprint(i)+`"`, 1))
		}
	}
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	strangers(10)
	before := live()
	const records = 600
	strangers(records / 2)
	kept := live() - before
	runtime.KeepAlive(sink)
	require.Len(t, sink.all(), records+20)
	t.Logf("%d bytes for each record", kept/records)
	assert.Less(t, kept, int64(records*(4<<10)))
}
