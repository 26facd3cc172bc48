package jsonrpc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// request is a ping with this id, as it is written.
func request(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}`
}

// batchOf is a batch of n requests with ids of their own.
func batchOf(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = request(strconv.Itoa(i))
	}
	return "[" + strings.Join(all, ",") + "]"
}

const (
	answer = `{"jsonrpc":"2.0","id":1,"result":{}}`
	notice = `{"jsonrpc":"2.0","method":"notifications/progress"}`
)

func TestParseBatch_MCP_58_MCP_59(t *testing.T) {
	for _, row := range []struct {
		name, body string
		want       int    // elements; 0: refused
		code       int    // of the refusal
		is         error  // inside of it; nil: whatever it is
		kinds      []Kind // of the elements, if they matter
	}{
		{"MCP-58 one", batchOf(1), 1, 0, nil, nil},
		{"MCP-58 two", batchOf(2), 2, 0, nil, nil},
		{"MCP-58 requests and notifications", "[" + request("1") + "," + notice + "," + notice + "," + request(`"1"`) + "]", 4, 0, nil, []Kind{Request, Notification, Notification, Request}},
		{"MCP-58 notifications alone", "[" + notice + "," + notice + "]", 2, 0, nil, []Kind{Notification, Notification}},
		{"MCP-58 responses alone", "[" + answer + "," + `{"jsonrpc":"2.0","id":"a","error":{"code":1}}` + "]", 2, 0, nil, []Kind{Response, Response}},
		{"MCP-58 two responses to one request", "[" + answer + "," + answer + "]", 2, 0, nil, nil},
		{"MCP-59 white space around", "\n\t [ " + request("1") + " ,\r\n" + request("2") + " ] \n", 2, 0, nil, nil},
		{"MCP-59 32 elements", batchOf(32), 32, 0, nil, nil},
		{"MCP-59 33 elements", batchOf(33), 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 no element", "[]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 no element, white space", " [ ] ", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 a batch inside", "[" + batchOf(1) + "]", 0, CodeInvalid, ErrBatch, nil},
		{"MCP-59 a batch behind a request", "[" + request("1") + ",[" + request("2") + "]]", 0, CodeInvalid, ErrBatch, nil},
		{"MCP-59 a request and a response", "[" + request("2") + "," + answer + "]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 a response and a notification", "[" + answer + "," + notice + "]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 an id twice", "[" + request("1") + "," + request("1") + "]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 an id twice, as a string", "[" + request(`"a"`) + "," + request(`"a"`) + "]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 an id twice, once escaped", "[" + request(`"a"`) + "," + request(`"\u0061"`) + "]", 0, CodeInvalid, ErrBatchForm, nil},
		{"MCP-59 a number and a string are two ids", "[" + request("1") + "," + request(`"1"`) + "," + request(`"\"1"`) + "]", 3, 0, nil, nil},
		{"MCP-59 one element is a number", "[" + request("1") + ",2]", 0, CodeInvalid, ErrEnvelope, nil},
		{"MCP-59 one element is null", "[" + request("1") + ",null]", 0, CodeInvalid, ErrEnvelope, nil},
		{"MCP-59 one element has no method", "[" + request("1") + `,{"jsonrpc":"2.0","id":2}]`, 0, CodeInvalid, ErrEnvelope, nil},
		{"MCP-59 one id is null", "[" + request("1") + "," + request("null") + "]", 0, CodeInvalid, ErrID, nil},
		{"MCP-59 one element has a duplicate", "[" + request("1") + `,{"jsonrpc":"2.0","id":2,"method":"ping","method":"tools/call"}]`, 0, CodeInvalid, strictjson.ErrDuplicate, nil},
		{"MCP-59 a duplicate deep inside", "[" + request("1") + `,{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"arguments":{"a":{"b":1,"\u0062":2}}}}]`, 0, CodeInvalid, strictjson.ErrDuplicate, nil},
		{"MCP-59 one element has a Method", "[" + request("1") + `,{"jsonrpc":"2.0","id":2,"method":"ping","Method":"tools/call"}]`, 0, CodeInvalid, ErrCase, nil},
		{"MCP-59 a lone surrogate in an argument", `[{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"arguments":{"a":"\ud800"}}}]`, 0, CodeInvalid, nil, nil},
		{"MCP-59 cut short", "[" + request("1"), 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 cut short in an element", `[{"jsonrpc":"2.0",`, 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 a comma too much", "[" + request("1") + ",]", 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 more behind it", batchOf(1) + batchOf(1), 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 the text goes before the message", "[[]," + request("1"), 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 a byte that is not UTF-8", "[" + request("\"\xff\"") + "]", 0, CodeParse, strictjson.ErrUTF8, nil},
		{"MCP-59 a byte order mark", "\ufeff" + batchOf(1), 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 65 levels", `[{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":` + strings.Repeat(`{"a":`, 62) + "1" + strings.Repeat("}", 62) + "}}]", 0, CodeInvalid, strictjson.ErrDepth, nil},
		{"MCP-59 64 levels", `[{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":` + strings.Repeat(`{"a":`, 61) + "1" + strings.Repeat("}", 61) + "}}]", 1, 0, nil, nil},
		{"MCP-59 a message", request("1"), 0, CodeInvalid, strictjson.ErrKind, nil},
		{"MCP-59 nothing", "", 0, CodeParse, strictjson.ErrSyntax, nil},
		{"MCP-59 members of all elements together", manyMembers(3, 40_000), 0, CodeInvalid, strictjson.ErrMembers, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			messages, err := ParseBatch([]byte(row.body))
			if row.want > 0 {
				require.NoError(t, err)
				require.Len(t, messages, row.want)
				for i, kind := range row.kinds {
					assert.Equal(t, kind, messages[i].Kind)
				}
				return
			}
			assert.Nil(t, messages)
			var refused *Error
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, row.code, refused.Code, "%v", err)
			assert.Nil(t, refused.ID, "a batch has no id of its own")
			assert.Equal(t, 1, strings.Count(err.Error(), "jsonrpc: "), "%v", err)
			if row.is != nil {
				assert.ErrorIs(t, err, row.is)
			}
		})
	}
}

// manyMembers is a batch of n calls with so many arguments each.
func manyMembers(n, members int) string {
	arguments := make([]string, members)
	for i := range arguments {
		arguments[i] = fmt.Sprintf(`"%d":0`, i)
	}
	calls := make([]string, n)
	for i := range calls {
		calls[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"m","params":{"arguments":{%s}}}`, i, strings.Join(arguments, ","))
	}
	return "[" + strings.Join(calls, ",") + "]"
}

// A batch of one is read exactly as its message is, whatever the message.
func TestBatchOfOne_MCP_58(t *testing.T) {
	accepted := 0
	for _, body := range corpus.Bodies {
		if IsBatch([]byte(body.Body)) {
			continue
		}
		alone, err := Parse([]byte(body.Body))
		messages, batchErr := ParseBatch([]byte("[" + body.Body + "]"))
		if err != nil {
			assert.Error(t, batchErr, body.Name)
			continue
		}
		if batchErr != nil {
			assert.ErrorIs(t, batchErr, strictjson.ErrDepth, "%s: the array is a level too", body.Name)
			continue
		}
		accepted++
		if c := &alone.Cursor; c.State != Absent { // it stands behind the bracket, and the element's white space
			shift := messages[0].Cursor.From - c.From
			c.From, c.To = c.From+shift, c.To+shift
			assert.Positive(t, shift)
		}
		assert.Equal(t, []Message{alone}, messages, body.Name)
	}
	assert.Greater(t, accepted, 100)
}

// Cursor stands in the body where it says, alone and in a batch.
func TestCursorStandsWhereItSays_MCP_67(t *testing.T) {
	const text = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor" : %s }}`
	for written, want := range map[string]Cursor{
		`"a\u0062"`: {Value: []byte("ab"), State: String}, `""`: {Value: []byte{}, State: String},
		`{"a":[]}`: {State: Other}, `7`: {State: Other}, `null`: {},
	} {
		body := fmt.Sprintf(text, written)
		msg, err := Parse([]byte(body))
		require.NoError(t, err)
		batch := fmt.Sprintf(` [ %s,%s ] `, fmt.Sprintf(text, `"first"`), strings.Replace(body, `"id":1`, `"id":2`, 1))
		messages, err := ParseBatch([]byte(batch))
		require.NoError(t, err)
		for _, found := range []struct {
			in string
			c  Cursor
		}{{body, msg.Cursor}, {batch, messages[1].Cursor}} {
			assert.Equal(t, want.State, found.c.State)
			assert.Equal(t, want.Value, found.c.Value)
			if want.State == Absent {
				assert.Zero(t, found.c)
				continue
			}
			assert.Equal(t, written, found.in[found.c.From:found.c.To])
		}
	}
	for _, broken := range []string{`"\x"`, `[`, `"\ud800"`, `nul`} {
		_, err := Parse(fmt.Appendf(nil, text, broken))
		assert.Error(t, err)
	}
}
