package jsonrpc

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
)

// TestCorpus is MCP-14 for our own reader: each body has the outcome that the
// corpus says, and what is accepted is read as encoding/json reads it.
func TestCorpus(t *testing.T) {
	require.GreaterOrEqual(t, len(corpus.Bodies), 320)
	names := map[string]bool{}
	for _, b := range corpus.Bodies {
		require.False(t, names[b.Name], "two bodies are named %q", b.Name)
		names[b.Name] = true
		t.Run(b.Name, func(t *testing.T) {
			got := corpus.Accept
			_, err := Parse([]byte(b.Body))
			if err != nil {
				var e *Error
				require.ErrorAs(t, err, &e)
				got = strconv.Itoa(e.Code)
			}
			require.Equal(t, b.Want, got, "%v", err)
			agree(t, []byte(b.Body))
		})
	}
	for vocabulary, object := range map[*vocabulary]string{
		&envelopeNames: "envelope", &paramsNames: "params", &metaNames: "params._meta",
		&refNames: "params.ref", &listenNames: "params.notifications",
	} {
		for _, word := range *vocabulary {
			name := word.Text
			assert.True(t, names["MCP-01 upper case: "+object+" "+name], "the corpus lacks %s in %s", name, object)
		}
	}
}

// foldingMessage is how encoding/json, which ignores case, reads a message
// into the fields that Parse reports.
type foldingMessage struct {
	JSONRPC any             `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  any             `json:"method"`
	Params  *struct {
		Name      any             `json:"name"`
		URI       any             `json:"uri"`
		TaskID    any             `json:"taskId"`
		Arguments json.RawMessage `json:"arguments"`
		Ref       json.RawMessage `json:"ref"`
		Meta      *struct {
			Version any `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
		Notifications json.RawMessage `json:"notifications"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

type foldingRef struct {
	Type any `json:"type"`
	Name any `json:"name"`
	URI  any `json:"uri"`
}

type foldingListen struct {
	Tools     bool     `json:"toolsListChanged"`
	Prompts   bool     `json:"promptsListChanged"`
	Resources bool     `json:"resourcesListChanged"`
	URIs      []string `json:"resourceSubscriptions"`
	TaskIDs   []string `json:"taskIds"`
}

// agree checks everything that must be true of any body: what is accepted is
// read alike by a reader that folds case and by one that does not, and what is
// refused is refused for a reason.
func agree(t *testing.T, body []byte) {
	t.Helper()
	m, err := Parse(body)
	if err != nil {
		agreeRefused(t, body, m, err)
		return
	}
	require.True(t, utf8.Valid(body) && json.Valid(body))
	require.False(t, IsBatch(body))

	var folding foldingMessage
	require.NoError(t, json.Unmarshal(body, &folding))
	var exact map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &exact))

	require.Equal(t, "2.0", folding.JSONRPC)
	require.Equal(t, `"2.0"`, canonical(exact["jsonrpc"]))
	if m.Kind != Response || !absent(exact["id"]) {
		require.Equal(t, canonical(exact["id"]), canonical(m.ID))
		require.Equal(t, canonical(folding.ID), canonical(m.ID))
	}
	require.Equal(t, m.Kind == Response, folding.Method == nil)
	hasResult, hasError := len(folding.Result) > 0, len(folding.Error) > 0 && string(folding.Error) != "null"
	if string(folding.Result) == "null" && (hasError || m.Kind != Response) {
		hasResult = false // null beside something else is absent
	}
	require.Equal(t, m.Kind == Response, hasResult != hasError)
	require.Equal(t, m.Kind == Notification || m.Kind == Response && hasError && absent(exact["id"]), m.ID == nil)
	if m.Kind != Response {
		require.Equal(t, m.Method, folding.Method)
		require.Equal(t, m.Method, decoded(exact["method"]))
	}
	require.Equal(t, m.HasParams, folding.Params != nil)
	if m.HasParams {
		agreeParams(t, m, folding, exact["params"])
	} else {
		require.Equal(t, Message{Kind: m.Kind, ID: m.ID, Method: m.Method}, m)
	}
}

func agreeParams(t *testing.T, m Message, folding foldingMessage, raw json.RawMessage) {
	t.Helper()
	var exact, meta map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &exact))
	same := func(f Field, folded any, exact json.RawMessage) {
		t.Helper()
		switch f.State {
		case Absent:
			require.Nil(t, folded)
			require.True(t, absent(exact))
		case String:
			require.Equal(t, f.Value, folded)
			require.Equal(t, f.Value, decoded(exact))
		case Other:
			require.NotContains(t, string(exact[:1]), `"`)
			require.Empty(t, f.Value)
		}
	}
	same(m.Name, folding.Params.Name, exact["name"])
	same(m.URI, folding.Params.URI, exact["uri"])
	same(m.TaskID, folding.Params.TaskID, exact["taskId"])
	if m.Arguments == nil {
		require.Contains(t, []string{"", "null"}, string(exact["arguments"]))
	} else {
		require.Equal(t, string(exact["arguments"]), string(m.Arguments))
		require.Equal(t, string(folding.Params.Arguments), string(m.Arguments))
	}
	require.Equal(t, m.HasMeta, folding.Params.Meta != nil)
	if m.HasMeta {
		require.NoError(t, json.Unmarshal(exact["_meta"], &meta))
		same(m.Version, folding.Params.Meta.Version, meta["io.modelcontextprotocol/protocolVersion"])
	}

	require.Equal(t, m.Ref.Present, !absent(exact["ref"]))
	require.Equal(t, m.Ref.Present, !absent(folding.Params.Ref))
	var ref foldingRef
	var exactRef map[string]json.RawMessage
	if strings.HasPrefix(string(exact["ref"]), "{") {
		require.NoError(t, json.Unmarshal(exact["ref"], &ref))
		require.NoError(t, json.Unmarshal(exact["ref"], &exactRef))
	}
	same(m.Ref.Type, ref.Type, exactRef["type"])
	same(m.Ref.Name, ref.Name, exactRef["name"])
	same(m.Ref.URI, ref.URI, exactRef["uri"])

	require.Equal(t, m.Listen != nil, !absent(exact["notifications"]))
	if !strings.HasPrefix(string(exact["notifications"]), "{") {
		require.True(t, m.Listen == nil || m.Listen.Unknown)
		return
	}
	var listen foldingListen
	require.NoError(t, json.Unmarshal(exact["notifications"], &listen))
	require.Equal(t, listen, foldingListen{m.Listen.ToolsListChanged, m.Listen.PromptsListChanged,
		m.Listen.ResourcesListChanged, m.Listen.ResourceSubscriptions, m.Listen.TaskIDs})
}

func agreeRefused(t *testing.T, body []byte, m Message, err error) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, Message{}, m)
	require.NotNil(t, errors.Unwrap(e))
	if utf8.Valid(body) && json.Valid(body) {
		require.Equal(t, CodeInvalid, e.Code, "%v", err)
	}
	if e.Code == CodeParse {
		require.Nil(t, e.ID)
		require.False(t, utf8.Valid(body) && json.Valid(body))
		return
	}
	require.Equal(t, CodeInvalid, e.Code)
	if e.ID != nil {
		var folding struct {
			ID json.RawMessage `json:"id"`
		}
		var exact map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &folding))
		require.NoError(t, json.Unmarshal(body, &exact))
		require.Equal(t, string(e.ID), string(folding.ID))
		require.Equal(t, string(e.ID), string(exact["id"]))
	}
}

// absent reports whether a member is not there, or null.
func absent(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// canonical makes two spellings of a string or number comparable.
func canonical(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw)
	}
	quoted, _ := json.Marshal(decoded(raw))
	return string(quoted)
}

func decoded(raw []byte) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "no string"
	}
	return s
}
