package reply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/seal"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// even is a receiver who may use, and hear of, what has a name of even length.
type even struct{ cursors seal.Sealer }

func (even) Shows(_, _, name string) bool { return name != "" && len(name)%2 == 0 }
func (even) Hears(_, name string) bool    { return name != "" && len(name)%2 == 0 }
func (even) Endpoint(uri string) string   { return uri + "?sealed" }
func (even) Unreadable(string, error)     {}
func (e even) Seal(list string, cursor []byte) string {
	return e.cursors.Seal(cursor, []byte(list))
}

func listsFilter() *Filter {
	return &Filter{Context: context.Background(), Receiver: even{cursorSealer}}
}

// cursorSealer seals what listsFilter seals.
var cursorSealer, _ = seal.New(make([]byte, 32), "cursor")

// listsCursor opens a sealed cursor, and leaves what is none.
func listsCursor(value string) string {
	for _, l := range append([]listing{{}}, lists[:]...) { // one without a list is sealed for none
		if text, ok := cursorSealer.Open(strings.Trim(value, `"`), []byte(l.method)); ok {
			return string(text)
		}
	}
	return value
}

// FuzzListFilter holds the filter against encoding/json: what remains are the
// entries that the caller may use, in their order and their bytes, and
// everything else is as it was.
func FuzzListFilter(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"ab"},{"name":"abc"}],"nextCursor":"x"}}`,
		`{"result":{"cacheScope":"public","resources":[{"uri":"a"}, {"uri":"bb","size":1e400}],"ttlMs":1.0},"id":9007199254740993}`,
		`[{"result":{"prompts":[]}},{"id":2,"result":{"tools":null}},{"error":{}}]`,
		`{"result":{"tools":[],"tools":[]}}`, `{"result":{"tools":[{"name":"ab","x":{"a":1,"a":[[[]]]}},{"name":"ab","name":"a"}],"x":{"":0,"":1}},"y":[{"a":1,"a":1}]}`, `{"result":{"tools":{}}}`, `{"result":{"tools":[1,{"Name":"ab"}]}} x`,
		`{"method":"notifications/resources/updated","params":{"uri":"a"}}`,
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, _ bool) {
		if bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)) {
			t.Skip("encoding/json makes something of lone surrogates")
		}
		filter := listsFilter()
		got, err := filter.message(bytes.Clone(raw))
		if err != nil {
			require.Nil(t, got)
			require.False(t, listsReadable(raw), "refused: %v", err)
			return
		}
		require.True(t, listsReadable(raw))
		if got == nil {
			require.True(t, filter.dropped)
			return
		}
		if filter.dropped {
			t.Skip("a batch with a notification in it")
		}
		require.True(t, listsReadable(got))
		before, after := listsMessages(t, raw), listsMessages(t, got)
		require.Len(t, after, len(before))
		for i := range before {
			require.Equal(t, listsExpected(t, before[i]), after[i])
		}
	})
}

// listsReadable is an independent reading of what the filter accepts.
func listsReadable(raw []byte) bool {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return false
	}
	var batch []json.RawMessage
	if json.Unmarshal(raw, &batch) != nil || batch == nil {
		batch = []json.RawMessage{raw}
	}
	for _, raw := range batch {
		var message, result map[string]json.RawMessage
		if json.Unmarshal(raw, &message) != nil || message == nil || repeats(raw) || respelled(message, "result") {
			return false
		}
		if method := message["method"]; strictjson.Valid(method, limits) != nil && method != nil {
			return false
		}
		if json.Unmarshal(message["result"], &result) != nil || result == nil {
			continue
		}
		if repeats(message["result"]) {
			return false
		}
		for _, l := range lists {
			var entries []json.RawMessage
			if respelled(result, l.member) {
				return false
			}
			if member, ok := result[l.member]; ok && json.Unmarshal(member, &entries) != nil {
				return false
			}
		}
	}
	return true
}

// respelled reports whether an object has a name in another case.
func respelled(object map[string]json.RawMessage, name string) bool {
	for other := range object {
		if other != name && strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// repeats reports whether an object has a name twice.
func repeats(object []byte) bool {
	d, seen := json.NewDecoder(bytes.NewReader(object)), map[string]bool{}
	_, _ = d.Token()
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		if _ = d.Decode(&value); seen[name.(string)] {
			return true
		}
		seen[name.(string)] = true
	}
	return false
}

// member is one member of an object as it is written.
type member struct{ name, value string }

// listsMembers reads an object in its order.
func listsMembers(t *testing.T, raw []byte) (members []member) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err)
		var value json.RawMessage
		require.NoError(t, d.Decode(&value))
		members = append(members, member{name.(string), string(value)})
	}
	return members
}

func listsMessages(t *testing.T, raw []byte) (messages [][]member) {
	t.Helper()
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); trimmed[0] != '[' {
		return [][]member{listsMessage(t, raw)}
	}
	var batch []json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &batch))
	for _, message := range batch {
		messages = append(messages, listsMessage(t, message))
	}
	return messages
}

// listsMessage puts the members of the result, and the entries of its lists,
// in the place of the result.
func listsMessage(t *testing.T, raw []byte) (all []member) {
	t.Helper()
	for _, m := range listsMembers(t, raw) {
		if m.name != "result" || m.value[0] != '{' {
			all = append(all, m)
			continue
		}
		for _, inner := range listsMembers(t, []byte(m.value)) {
			if isList := slices.ContainsFunc(lists, func(l listing) bool { return l.member == inner.name }); isList && inner.value != "null" {
				var entries []json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(inner.value), &entries))
				inner.value = "["
				for _, e := range entries {
					inner.value += "\n" + string(e)
				}
			}
			if strings.EqualFold(inner.name, "nextCursor") {
				inner.value = listsCursor(inner.value)
			}
			all = append(all, member{"result." + inner.name, inner.value})
		}
	}
	return all
}

// listsExpected is what has to become of a message.
func listsExpected(t *testing.T, before []member) (after []member) {
	t.Helper()
	for _, m := range before {
		name, inResult := strings.CutPrefix(m.name, "result.")
		i := slices.IndexFunc(lists, func(l listing) bool { return l.member == name })
		if inResult && i >= 0 {
			if m.value != "null" {
				m.value = listsAllowed(m.value, lists[i].naming)
			}
		}
		after = append(after, m)
	}
	return after
}

func listsAllowed(entries, naming string) string {
	kept := "["
	for _, e := range splitEntries(entries) {
		var object map[string]json.RawMessage
		var name string
		if json.Unmarshal([]byte(e), &object) != nil || json.Unmarshal(object[naming], &name) != nil || repeats([]byte(e)) {
			continue
		}
		if name != "" && len(name)%2 == 0 {
			kept += "\n" + e
		}
	}
	return kept
}

// splitEntries undoes what listsMessage did; entries that span lines are
// joined until they are JSON.
func splitEntries(entries string) (all []string) {
	held := ""
	for _, line := range strings.Split(entries, "\n")[1:] {
		if held != "" {
			line = held + "\n" + line
		}
		if held = line; json.Valid([]byte(line)) {
			all, held = append(all, line), ""
		}
	}
	return all
}

// A message that nothing is taken out of keeps its very bytes.
func TestListUntouched_MCP_62(t *testing.T) {
	for _, raw := range []string{
		`{ "result" : { "tools" : [ {"name":"ab"} , {"name":"cd"} ] } } `,
		`{"result":{"tools":null,"cacheScope":"private"}}`,
		`{"result":{"structuredContent":{"tools":[{"name":"abc"}]},"content":[]}}`,
		`{"method":"notifications/x","params":{"result":{"tools":[{"name":"abc"}]}}}`,
		`{"method":"sampling/createMessage","id":1,"params":{"tools":[{"name":"abc"}]}}`,
		`{"id":1,"error":{"code":-1,"data":{"tools":[{"name":"abc"}]}}}`,
		`{"result":[{"name":"abc"}]}`, `{"result":null}`, `[]`, `[ {} ]`,
	} {
		got, err := listsFilter().message([]byte(raw))
		require.NoError(t, err, raw)
		require.Equal(t, raw, string(got))
	}
}

// MCP-63: limits. Schemas may be wide and deep, up to 64 levels.
func TestListLimits_MCP_63(t *testing.T) {
	wide := make([]string, 5000)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"p%d":{"type":"string"}`, i)
	}
	entry := func(schema string) string { return `{"inputSchema":` + schema + `,"name":"ab"}` }
	list := func(entry string) string { return `{"result":{"tools":[` + entry + `,{"name":"abc"}]}}` }
	for _, schema := range []string{"{" + strings.Join(wide, ",") + "}", strings.Repeat("[", 80) + strings.Repeat("]", 80), strings.Repeat("[", 9_996) + strings.Repeat("]", 9_996), `"\ud800"`} {
		got, err := listsFilter().message([]byte(list(entry(schema))))
		require.NoError(t, err)
		require.Equal(t, `{"result":{"tools":[`+entry(schema)+`]}}`, string(got), "kept although its name comes last")
	}
	_, err := listsFilter().message([]byte(list(entry(strings.Repeat("[", 9_997) + strings.Repeat("]", 9_997)))))
	require.ErrorIs(t, err, strictjson.ErrDepth)
	require.ErrorIs(t, err, errNotAMessage)
	got, err := listsFilter().message([]byte(list(`{"name":"\ud800ab"},7,"ab",["name","ab"],{"name":7},{"name":""},{}`)))
	require.NoError(t, err)
	require.Equal(t, `{"result":{"tools":[]}}`, string(got), "what has no name is for nobody")
	long := `{"result":{"nextCursor":"` + strings.Repeat("x", maxCursor) + `"`
	_, err = listsFilter().message([]byte(long + `}}`))
	require.ErrorIs(t, err, errCursorTooLong)
	_, err = listsFilter().message([]byte(long + `;}}`))
	require.ErrorIs(t, err, strictjson.ErrSyntax, "what is wrong with the text goes before what is wrong with a cursor")
}

// TestEditedInPlace_MCP_62: a message that gets shorter is not copied, also where an edit leaves its length.
func TestEditedInPlace_MCP_62(t *testing.T) {
	raw := []byte("0123456789")
	got := edited(raw, []edit{{1, 2, []byte("x")}, {3, 6, nil}})
	require.Equal(t, "0x26789", string(got))
	require.Same(t, &raw[0], &got[0])
}
