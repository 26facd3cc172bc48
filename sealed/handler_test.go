package sealed_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

const (
	refusedBody  = `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"request state not accepted"}}`
	withheldBody = `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"request state cannot be sealed"}}`
)

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// A round trip: the backend sees its own text, byte for byte, and nothing else has changed.
func TestRoundTrip_STATE_09(t *testing.T) {
	for _, state := range []string{`"` + canary + `"`, `""`, `"a\u0062\/\"\\ \ud83d\ude00 ü"`, `"v1.AAAAAAAAAAAA"`, `"{\"step\":1}"`} {
		t.Run(state, func(t *testing.T) {
			c := newChain(t, nil)
			token := c.token(nil)
			c.asks(asking(state), `{"content":[]}`)
			first := c.echo(token, "")
			require.Equal(t, http.StatusOK, first.Code)
			sent := stateIn(t, first.Body.String())
			assert.NotContains(t, first.Body.String(), "CANARY")
			assert.Equal(t, answerWith(asking(state)), strings.Replace(first.Body.String(), `"`+sent+`"`, state, 1), "nothing else has changed")
			asked := c.body

			again := c.echo(token, `,"requestState":"`+sent+`","inputResponses":{"q":{"action":"accept"}}`)
			require.Equal(t, http.StatusOK, again.Code, again.Body)
			assert.Equal(t, strings.Replace(asked, `,"_meta"`, `,"requestState":`+state+`,"inputResponses":{"q":{"action":"accept"}},"_meta"`, 1), c.body)
			assert.Equal(t, answerWith(`{"content":[]}`), again.Body.String())
			assert.Empty(t, c.log.take())
		})
	}
}

// Events in the spellings that streams have: a byte order mark, each end of a line, data in several lines.
func TestEventSpellings_STATE_09(t *testing.T) {
	message := `{"jsonrpc":"2.0","other":{"requestState":"a"},"result":` + "%" + `{"b":{},"requestState":"` + canary + `"},"last":{"requestState":"c"},"id":1}`
	for _, text := range []string{
		"\ufeffdata: " + strings.Replace(message, "%", "", 1) + "\n\n",
		"data:" + strings.Replace(message, "%", "\r\ndata: ", 1) + "\r\n\r\n",
		"data: " + strings.Replace(message, "%", "\ndata:", 1) + "\n\n",
		"id: 1\ndata: [\ndata: ]\n\n: {\n\ndatum: {\nevent: message\ndata: " + strings.Replace(message, "%", "", 1) + "\n\n",
		"data: " + strings.Replace(message, "%", "", 1),
		"id: 1\rdata: " + strings.Replace(message, "%", "\rdata: ", 1) + "\r\r",
		": x\rdata: " + strings.Replace(message, "%", "\ndata: ", 1) + "\n\n",
		": x\rdata: {\"a\":1,\ndata: \"result\":{\"requestState\":\"" + canary + "\"}}\n\n",
		": {\nda: {\nxxxx: {\ndata\ndatax: {\nxdata: {\ndata: " + strings.Replace(message, "%", "", 1) + "\n\n",
		"data: " + strings.Replace(message, "%", "\n\ufeff\ndata: ", 1) + "\n\n", // such a mark is one at the beginning alone
		// Events that are no messages, and leave nothing behind.
		"data: {\n\ndata: " + strings.Replace(message, "%", "", 1) + "\n\n",
		"data: {\"a\":\"x\n\ndata: " + strings.Replace(message, "%", "", 1) + "\n\n",
		"data: {\r\n\ndata: " + strings.Replace(message, "%", "", 1) + "\r\n\n",
		// No JSON: a reader that does not mind has a state in it.
		"data: {\"a\":\"x\ndata: y\",\"result\":{\"requestState\":\"" + canary + "\"}}\n\n",
	} {
		sealsOne(t, text, true)
	}
}

// Names, and texts in front of them, in the spellings that JSON has; and in some that it has not, and a reader may take.
func TestSpellings_STATE_09(t *testing.T) {
	result := `"result":{"requestState":"` + canary + `"}`
	for _, text := range []string{
		`{"\u0072esu\u006ct":{"reque\u0073t\u0053tate":"` + canary + `"}}`,
		`{"resu\u006Ct":{"REQUESTstate":"` + canary + `"}}`,
		`{"a":"x\"",` + result + `}`, `{"a":"x\\",` + result + `}`, `{"a":"\u00e9\\\"",` + result + `}`,
		`[] {` + result + `}`, `"a"{` + result + `}`, `{"a":[{}]}[{` + result + `}]`,
		`]}{` + result + `}`, `{"a":"b"` + result + `}`, `{"a":,` + result + `}`, `{"a":{"b":}` + result + `}`,
	} {
		sealsOne(t, text, false)
		sealsOne(t, "data: "+text+"\n\n", true)
	}
}

// What only looks like a name or place of a state is nobody's.
func TestOtherNames_STATE_09(t *testing.T) {
	s := newSealer(t, sealed.Config{})
	for _, text := range []string{
		`{"xresult":{"requestState":"NY"}}`, `{"resultx":{"requestState":"NY"}}`, `{"resul":{"requestState":"NY"}}`, `{"abcdef":{"requestState":"NY"}}`,
		`{"\/result":{"requestState":"NY"}}`, `{"re\nsult":{"requestState":"NY"}}`, `{"re sult":{"requestState":"NY"}}`, "{\"\ufeffresult\":{\"requestState\":\"NY\"}}",
		`{"\u0f72esult":{"requestState":"NY"}}`, `{"\u9072esult":{"requestState":"NY"}}`, `{"\u0f72\u0065sult":{"requestState":"NY"}}`,
		`{"result":{"xrequestState":"NY","requestStatex":"NY","abcdefghijkl":"NY","\nrequestState":"NY"}}`,
		`{"result":{"content":[{"text":"\u00e9"}]}}`, `{"a":"result","requestState":"NY"}`, `[["result",{"requestState":"NY"}]]`,
		`{"result":{a:"requestState",b:"NY"}}`, // no JSON: a reader that does not mind has no state in it
	} {
		for _, size := range []int{len(text) + 8, 1, 5} {
			got, ok := through(s, text, size, false)
			assert.True(t, ok, text)
			assert.Equal(t, text, got)
			event := "data: " + text + "\n\n"
			got, ok = through(s, event, size, true)
			assert.True(t, ok, event)
			assert.Equal(t, event, got)
		}
	}
}

// A state that looks sealed is sealed again; and one that a handler has sealed by hand comes back to it.
func TestTwice_STATE_09(t *testing.T) {
	c := newChain(t, nil)
	token := c.token(nil)
	c.asks(asking(`"x"`), `{}`)
	one := stateIn(t, c.echo(token, "").Body.String())
	c.asks(asking(quoted(one)), `{}`)
	two := stateIn(t, c.echo(token, "").Body.String())
	assert.NotEqual(t, one, two)
	require.Equal(t, http.StatusOK, c.echo(token, `,"requestState":"`+two+`"`).Code)
	assert.Contains(t, c.body, one)

	hand := newSealer(t, sealed.Config{})
	state, err := hand.Seal(mcpauthtest.NewContext(t.Context(), c.issuer.Principal(nil)), sealed.Tool("echo", json.RawMessage(`{"a":1}`)), "x")
	require.NoError(t, err)
	w := c.echo(token, `,"requestState":"`+state+`"`)
	assert.Equal(t, refusedBody, w.Body.String(), "by hand is another form")
	assert.Contains(t, c.log.take(), "cause=state-forged")
}

// For every cause the same bytes, whoever asks; the log knows which.
func TestRefused_STATE_03_STATE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, nil)
		u1 := mcpauthtest.Claims{"sub": "u1", "exp": time.Now().Add(time.Hour).Unix()}
		token := c.token(u1)
		c.asks(asking(`"` + canary + `"`))
		sent := stateIn(t, c.echo(token, "").Body.String())
		retry := `,"requestState":"` + sent + `"`
		c.ran = 0

		other := newChain(t, func(next http.Handler) http.Handler {
			return newSealer(t, sealed.Config{Keys: [][]byte{keyOf("other")}}).Handler(next)
		})
		other.asks(asking(`"x"`))
		foreign := stateIn(t, other.echo(other.token(u1), "").Body.String())

		var header http.Header
		for _, row := range []struct {
			cause sealed.Kind
			send  func() *httptest.ResponseRecorder
		}{
			{sealed.Malformed, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":"step=1"`) }},
			{sealed.Malformed, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":""`) }},
			{sealed.Malformed, func() *httptest.ResponseRecorder { return c.echo(token, `,"request\u0053tate":"step=1"`) }},
			{sealed.UnknownKey, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":"`+foreign+`"`) }},
			{sealed.Forged, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":"`+sent[:len(sent)-1]+`"`) }},
			{sealed.OtherPrincipal, func() *httptest.ResponseRecorder { return c.echo(c.token(mcpauthtest.Claims{"sub": "u2"}), retry) }},
			{sealed.OtherClient, func() *httptest.ResponseRecorder {
				return c.echo(c.token(mcpauthtest.Claims{"sub": "u1", "client_id": "c2"}), retry)
			}},
			{sealed.OtherCall, func() *httptest.ResponseRecorder {
				return c.post(token, "tools/call", "other", `"name":"other","arguments":{"a":1}`+retry)
			}},
			{sealed.OtherCall, func() *httptest.ResponseRecorder {
				return c.post(token, "prompts/get", "echo", `"name":"echo","arguments":{"a":1}`+retry)
			}},
			{sealed.OtherArguments, func() *httptest.ResponseRecorder {
				return c.post(token, "tools/call", "echo", `"name":"echo","arguments":{"a":"1"}`+retry)
			}},
			{sealed.Misplaced, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":1`) }},
			{sealed.Misplaced, func() *httptest.ResponseRecorder { return c.echo(token, `,"requestState":{"a":1}`) }},
			{sealed.Misplaced, func() *httptest.ResponseRecorder { return c.post(token, "tools/list", "", `"cursor":null`+retry) }},
			{sealed.Expired, func() *httptest.ResponseRecorder { time.Sleep(601 * time.Second); return c.echo(token, retry) }},
		} {
			c.log.take()
			w := row.send()
			assert.Equal(t, http.StatusBadRequest, w.Code, row.cause)
			assert.Equal(t, refusedBody, w.Body.String(), row.cause)
			if header == nil {
				header = w.Result().Header
				assert.Equal(t, http.Header{
					"Cache-Control": {"no-store"}, "Content-Length": {fmt.Sprint(len(refusedBody))}, "Content-Type": {"application/json"},
					"Vary": {"Authorization"}, "X-Content-Type-Options": {"nosniff"},
				}, header)
			}
			assert.Equal(t, header, w.Result().Header, row.cause)
			line := c.log.take()
			assert.Contains(t, line, "cause="+string(row.cause)+" ")
			for _, secret := range []string{"CANARY", sent, "step=1", "u1", "u2", "c2"} {
				assert.NotContains(t, line, secret)
			}
		}
		assert.Zero(t, c.ran, "the handler ran")
	})
}

// What is lawful is served: a refreshed token, another spelling of the arguments, a new progress token and id, null.
func TestLawful_STATE_02_STATE_10(t *testing.T) {
	c := newChain(t, nil)
	c.asks(asking(`"x"`))
	body := func(id, arguments, more string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"echo","arguments":` + arguments + more +
			`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":` + id + `}}}`
	}
	send := func(id, arguments, more string) *httptest.ResponseRecorder {
		return c.send(c.token(mcpauthtest.Claims{"scope": "mcp:read x" + id}), body(id, arguments, more),
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "echo")
	}
	sent := stateIn(t, send("1", `{"b":2,"a":1.0,"c":{"d":[9007199254740993]}}`, "").Body.String())
	for i, spelled := range []string{`{"a":1,"b":2,"c":{"d":[9007199254740993]}}`, `{ "\u0061":1e0, "c":{"d":[ 9007199254740993 ]},"b":20e-1 }`} {
		w := send(fmt.Sprint(i+2), spelled, `,"requestState":"`+sent+`","inputResponses":{}`)
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
		assert.Contains(t, c.body, `"requestState":"x"`)
	}
	for _, other := range []string{`{"a":"1","b":2,"c":{"d":[9007199254740993]}}`, `{"a":1,"b":2,"c":{"d":[9007199254740992]}}`, `{"a":1,"b":2,"c":{"d":9007199254740993}}`, `{}`} {
		assert.Equal(t, http.StatusBadRequest, send("5", other, `,"requestState":"`+sent+`"`).Code, other)
	}
	c.asks(`{"content":[]}`)
	require.Equal(t, http.StatusOK, send("6", `{}`, `,"requestState":null`).Code)
	assert.Contains(t, c.body, `"requestState":null`, "as it was")
	require.Equal(t, http.StatusOK, send("7", `{"requestState":"mine","t":"\u00e9"}`, "").Code, "an argument of that name")
}

// The policy decides first, by the token of the retry: a state grants nothing, and is not even opened.
func TestPolicyFirst_STATE_10_MCP_70(t *testing.T) {
	c := newChain(t, nil)
	c.asks(asking(`"x"`))
	members := `"name":"admin_delete","arguments":{}`
	first := c.post(c.token(mcpauthtest.Claims{"scope": "mcp:admin"}), "tools/call", "admin_delete", members)
	sent := stateIn(t, first.Body.String())
	c.ran = 0
	w := c.post(c.token(nil), "tools/call", "admin_delete", members+`,"requestState":"`+sent+`"`)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
	w = c.post(c.token(nil), "tools/call", "admin_delete", members+`,"requestState":"forged"`)
	assert.Equal(t, http.StatusForbidden, w.Code, "a forged one is refused for the same reason")
	assert.Zero(t, c.ran)
	assert.Empty(t, c.log.take(), "no state was looked at")
}

// Prompts and resources, older revisions, batches.
func TestMethods_STATE_09_STATE_10(t *testing.T) {
	c := newChain(t, nil)
	token := c.token(nil)
	for _, row := range []struct{ method, name, members string }{
		{"prompts/get", "p", `"name":"p"`},
		{"resources/read", "file:///a", `"uri":"file:///a"`},
	} {
		c.asks(asking(`"x"`))
		sent := stateIn(t, c.post(token, row.method, row.name, row.members).Body.String())
		assert.Equal(t, http.StatusOK, c.post(token, row.method, row.name, row.members+`,"requestState":"`+sent+`"`).Code)
		assert.Contains(t, c.body, `"requestState":"x"`)
	}
	legacy := func(more string) *httptest.ResponseRecorder {
		return c.send(token, `{"params":{"arguments":{},"name":"echo"`+more+`},"method":"tools/call","id":1,"jsonrpc":"2.0"}`, "MCP-Protocol-Version", "2025-11-25")
	}
	sent := stateIn(t, legacy("").Body.String())
	assert.Equal(t, http.StatusOK, legacy(`,"requestState":"`+sent+`"`).Code)
	assert.Contains(t, c.body, `"requestState":"x"`)

	batch := func(more string) *httptest.ResponseRecorder {
		return c.send(token, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"`+more+`}}]`, "MCP-Protocol-Version", "2025-03-26")
	}
	w := batch(`,"requestState":"` + sent + `"`)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	c.backend = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "["+answerWith(`{"content":[]}`)+"]")
	}
	assert.Equal(t, "["+answerWith(`{"content":[]}`)+"]", batch("").Body.String())
	c.backend = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "["+answerWith(asking(`"`+canary+`"`))+"]")
	}
	c.log.take()
	w = batch("")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.NotContains(t, w.Body.String(), "CANARY")
	assert.Contains(t, c.log.take(), "cause=state-misplaced ")
}

// A result of another method that has a member of that name is none of ours: told once, and passed.
func TestOtherMethods_STATE_10(t *testing.T) {
	c := newChain(t, nil)
	answer := `{"resultType":"input_required","completion":{"values":[]},"requestState":"plain"}`
	c.asks(answer)
	for i := range 3 {
		w := c.post(c.token(nil), "completion/complete", "", `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}`)
		assert.Equal(t, answerWith(answer), w.Body.String())
		assert.Equal(t, i == 0, strings.Contains(c.log.take(), "another method"))
	}
	c.asks(asking(`"` + canary + `"`))
	assert.NotContains(t, c.echo(c.token(nil), "").Body.String(), "CANARY", "a call's is sealed all the same")
}

// When it has been told, nobody stands between any more.
func TestOtherMethods_Told_STATE_10(t *testing.T) {
	var given []http.ResponseWriter
	h := newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		given = append(given, w)
		_, _ = io.WriteString(w, answerWith(`{"requestState":"plain"}`))
	}))
	w := httptest.NewRecorder()
	for _, method := range []string{"tools/list", "tools/list", "tools/call"} {
		h.ServeHTTP(w, newPost("", `{"jsonrpc":"2.0","id":1,"method":"`+method+`"}`))
	}
	var front []bool
	for _, one := range given {
		front = append(front, one == http.ResponseWriter(w))
	}
	assert.Equal(t, []bool{false, true, false}, front)
}

// However large it is, and whatever it is.
func TestOtherMethods_Any_STATE_10(t *testing.T) {
	for _, text := range []string{
		answerWith(`{"requestState":"` + strings.Repeat("x", 50<<10) + `"}`), answerWith(`{"requestState":{"a":1}}`),
		answerWith(`{"requestState":"\x"}`), answerWith("{\"requestState\":\"a\nb\"}"), `{"result":{"requestState":"cut`, `{"result":{"a":"requestState"`,
	} {
		for _, piece := range []int{len(text), 1 << 10} {
			log := &logBuffer{}
			h := newSealer(t, sealed.Config{Logger: log.logger()}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
					_, err := io.WriteString(w, rest[:min(piece, len(rest))])
					assert.NoError(t, err)
				}
			}))
			w := httptest.NewRecorder()
			assert.NotPanics(t, func() {
				h.ServeHTTP(w, newPost("", `{"jsonrpc":"2.0","id":1,"method":"completion/complete"}`).WithContext(as("u1", "c1")))
			})
			assert.Equal(t, text, w.Body.String())
			assert.Equal(t, strings.Contains(text, `"requestState":"`), strings.Contains(log.take(), "another method"), text)
		}
	}
}

// What cannot be sealed is withheld.
func TestWithheld_STATE_11(t *testing.T) {
	plain := answerWith(asking(`"` + canary + `"`))
	event := func(text string) string { return "event: message\ndata: " + text + "\n\n" }
	progress := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
	large := answerWith(asking(`"` + canary + strings.Repeat("x", 8<<10) + `"`))
	for _, row := range []struct {
		name    string
		backend func(w http.ResponseWriter)
		status  int
		body    string
		cause   sealed.Kind
	}{
		{"compressed", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, plain)
			_ = z.Close()
		}, 500, withheldBody, sealed.Unreadable},
		{"compressed, with a status", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "br")
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, plain)
		}, 500, withheldBody, sealed.Unreadable},
		{"compressed, flushed", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "br")
			_ = http.NewResponseController(w).Flush()
			_, err := io.WriteString(w, plain)
			assert.Error(t, err)
		}, 500, withheldBody, sealed.Unreadable},
		{"compressed, that looks whole", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "br")
			_, err := io.WriteString(w, "{}")
			assert.Error(t, err)
		}, 500, withheldBody, sealed.Unreadable},
		{"compressed, in pieces", func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "x")
			_, err := io.WriteString(w, `{"`)
			assert.Error(t, err)
			_, err = io.WriteString(w, canary)
			assert.Error(t, err)
			assert.Error(t, http.NewResponseController(w).Flush())
			w.WriteHeader(200)
		}, 500, withheldBody, sealed.Unreadable},
		{"too large", func(w http.ResponseWriter) {
			_, err := io.WriteString(w, large)
			assert.Error(t, err)
		}, 500, withheldBody, sealed.TooLarge},
		{"too large by one byte", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, answerWith(asking(`"`+strings.Repeat("x", 8<<10-1)+`"`)))
		}, 500, withheldBody, sealed.TooLarge},
		{"too large, and a line end", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, answerWith(asking("\""+strings.Repeat("x", 8<<10)+"\n\"")))
		}, 500, withheldBody, sealed.TooLarge},
		{"just not too large", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, answerWith(asking(`"`+strings.Repeat("x", 8<<10-2)+`"`))+answerWith(asking("7351")))
		}, 500, withheldBody, sealed.Unreadable},
		{"too large, with a status", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, large)
		}, 200, withheldBody, sealed.TooLarge},
		{"too large, in pieces", func(w http.ResponseWriter) {
			for _, piece := range strings.SplitAfter(large, ",") {
				_, _ = io.WriteString(w, piece)
			}
		}, 0, "", sealed.TooLarge},
		{"endless", func(w http.ResponseWriter) {
			_, err := io.WriteString(w, `{"result":{"requestState":"`+canary)
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 1<<10))
			}
			assert.Error(t, err)
		}, 0, "", sealed.TooLarge},
		{"cut off", func(w http.ResponseWriter) { _, _ = io.WriteString(w, plain[:strings.Index(plain, canary)+3]) }, 0, "", ""},
		{"an object", func(w http.ResponseWriter) { _, _ = io.WriteString(w, answerWith(asking(`{"a":"`+canary+`"}`))) }, 500, withheldBody, sealed.Unreadable},
		{"a number", func(w http.ResponseWriter) { _, _ = io.WriteString(w, answerWith(asking(`7351`))) }, 500, withheldBody, sealed.Unreadable},
		{"no UTF-8", func(w http.ResponseWriter) { _, _ = io.WriteString(w, answerWith(asking("\""+canary+"\xff\""))) }, 500, withheldBody, sealed.Misplaced},
		{"no escape", func(w http.ResponseWriter) { _, _ = io.WriteString(w, answerWith(asking(`"`+canary+`\x"`))) }, 500, withheldBody, sealed.Misplaced},
		{"a line end", func(w http.ResponseWriter) { _, _ = io.WriteString(w, answerWith(asking("\""+canary+"\n\""))) }, 500, withheldBody, sealed.Unreadable},
		{"events", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, event(progress))
			assert.NoError(t, http.NewResponseController(w).Flush())
			_, _ = io.WriteString(w, event(large))
		}, 200, event(progress) + "data: " + withheldBody + "\n\n", sealed.TooLarge},
		{"an event behind one in pieces", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, event(progress)[:20])
			_, _ = io.WriteString(w, event(progress)[20:])
			_, _ = io.WriteString(w, event(large))
		}, 200, event(progress) + "data: " + withheldBody + "\n\n", sealed.TooLarge},
		{"an event in pieces", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, event(progress))
			_, _ = io.WriteString(w, "data: {\"result\":\n")
			_, _ = io.WriteString(w, "data: {\"requestState\":{}}}\n\n")
		}, 0, "", sealed.Unreadable},
		{"a state in two lines", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"result\":{\"requestState\":\""+canary+"\ndata: x\"}}\n\n")
		}, 500, withheldBody, sealed.Unreadable},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newChain(t, nil)
			c.backend = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				row.backend(w)
			}
			w := httptest.NewRecorder()
			serve := func() {
				c.handler.ServeHTTP(w, newPost(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`, "MCP-Protocol-Version", "2025-11-25"))
			}
			if row.status == 0 {
				assert.PanicsWithValue(t, http.ErrAbortHandler, serve)
			} else {
				serve()
				assert.Equal(t, row.status, w.Code)
				assert.Equal(t, row.body, w.Body.String())
				assert.Empty(t, w.Header().Get("Content-Encoding"))
			}
			assert.NotContains(t, w.Body.String(), "CANARY")
			assert.NotContains(t, w.Body.String(), "7351")
			line := c.log.take()
			assert.NotContains(t, line, "CANARY")
			if row.cause != "" {
				assert.Contains(t, line, "cause="+string(row.cause)+" ")
			}
		})
	}
}

// An answer that breaks off has no other message in its middle.
func TestCut_STATE_11(t *testing.T) {
	for _, state := range []string{`"` + strings.Repeat("x", 8<<10) + `"`, `{}`, "\"a\nb\""} {
		text := answerWith(asking(state))
		sent := text[:strings.Index(text, state)]
		for _, start := range []string{"", "data: "} {
			got, ok := through(newSealer(t, sealed.Config{}), start+text, len(start+sent), start != "")
			assert.False(t, ok)
			assert.Equal(t, start+sent, got)
		}
	}
}

// Without a wrapper in front nobody has a state, and all else passes.
func TestUnwrapped_STATE_06(t *testing.T) {
	log := &logBuffer{}
	result := `{"content":[]}`
	h := newSealer(t, sealed.Config{Logger: log.logger()}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answerWith(result))
	}))
	do := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newPost("", body))
		return w
	}
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"%s}}`
	assert.Equal(t, answerWith(result), do(fmt.Sprintf(call, "")).Body.String())
	assert.Empty(t, log.take())
	assert.Equal(t, refusedBody, do(fmt.Sprintf(call, `,"requestState":"x"`)).Body.String())
	assert.Contains(t, log.take(), "state-nobody")
	result = asking(`"` + canary + `"`)
	w := do(fmt.Sprintf(call, ""))
	assert.Equal(t, 500, w.Code)
	assert.Equal(t, withheldBody, w.Body.String())
	assert.Contains(t, log.take(), "state-nobody")
	assert.Panics(t, func() { newSealer(t, sealed.Config{}).Handler(nil) })
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), failing{})))
	assert.Equal(t, 400, w.Code)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, newPost("", fmt.Sprintf(call, "")+"x").WithContext(as("u1", "c1")))
	assert.Equal(t, strings.Replace(withheldBody, `"id":1,`, "", 1), w.Body.String(), "what is no request gets no state")
	assert.Contains(t, log.take(), "cause=state-no-call ")
}

// A body that is replaced in between is bounded all the same.
func TestReplacedBody_LIMITS_02(t *testing.T) {
	h := newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
	w := httptest.NewRecorder()
	body := &spaces{}
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", io.LimitReader(body, 64<<20+1)))
	assert.Equal(t, 400, w.Code)
	assert.Equal(t, 64<<20+1, body.read)
}

type spaces struct{ read int }

func (s *spaces) Read(p []byte) (int, error) {
	s.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

// An answer of the client's, in the older revisions, asks for nothing.
func TestResponses_STATE_10(t *testing.T) {
	c := newChain(t, nil)
	c.backend = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }
	w := c.send(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"\u00e9","version":"1"}}}`)
	assert.Equal(t, 202, w.Code)
	h := newSealer(t, sealed.Config{}).Handler(c.backend)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"requestState":"x"}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"`, ``, `[]`,
		`{"method":1,"x":"\u0041"}`, `{"method":"x","params":["\u0041"]}`, `[{"method":"ping","x":"\u0041"}]`,
		`{"method":"tools/call","params":{"name":1,"x":"\u0041"}}`, `{"method":"resources/read","params":{"uri":1,"x":"\u0041"}}`,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newPost("", body))
		assert.Equal(t, 202, w.Code, body)
	}
	for _, body := range []string{`{"requestState`, `[{"requestState`, `[{"params":{"requestState":"x"}}]`, `[{"params":{"requestState":"x"}}`, `{"params":{"requestState":"x"}}`,
		`{"id":1,"x":"\u0041"`, `{"id":1,"x":"\u0041"}x`, `[{"id":1,"x":"\u0041"}`, `[{"id":1,"x":"\u0041"},`, `[1,"\u0041"]`} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newPost("", body))
		assert.Equal(t, 400, w.Code, body)
		assert.Equal(t, strings.Replace(refusedBody, `"id":1,`, "", 1), w.Body.String())
	}
}

// A middleware in between may replace body, context and writer.
func TestMiddlewareBetween_STATE_09(t *testing.T) {
	c := newChain(t, func(next http.Handler) http.Handler {
		h := newSealer(t, sealed.Config{}).Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				r.Body = io.NopCloser(io.TeeReader(r.Body, io.Discard))
				r.GetBody = nil
			}
			h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	})
	token := c.token(nil)
	c.backend = func(w http.ResponseWriter, _ *http.Request) {
		_, flushes := w.(http.Flusher)
		assert.False(t, flushes, "it claims no more than the writer in front can do")
		_, _ = io.WriteString(w, answerWith(asking(`"x"`)))
	}
	sent := stateIn(t, c.echo(token, "").Body.String())
	require.Equal(t, 200, c.echo(token, `,"requestState":"`+sent+`"`).Code)
	assert.Contains(t, c.body, `"requestState":"x"`)
}

// What a middleware in between makes of the body that is kept: half of it, or nothing; and each time it is read it is closed.
func TestKeptBody_STATE_09(t *testing.T) {
	half, fails, opened, closed := false, false, 0, 0
	log := &logBuffer{}
	c := newChain(t, func(next http.Handler) http.Handler {
		h := newSealer(t, sealed.Config{Logger: log.logger()}).Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if half {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			if open := r.GetBody; open != nil {
				r.GetBody = func() (io.ReadCloser, error) {
					if fails {
						return nil, io.ErrClosedPipe
					}
					opened++
					body, err := open()
					return closing{body, func() { closed++ }}, err
				}
			}
			h.ServeHTTP(w, r)
		})
	})
	c.asks(asking(`"` + canary + `"`))
	token := c.token(nil)
	stateIn(t, c.echo(token, "").Body.String())
	assert.NotZero(t, opened)
	assert.Equal(t, opened, closed)

	fails = true
	assert.Equal(t, strings.Replace(withheldBody, `"id":1,`, "", 1), c.echo(token, "").Body.String())
	assert.Contains(t, log.take(), "cause=state-no-call ")

	fails, half, c.ran = false, true, 0
	assert.Equal(t, http.StatusBadRequest, c.echo(token, `,"x":"\u0041"`).Code)
	assert.Zero(t, c.ran, "it cannot be told whether there is a state in it")
}

type closing struct {
	io.ReadCloser
	close func()
}

func (c closing) Close() error {
	c.close()
	return c.ReadCloser.Close()
}

// A proxy to a server in another language, that flushes or does not, as JSON and as events.
func TestProxy_STATE_09(t *testing.T) {
	for _, flush := range []time.Duration{-1, 0} {
		for _, events := range []bool{false, true} {
			t.Run(fmt.Sprint(flush, events), func(t *testing.T) {
				var got string
				text := ""
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodDelete {
						return // of a name that was made up
					}
					body, _ := io.ReadAll(r.Body)
					got = string(body)
					assert.EqualValues(t, len(body), r.ContentLength)
					text = `{"result":{"padding":"` + strings.Repeat(`\u00e9`, 10_000) + `","requestState":"` + canary + `","resultType":"input_required"},"jsonrpc":"2.0","id":1}`
					if events {
						w.Header().Set("Content-Type", "text/event-stream")
						text = ": hello\n\nid: 1\r\ndata: " + text + "\r\n\r\n"
					} else {
						w.Header().Set("Content-Type", "application/json")
						w.Header().Set("Content-Length", fmt.Sprint(len(text)))
					}
					_, _ = io.WriteString(w, text)
				}))
				defer server.Close()
				target, err := url.Parse(server.URL)
				require.NoError(t, err)
				c := newChain(t, func(http.Handler) http.Handler {
					proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: flush}
					return newSealer(t, sealed.Config{}).Handler(proxy)
				})
				front := httptest.NewServer(c.handler)
				defer front.Close()
				send := func(more string) string {
					r := newPost(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"`+more+`}}`, "MCP-Protocol-Version", "2025-11-25")
					r.URL, _ = url.Parse(front.URL + "/mcp")
					r.RequestURI, r.Host = "", ""
					answer, err := http.DefaultClient.Do(r)
					require.NoError(t, err)
					defer func() { _ = answer.Body.Close() }()
					body, err := io.ReadAll(answer.Body)
					require.NoError(t, err)
					return string(body)
				}
				answer := send("")
				sent := stateIn(t, answer)
				assert.Equal(t, text, strings.Replace(answer, sent, canary, 1), "nothing else has changed")
				send(`,"requestState":"` + sent + `"`)
				assert.Contains(t, got, `"requestState":"`+canary+`"`)
			})
		}
	}
}

// A stream of the server's own answers no call that a state could be bound to.
func TestStream_STATE_11(t *testing.T) {
	c := newChain(t, nil)
	text := "data: " + `{"jsonrpc":"2.0","method":"notifications/message","params":{"result":{"requestState":"of another kind"}}}` + "\n\n"
	c.backend = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "data: "+answerWith(asking(`"`+canary+`"`))+"\n\n")
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, testResource, nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token(nil))
	c.handler.ServeHTTP(w, r)
	assert.NotContains(t, w.Body.String(), "CANARY")
	assert.True(t, strings.HasPrefix(w.Body.String(), text), w.Body.String())
	assert.Contains(t, c.log.take(), "state-misplaced")
}

// The handler is given what it would be given without us: flushing, interim responses, an empty answer, a panic.
func TestPassesOn_STATE_09(t *testing.T) {
	c := newChain(t, nil)
	for name, row := range map[string]struct {
		backend http.HandlerFunc
		status  int
		body    string
	}{
		"nothing":      {func(http.ResponseWriter, *http.Request) {}, 200, ""},
		"accepted":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, 202, ""},
		"only flushed": {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200, ""},
		"no content": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(204)
		}, 204, ""},
		"not modified": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(304)
		}, 304, ""},
		"not coded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Encoding"] = []string{"", "Identity"}
			_, _ = io.WriteString(w, `{"result":{}}`)
		}, 200, `{"result":{}}`},
		"once": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }, 404, ""},
		"text": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `no {"such" thing`, 404) }, 404, "no {\"such\" thing\n"},
		"pieces": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"result":`)
			_, _ = io.WriteString(w, `{}}`)
		}, 200, `{"result":{}}`},
		"several texts": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a":{}}{"b":[]} 1 "x" {"result":[{"requestState":"s"}]}`)
		}, 200, `{"a":{}}{"b":[]} 1 "x" {"result":[{"requestState":"s"}]}`},
		"deeper": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answerWith(`{"structuredContent":{"requestState":"NY","result":{"requestState":"x"}}}`))
		}, 200, answerWith(`{"structuredContent":{"requestState":"NY","result":{"requestState":"x"}}}`)},
		"null": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answerWith(asking("null"))) }, 200, answerWith(asking("null"))},
		"in a text": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answerWith(`{"content":[{"text":"{\"result\":{\"requestState\":\"x\"}}"}]}`))
		}, 200, answerWith(`{"content":[{"text":"{\"result\":{\"requestState\":\"x\"}}"}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			c.backend = row.backend
			w := c.echo(c.token(nil), "")
			assert.Equal(t, row.status, w.Code)
			assert.Equal(t, row.body, w.Body.String())
		})
	}
	c.backend = func(http.ResponseWriter, *http.Request) { panic("bug") }
	assert.PanicsWithValue(t, "bug", func() { c.echo(c.token(nil), "") })
	delivered := false
	c.backend = func(w http.ResponseWriter, r *http.Request) {
		delivered = true
		_, ok := mcpauth.FromContext(r.Context())
		assert.True(t, ok)
		assert.Equal(t, "Bearer", "Bearer"+r.Header.Get("Authorization"))
		assert.NoError(t, http.NewResponseController(w).Flush())
	}
	c.echo(c.token(nil), "")
	assert.True(t, delivered)
}

// Interim responses go out as they come, and are not the answer.
func TestInterim_STATE_09(t *testing.T) {
	for name, row := range map[string]struct {
		r      *http.Request
		coding string
		want   []int
	}{
		"a call":         {newPost("", `{"method":"tools/call","params":{"name":"echo"}}`), "", []int{103, 404}},
		"compressed":     {newPost("", `{"method":"tools/call","params":{"name":"echo"}}`), "br", []int{103, 500}},
		"another method": {newPost("", `{"method":"tools/list"}`), "br", []int{103, 404}},
		"a page":         {httptest.NewRequest(http.MethodGet, "/", nil), "br", []int{103, 404}},
	} {
		t.Run(name, func(t *testing.T) {
			statuses := &statuses{ResponseWriter: httptest.NewRecorder()}
			newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", row.coding)
				w.WriteHeader(103)
				w.WriteHeader(404)
				w.WriteHeader(500)
				_, _ = io.WriteString(w, "{}")
			})).ServeHTTP(statuses, row.r)
			assert.Equal(t, row.want, statuses.seen)
		})
	}
}

// Who flushes has sent the header, and what has been written: a message in pieces, too.
func TestFlush_STATE_09(t *testing.T) {
	w := httptest.NewRecorder()
	newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", "17")
		assert.NoError(t, http.NewResponseController(out).Flush())
		assert.True(t, w.Flushed)
		assert.Empty(t, w.Result().Header, "a state gets longer")
		for _, piece := range []string{`{"result":`, `{"a":"x`, `y"}}`} {
			w.Flushed = false
			_, _ = io.WriteString(out, piece)
			assert.NoError(t, http.NewResponseController(out).Flush())
			assert.True(t, w.Flushed, piece)
		}
	})).ServeHTTP(w, newPost("", `{"method":"tools/call","params":{"name":"echo"}}`))
	assert.Equal(t, `{"result":{"a":"xy"}}`, w.Body.String())
}

// A state goes out with its end. Nothing is written before, which somebody in front may take for the end of the answer.
func TestNothingYet_STATE_09(t *testing.T) {
	w := &sizes{ResponseWriter: httptest.NewRecorder()}
	newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		for _, piece := range []string{`{"result":{"requestState":`, `"a`, `b`, `"`, `}}`} {
			n, err := io.WriteString(out, piece)
			assert.Equal(t, len(piece), n)
			assert.NoError(t, err)
		}
	})).ServeHTTP(w, newPost("", `{"method":"tools/call","params":{"name":"echo"}}`).WithContext(as("u1", "c1")))
	assert.Len(t, w.written, 3)
	assert.NotContains(t, w.written, 0)
}

type sizes struct {
	http.ResponseWriter
	written []int
}

func (s *sizes) Write(data []byte) (int, error) {
	s.written = append(s.written, len(data))
	return s.ResponseWriter.Write(data)
}

// Who writes to a client that has gone is told so.
func TestGone_STATE_09(t *testing.T) {
	for _, text := range []string{`{}`, `{"result":`, asking(`"x"`)} {
		newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, text)
			assert.ErrorIs(t, err, io.ErrClosedPipe, text)
		})).ServeHTTP(gone{httptest.NewRecorder()}, newPost("", `{"method":"tools/call","params":{"name":"echo"}}`).WithContext(as("u1", "c1")))
	}
}

type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What is no MCP passes as it is.
func TestPages_STATE_09(t *testing.T) {
	h := newSealer(t, sealed.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", "2")
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `{"result":{"requestState":"none`)
	}))
	noBody := newPost("", "")
	noBody.Body = nil
	requests := []*http.Request{noBody}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
		requests = append(requests, httptest.NewRequest(method, "/", nil))
	}
	for _, body := range []string{"", `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"method":"tools/list"}`} {
		requests = append(requests, newPost("", body))
	}
	for _, r := range requests {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, `{"result":{"requestState":"none`, w.Body.String())
		assert.Equal(t, http.Header{"Content-Encoding": {"gzip"}, "Content-Length": {"2"}, "Content-Type": {"text/html"}}, w.Header())
	}
}

type statuses struct {
	http.ResponseWriter
	seen []int
}

func (s *statuses) WriteHeader(status int) { s.seen = append(s.seen, status) }

// A handler that writes when its request is over writes nowhere, and finds no other request's body to seal for.
func TestLateWrites_STATE_09(t *testing.T) {
	c := newChain(t, nil)
	late := make(chan http.ResponseWriter, 1)
	c.backend = func(w http.ResponseWriter, _ *http.Request) { late <- w }
	c.echo(c.token(nil), "")
	w := <-late
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		for range 100 {
			_, _ = io.WriteString(w, answerWith(asking(`"`+canary+`"`)))
		}
	}()
	c.asks(`{"content":[]}`)
	for range 20 {
		assert.Equal(t, answerWith(`{"content":[]}`), c.echo(c.token(mcpauthtest.Claims{"sub": "u2"}), "").Body.String())
	}
	<-done
}

// The line about an answer that is withheld says so, and not that a client has sent a state; the mistake is ours.
func TestWithheld_Told_STATE_11(t *testing.T) {
	log := &logBuffer{}
	s := newSealer(t, sealed.Config{Logger: log.logger()})
	c := newChain(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answerWith(asking(`"`+canary+`"`)))
		})
	})
	wrong := s.Handler(c.handler) // auth.Wrap inside
	wrong.ServeHTTP(httptest.NewRecorder(), newPost(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`))
	line := log.take()
	assert.Contains(t, line, "level=ERROR")
	assert.Contains(t, line, "request state cannot be sealed")
	assert.Contains(t, line, "auth.Wrap(sealer.Handler(next))")
	assert.Contains(t, line, "tools/call")
	wrong.ServeHTTP(httptest.NewRecorder(), newPost(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","requestState":"v1.x"}}`))
	line = log.take()
	assert.Contains(t, line, "request state not accepted")
	assert.Contains(t, line, "tools/call")
}

// A sealer for another resource than that of the wrapper would share states with whoever has the keys.
func TestOtherResource_Told_STATE_08(t *testing.T) {
	for name, row := range map[string]struct {
		resource string
		lines    int
	}{"the same": {testResource, 0}, "another": {"https://other.example.com/mcp", 1}} {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			s := newSealer(t, sealed.Config{Logger: log.logger(), Resource: row.resource})
			c := newChain(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, err := s.Seal(r.Context(), sealed.Tool("echo", nil), 1)
					assert.NoError(t, err)
				})
			})
			for range 2 {
				c.handler.ServeHTTP(httptest.NewRecorder(), newPost(c.token(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`))
			}
			line := log.take()
			assert.Equal(t, row.lines, strings.Count(line, "level=ERROR"), line)
			assert.Equal(t, row.lines == 1, strings.Contains(line, testResource) && strings.Contains(line, row.resource))
		})
	}
}

// waiting is a context in which who asks for the caller waits once.
type waiting struct {
	context.Context
	once       sync.Once
	asked, may chan struct{}
}

func (c *waiting) Value(k any) any {
	value := c.Context.Value(k)
	if _, isCaller := value.(*mcpauth.Principal); isCaller {
		c.once.Do(func() {
			close(c.asked)
			<-c.may
		})
	}
	return value
}

// TestLeftBehind_ISOL_01: a handler that is left behind, as http.TimeoutHandler does it, does not find another caller's body.
func TestLeftBehind_ISOL_01(t *testing.T) {
	ctx, ended := &waiting{asked: make(chan struct{}), may: make(chan struct{})}, make(chan struct{})
	leaves := false
	c := newChain(t, func(next http.Handler) http.Handler {
		sealer := newSealer(t, sealed.Config{}).Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !leaves {
				sealer.ServeHTTP(w, r)
				return
			}
			leaves, ctx.Context = false, r.Context()
			go func() {
				defer close(ended)
				sealer.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
			}()
			<-ctx.asked
		})
	})
	c.asks(asking(`"s"`))
	token := c.token(nil)
	state := stateIn(t, c.echo(token, "").Body.String())
	leaves = true
	c.echo(token, `,"requestState":"`+state+`","x":"mine"`)
	other := c.token(mcpauthtest.Claims{"sub": "bob"})
	for range 100 { // the memory of the first body is used again
		c.echo(other, `,"x":"`+strings.Repeat("y", len(state)+len("requestState"))+`"`)
	}
	require.NotContains(t, c.body, "mine")
	close(ctx.may)
	<-ended
	assert.Contains(t, c.body, `"requestState":"s","x":"mine"`)
}
