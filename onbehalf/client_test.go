package onbehalf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

func TestClient_EXCH_24(t *testing.T) {
	for _, row := range []struct {
		base, url string
		added     bool
	}{
		{api, api, true},
		{api, api + "/customers?a=b", true},
		{api, "https://API.example.com:443/customers", true},
		{api, "http://api.example.com/customers", false},
		{api, "https://api.example.com:8443/customers", false},
		{api, "https://evil.example.com/", false},
		{api, "https://api.example.com.evil.example/", false},
		{api + "/v1", api + "/v1", true},
		{api + "/v1", api + "/v1/x", true},
		{api + "/v1/", api + "/v1/x", true},
		{api + "/v1", api + "/v10", false},
		{api + "/v1", api + "/", false},
		{api + "/v1", api + "/v1/../admin", false},
		{api + "/v1", api + "/v1/%2e%2e/admin", false},
		{api + "/v1", api + "/v1%2f..%2fadmin", false},
		{api + "/v1", api + `/v1/..%5cadmin`, false},
		{api + "/v1", api + `/v1/..;a=b/admin`, false},
		{api + "/v1", api + `/v1/%2e%2e%3b/admin`, false},
		{api + "/v1", api + "/v1/%252E%252e/admin", false},
		{api + "/v1", api + "/v1/x%25252f..%25252fadmin", false},
		{api + "/v1", api + "/v1/100%25/..x/v1..2;x", true},
		{api + "/v1", api + "/V1/x", false},
	} {
		t.Run(row.base+" "+row.url, func(t *testing.T) {
			s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.URL = row.base })})
			s.during(s.token(nil), func(ctx context.Context) {
				response, err := s.exchanger.Client(ctx, "crm").Get(row.url)
				require.NoError(t, err)
				assert.Equal(t, http.StatusOK, response.StatusCode)
			})
			require.Len(t, s.called, 1)
			assert.Equal(t, row.added, s.called[0].Header.Get("Authorization") != "")
			assert.Equal(t, row.added, s.count() == 1)
			assert.Equal(t, !row.added, strings.Contains(s.log.String(), "without a token"), "who wonders about a 401 finds it in the debug log")
		})
	}
}

// What a server takes for the URL of a request is more than what is dialed.
func TestClient_Host_EXCH_24(t *testing.T) {
	for name, row := range map[string]struct {
		edit  func(*http.Request)
		added bool
	}{
		"none":                     {func(r *http.Request) { r.Host = "" }, true},
		"the same":                 {func(r *http.Request) { r.Host = "API.example.com:443" }, true},
		"that of another customer": {func(r *http.Request) { r.Host = "evil.example.com" }, false},
		"another port":             {func(r *http.Request) { r.Host = "api.example.com:8443" }, false},
		"a path that is not seen":  {func(r *http.Request) { r.URL.Opaque = "/admin" }, false},
	} {
		s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.URL = api + "/v1" })})
		s.during(s.token(nil), func(ctx context.Context) {
			r, err := http.NewRequest(http.MethodGet, api+"/v1/x", nil)
			require.NoError(t, err)
			row.edit(r)
			_, err = s.exchanger.Client(ctx, "crm").Do(r)
			require.NoError(t, err)
		})
		require.Len(t, s.called, 1)
		assert.Equal(t, row.added, s.called[0].Header.Get("Authorization") != "", name)
	}
	s := newSite(t, change{})
	s.during(s.token(nil), func(ctx context.Context) {
		at, err := url.Parse(api)
		require.NoError(t, err)
		_, err = s.exchanger.Client(ctx, "crm").Transport.RoundTrip(&http.Request{URL: at})
		require.NoError(t, err)
	})
	assert.NotEmpty(t, s.called[0].Header.Get("Authorization"), "a request that has no header yet")
}

func TestClient_Redirects_EXCH_24(t *testing.T) {
	for _, row := range []struct {
		to    string
		added bool
	}{{"https://evil.example.com/", false}, {"https://sub.api.example.com/", false}, {"http://api.example.com/", false}, {api + "/elsewhere", true}} {
		s := newSite(t, change{})
		s.apis = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/customers" {
				http.Redirect(w, r, row.to, http.StatusTemporaryRedirect)
			}
		}
		s.during(s.token(nil), func(ctx context.Context) {
			_, err := s.exchanger.Client(ctx, "crm").Post(api+"/customers", "text/plain", strings.NewReader("x"))
			require.NoError(t, err)
		})
		require.Len(t, s.called, 2)
		assert.NotEmpty(t, s.called[0].Header.Get("Authorization"))
		assert.Equal(t, row.added, s.called[1].Header.Get("Authorization") != "", row.to)
	}
}

// A client that somebody kept acts for nobody.
func TestClient_Kept_EXCH_24(t *testing.T) {
	s := newSite(t, change{config: func(c *onbehalf.Config) { c.Targets["none"] = onbehalf.Target{Audience: "crm"} }})
	var kept *http.Client
	u1, u2 := s.token(nil), s.token(mcpauthtest.Claims{"sub": "user-2"})
	s.during(u1, func(ctx context.Context) {
		kept = s.exchanger.Client(ctx, "crm")
		_, err := kept.Get(api)
		require.NoError(t, err)
	})
	s.during(u2, func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
		require.NoError(t, err)
		_, err = kept.Do(r)
		assert.Equal(t, onbehalf.Over, failure(t, err).Kind)
		for _, name := range []string{"Authorization", "authorization"} {
			r.Header = http.Header{name: {"Bearer mine"}}
			_, err = s.exchanger.Client(ctx, "crm").Do(r)
			assert.Equal(t, onbehalf.Misconfigured, failure(t, err).Kind)
		}
		for _, target := range []string{"none", "erp"} {
			_, err = s.exchanger.Client(ctx, target).Post(api, "text/plain", strings.NewReader("x"))
			assert.Equal(t, onbehalf.Misconfigured, failure(t, err).Kind)
		}
	})
	assert.Len(t, s.called, 1)
}

// A request to the API that has no end of its own ends with that of the caller.
func TestClient_EndsWithItsRequest_EXCH_24(t *testing.T) {
	type name struct{}
	for title, own := range map[string]func(ctx context.Context) context.Context{
		"without a context": func(context.Context) context.Context { return context.Background() },
		"with values only":  func(context.Context) context.Context { return context.WithValue(context.Background(), name{}, "v") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, change{})
			s.apis = func(_ http.ResponseWriter, r *http.Request) {
				assert.Equal(t, own(nil).Value(name{}), r.Context().Value(name{}), title)
				<-r.Context().Done()
			}
			s.during(s.token(nil), func(ctx context.Context) {
				ctx, leave := context.WithTimeout(ctx, time.Second)
				defer leave()
				r, err := http.NewRequestWithContext(own(ctx), http.MethodGet, api, nil)
				require.NoError(t, err)
				_, err = s.exchanger.Client(ctx, "crm").Do(r)
				assert.ErrorIs(t, err, context.DeadlineExceeded, title)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		s.apis = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		s.during(s.token(nil), func(ctx context.Context) {
			mine, leave := context.WithTimeout(context.Background(), 2*time.Second)
			defer leave()
			short, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			r, err := http.NewRequestWithContext(mine, http.MethodGet, api, nil)
			require.NoError(t, err)
			begun := time.Now()
			_, err = s.exchanger.Client(short, "crm").Do(r)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 2*time.Second, time.Since(begun), "one that has an end keeps it")
		})
	})
}

// withPolicy is a site whose policy exchanges for the tool echo.
func withPolicy(t *testing.T, next mcpauth.Policy) *site {
	return newSite(t, change{config: stepsUp, auth: func(c *mcpauth.Config) { c.Policy = next }, tools: map[string]string{"echo": "crm"}})
}

func stepsUp(c *onbehalf.Config) { crm(func(t *onbehalf.Target) { t.StepUp = []string{"crm:act"} })(c) }

var tools = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read"), "free": mcpauth.Authenticated()}}

func TestPolicy_EXCH_15_EXCH_19(t *testing.T) {
	for _, row := range []struct {
		name     string
		endpoint http.HandlerFunc
		claims   mcpauthtest.Claims
		tool     string
		status   int
		scope    string
		posts    int
	}{
		{"good", nil, nil, "echo", 200, "", 1},
		{"too narrow", says(400, `{"error":"invalid_scope"}`), nil, "echo", 403, "mcp:read crm:act", 1},
		{"down", says(503, ""), nil, "echo", 503, "", 1},
		{"the user has to agree, which the handler explains", says(400, `{"error":"consent_required"}`), nil, "echo", 200, "", 1},
		{"refused, which the handler explains", says(400, `{"error":"invalid_grant"}`), nil, "echo", 200, "", 1},
		{"misconfigured, which the log explains", says(401, `{"error":"invalid_client"}`), nil, "echo", 200, "", 1},
		{"too narrow with all that is asked for", says(400, `{"error":"invalid_scope"}`), mcpauthtest.Claims{"scope": "mcp:read crm:act"}, "echo", 200, "", 1},
		{"a caller who lacks scopes", nil, mcpauthtest.Claims{"scope": "x"}, "echo", 403, "mcp:read", 0},
		{"a tool that calls nobody", nil, nil, "free", 200, "", 0},
		{"a tool that is not there", nil, nil, "none", 403, "", 0},
	} {
		for form, nested := range map[string]bool{"of rules": false, "nested": true} {
			t.Run(form+"/"+row.name, func(t *testing.T) {
				s := newSite(t, change{config: stepsUp, auth: func(c *mcpauth.Config) { c.Policy = tools }, tools: map[string]string{"echo": "crm"}, nested: nested})
				s.endpoint = row.endpoint
				ran := 0
				s.inner = func(w http.ResponseWriter, _ *http.Request) {
					ran++
					w.Header().Set("Content-Type", "application/json")
				}
				w := s.send(s.token(row.claims), row.tool, "")
				assert.Equal(t, row.status, w.Code, w.Body)
				assert.Equal(t, row.status == 200, ran == 1)
				challenge := w.Header().Get("WWW-Authenticate")
				assert.Equal(t, row.scope != "", strings.Contains(challenge, `scope="`+row.scope+`"`), challenge)
				assert.Equal(t, row.status == 503, w.Header().Get("Retry-After") != "")
				assert.Equal(t, row.posts, s.count())
			})
		}
	}
}

// Rules to which exchanges are added stay rules: New checks them and what is added, and a hierarchy of scopes counts.
func TestPolicy_OfRules_EXCH_19(t *testing.T) {
	exchanger := newSite(t, change{}).exchanger
	for name, row := range map[string]struct {
		rules mcpauth.Policy
		tools map[string]string
		want  []string
	}{
		"a mistake in the rules": {mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("a b")}}, map[string]string{"echo": "crm"}, []string{`Policy.Tools["echo"]`}},
		"no such target":         {tools, map[string]string{"echo": "crn", "free": "crm"}, []string{`Policy`, `onbehalf.Policy: tools["echo"] = "crn": Config.Targets has no such target`}},
		"a nil policy":           {(*mcpauth.Rules)(nil), nil, []string{"a nil *mcpauth.Rules"}},
		"no policy":              {nil, map[string]string{"echo": "x"}, []string{`tools["echo"]`}},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{{URL: issuerURL}}, Policy: exchanger.Policy(row.rules, row.tools)})
		for _, want := range row.want {
			assert.ErrorContains(t, err, want, name)
		}
	}
}

// Who has the scopes by a hierarchy has them.
func TestPolicy_Hierarchy_EXCH_19(t *testing.T) {
	s := newSite(t, change{config: stepsUp, tools: map[string]string{"echo": "crm"}, auth: func(c *mcpauth.Config) {
		c.Policy, c.Implies = tools, map[string][]string{"mcp:all": {"mcp:read"}}
	}})
	s.endpoint = says(400, `{"error":"invalid_scope"}`)
	w := s.send(s.token(mcpauthtest.Claims{"scope": "mcp:all"}), "echo", "")
	assert.Equal(t, 403, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `scope="mcp:read crm:act"`)
	assert.Equal(t, 1, s.count())
}

// Lists ask the policy about each entry, and cost no exchange.
func TestPolicy_Lists_EXCH_19(t *testing.T) {
	s := withPolicy(t, tools)
	s.endpoint = says(503, "")
	s.inner = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"free"},{"name":"none"}]}}`))
	}
	w := s.post(s.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "MCP-Protocol-Version", "2025-11-25")
	assert.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"free"}]}}`, w.Body.String())
	assert.Zero(t, s.count())
}

// A stream whose call was decided on is asked about again, and an outage of the endpoint does not end it.
func TestPolicy_Stream_EXCH_15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withPolicy(t, tools)
		s.inner = func(w http.ResponseWriter, r *http.Request) {
			s.endpoint = says(503, "")
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Minute)
			assert.NoError(t, r.Context().Err())
		}
		s.send(s.token(mcpauthtest.Claims{"exp": unix(time.Hour)}), "echo", "")
		assert.Equal(t, 1, s.count())
	})
}

// A client that steps up and is refused again is not sent there once more.
func TestStepUp_Stops_EXCH_19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withPolicy(t, tools)
		s.endpoint = says(400, `{"error":"invalid_scope"}`)
		s.inner = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") }
		t1, t2 := s.token(nil), s.token(nil) // the server grants nothing more
		for _, row := range []struct {
			token  string
			status int
		}{{t1, 403}, {t1, 403}, {t2, 200}, {s.token(nil), 200}} {
			assert.Equal(t, row.status, s.send(row.token, "echo", "").Code)
		}
		assert.Equal(t, 403, s.send(s.token(mcpauthtest.Claims{"sub": "user-2"}), "echo", "").Code, "it is somebody else's first")
		assert.Equal(t, 403, s.send(s.token(mcpauthtest.Claims{"client_id": "client-2"}), "echo", "").Code, "and the first of the user's other client")
		err := s.fails(t2)
		assert.Equal(t, onbehalf.Refused, err.Kind)
		assert.Empty(t, err.Scopes)
		time.Sleep(5 * time.Minute)
		assert.Equal(t, 403, s.send(s.token(nil), "echo", "").Code)
	})
}

const elicits = `,"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}`

// What the client is answered, as a whole.
func TestAnswer_EXCH_18_EXCH_19(t *testing.T) {
	consent := `{"error":"consent_required"}`
	page := func(context.Context, *onbehalf.Error) (string, error) {
		return "https://mcp.example.com/consent?for=crm", nil
	}
	for _, row := range []struct {
		name    string
		says    string
		consent func(context.Context, *onbehalf.Error) (string, error)
		legacy  bool
		session bool // what the session said
		meta    string
		form    onbehalf.Form
		want    string
	}{
		{"a modern client", consent, page, false, false, elicits, onbehalf.InputRequired,
			`{"resultType":"input_required","inputRequests":{"consent":{"method":"elicitation/create","params":{"mode":"url","message":"the user's consent is needed","url":"https://mcp.example.com/consent?for=crm"}}}}`},
		{"a modern client whose user has opened the page and is not done", consent, page, false, false, elicits + `},"inputResponses":{"consent":{"action":"accept"}`, onbehalf.InputRequired,
			`{"resultType":"input_required","inputRequests":{"consent":{"method":"elicitation/create","params":{"mode":"url","message":"the user's consent is needed","url":"https://mcp.example.com/consent?for=crm"}}}}`},
		{"one whose user declines is not asked again", consent, page, false, false, elicits + `},"inputResponses":{"consent":{"action":"decline"}`, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed"}]}`},
		{"one whose user closes the window", consent, page, false, false, elicits + `},"inputResponses":{"consent":{"action":"cancel"}`, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed"}]}`},
		{"one of 2025-11-25", consent, page, true, true, "", onbehalf.RPCError,
			`{"code":-32042,"message":"the user's consent is needed","data":{"elicitations":[{"mode":"url","elicitationId":"ID","message":"the user's consent is needed","url":"https://mcp.example.com/consent?for=crm"}]}}`},
		{"a modern one that opens no URL", consent, page, false, true, "", onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed: https://mcp.example.com/consent?for=crm"}]}`},
		{"a modern one that elicits forms", consent, page, false, false, `,"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":null}}`, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed: https://mcp.example.com/consent?for=crm"}]}`},
		{"an older one", consent, page, true, false, "", onbehalf.ToolResult,
			`{"isError":true,"content":[{"type":"text","text":"the user's consent is needed: https://mcp.example.com/consent?for=crm"}]}`},
		{"no page", consent, nil, false, false, elicits, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed"}]}`},
		{"a page by http", consent, func(context.Context, *onbehalf.Error) (string, error) { return "http://mcp.example.com/canary", nil }, false, false, elicits, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed"}]}`},
		{"a script for a page", consent, func(context.Context, *onbehalf.Error) (string, error) { return "javascript:alert(1)", nil }, false, false, elicits, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"the user's consent is needed"}]}`},
		{"more scopes", `{"error":"invalid_scope"}`, page, false, false, elicits, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"more scopes are needed"}],"_meta":{"mcp/www_authenticate":["Bearer error=\"insufficient_scope\", scope=\"crm:act\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""]}}`},
		{"more scopes, for a client that forgets", `{"error":"invalid_scope"}`, page, true, true, "", onbehalf.ToolResult,
			`{"isError":true,"content":[{"type":"text","text":"more scopes are needed"}],"_meta":{"mcp/www_authenticate":["Bearer error=\"insufficient_scope\", scope=\"mcp:read crm:act\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""]}}`},
		{"refused", `{"error":"invalid_grant"}`, page, false, false, elicits, onbehalf.ToolResult,
			`{"resultType":"complete","isError":true,"content":[{"type":"text","text":"refused"}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.Consent, t.StepUp = row.consent, []string{"crm:act"} })})
			s.endpoint = says(400, row.says)
			var answer onbehalf.Answer
			ran := false
			s.inner = func(w http.ResponseWriter, r *http.Request) {
				ran = true
				_, err := s.exchanger.Token(r.Context(), "crm")
				answer = s.exchanger.Answer(r.Context(), err, row.session)
				w.Header().Set("Content-Type", "application/json")
			}
			if row.legacy {
				s.post(s.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}`, "MCP-Protocol-Version", "2025-11-25")
			} else {
				s.send(s.token(nil), "echo", row.meta)
			}
			require.True(t, ran)
			assert.Equal(t, row.form, answer.Form)
			assert.JSONEq(t, row.want, string(withoutID(answer.JSON)))
		})
	}
	a := newSite(t, change{}).exchanger.Answer(t.Context(), context.Canceled, true)
	assert.JSONEq(t, `{"isError":true,"content":[{"type":"text","text":"refused"}]}`, string(a.JSON), "of something else")
}

// withoutID puts ID in place of the random elicitationId.
func withoutID(text json.RawMessage) []byte {
	const name = `"elicitationId":"`
	before, rest, found := bytes.Cut(text, []byte(name))
	if !found {
		return text
	}
	_, after, _ := bytes.Cut(rest, []byte(`"`))
	return append(append(before, name+`ID"`...), after...)
}
