package reply

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// told is an [even] receiver that notes what is left out as unreadable, and takes what is sent.
type told struct {
	even
	bytes.Buffer
	lists []string
}

func (r *told) Unreadable(list string, _ error)   { r.lists = append(r.lists, list) }
func (r *told) Seal(list string, _ []byte) string { return "sealed_" + list }

func (r *told) filter() *Filter { return &Filter{Context: context.Background(), Receiver: r} }

func TestAnswer_MCP_63_MCP_67(t *testing.T) {
	for _, row := range []struct {
		name, in, want string
		paged          bool
		err, failed    error // with the status of a success and of an error
	}{
		{"a list", `{"result":{"tools":[{"name":"ab"},{"name":"abc"}]}}`, `{"result":{"tools":[{"name":"ab"}]}}`, false, nil, nil},
		{"a batch", `[{"result":{"prompts":[{"name":"abc"}]}}, {"id":1}]`, `[{"result":{"prompts":[]}}, {"id":1}]`, false, nil, nil},
		{"a cursor of a list", `{"result":{"nextCursor":"x","resources":[]}}`, `{"result":{"nextCursor":"sealed_resources/list","resources":[]}}`, false, nil, nil},
		{"a cursor of no list", `{"result":{"nextCursor":{}}}`, `{"result":{"nextCursor":"sealed_"}}`, false, nil, nil},
		{"no cursor", `{"result":{"nextCursor":null,"NextCursor":""}}`, `{"result":{"nextCursor":null,"NextCursor":""}}`, false, nil, nil},
		{"a cursor too long", `{"result":{"nextCursor":"` + strings.Repeat("x", maxCursor) + `"}}`, "", false, errCursorTooLong, errCursorTooLong},
		{"a list that is none", `{"result":{"tools":{}}}`, "", false, errNotAList, errNotAList},
		{"a list in another case", `{"result":{"Tools":[]}}`, "", false, errOtherCase, errOtherCase},
		{"a result in another case", `{"Result":{"tools":[]}}`, "", false, errOtherCase, errOtherCase},
		{"a result behind a byte order mark", "\ufeff" + `{"result":{"tools":[]}}`, "", false, errNotAMessage, errNotAMessage},
		{"no message", `not found`, `not found`, false, errNotAMessage, nil},
		{"broken, without a result", `{"a":`, `{"a":`, false, errNotAMessage, nil},
		{"an error", `{"error":{"code":-7,"message":"no page after abc"}}`, `{"error":{"code":-7,"message":"no page after abc"}}`, false, nil, nil},
		{"an error that may quote", `{"Error":{"code":-7,"message":"no page after abc"},"error":null}`, `{"Error":{"code":-7,"message":"no page for this cursor"},"error":null}`, true, nil, nil},
		{"an error with a code that may quote", `{"error":{"code":007}}`, "", true, errNotAMessage, errQuotes},
		{"one with a long code", `{"error":{"code":1234567890}}`, `{"error":{"code":-32603,"message":"no page for this cursor"}}`, true, nil, nil},
	} {
		for _, isError := range []bool{false, true} {
			f := (&told{}).filter()
			f.Paged = row.paged
			got, err := f.Answer([]byte(row.in), isError)
			if wanted := map[bool]error{false: row.err, true: row.failed}[isError]; wanted != nil {
				require.ErrorIs(t, err, wanted, "%s %v", row.name, isError)
				require.Nil(t, got, "%s %v", row.name, isError)
				continue
			}
			require.NoError(t, err, "%s %v", row.name, isError)
			require.Equal(t, row.want, string(got), "%s %v", row.name, isError)
		}
	}
}

const (
	update  = `{"method":"notifications/resources/updated","params":{"uri":"abc"}}`
	related = `{"id":1,"result":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"abc"}}}}`
)

func TestStreams_MCP_62_MCP_68(t *testing.T) {
	for _, row := range []struct {
		name, in, list, notices string // "=" for what it was
		left                    []string
	}{
		{"a list", `{"result":{"tools":[{"name":"abc"}]}}`, `{"result":{"tools":[]}}`, "=", nil},
		{"a nameless entry", `{"result":{"tools":[{"Name":"ab"}]}}`, `{"result":{"tools":[]}}`, "=", []string{"tools/list"}},
		{"text", `hello`, "=", "=", nil},
		{"a message that cannot be read", `{"a":`, "", "=", []string{""}},
		{"a notification", update, "", "", nil},
		{"one for this receiver", strings.Replace(update, "abc", "ab", 1), "=", "=", nil},
		{"one in a batch", `[{"id":1}, ` + update + `,{"id":2}]`, `[{"id":1},{"id":2}]`, `[{"id":1},{"id":2}]`, nil},
		{"nothing else in a batch", `[` + update + `]`, "", "", nil},
		{"in doubt what it is about", strings.Replace(update, `"uri"`, `"URI":"ab","uri"`, 1), "", "", nil},
		{"of a task", strings.Replace(strings.Replace(update, "resources/updated", "tasks/status", 1), "uri", "taskId", 1), "", "", nil},
		{"another", `{"method":"notifications/progress","params":{"uri":"abc"}}`, "=", "=", nil},
		{"about a task of others", related, "", "=", nil}, // a stream of the server's own may answer them, an answer is one's own
	} {
		for _, lists := range []bool{true, false} {
			in := "id: 1\ndata: " + row.in + "\n\n"
			want := row.notices
			if lists {
				want = row.list
			}
			switch want {
			case "=":
				want = in
			case "":
				want = "id: 1\n\n"
			default:
				want = "id: 1\ndata: " + want + "\n\n"
			}
			for _, size := range []int{1, 7, len(in)} {
				r := &told{}
				f := r.filter()
				f.Replays = lists
				events := f.Notices(r)
				if lists {
					events = f.Stream(r)
				}
				for rest := []byte(in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
					_, err := events.Write(rest[:min(size, len(rest))])
					require.NoError(t, err, row.name)
				}
				require.NoError(t, events.Close())
				require.Equal(t, want, r.String(), "%s %v", row.name, lists)
				if lists {
					require.Equal(t, row.left, r.lists, row.name)
				}
			}
		}
	}
	r := &told{}
	events := r.filter().Stream(r)
	_, err := io.WriteString(events, "event: endpoint\ndata: /messages\n\nevent: other\ndata: {no JSON\n\ndata: {\"result\": {broken\n\n")
	require.ErrorIs(t, err, errNotAMessage, "somebody waits for it")
	assert.Equal(t, "event: endpoint\ndata: /messages?sealed\n\nevent: other\ndata: {no JSON\n\n", r.String())
}

// TestOver_MCP_63: nobody is asked once the request is over.
func TestOver_MCP_63(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &Filter{Context: ctx, Receiver: even{}}
	for _, in := range []string{`{"result":{"tools":[{"name":"ab"}]}}`, `[{"result":{"tools":[]}}]`, update, `[` + update + `]`} {
		got, err := f.Answer([]byte(in), true)
		require.ErrorIs(t, err, ErrOver, in)
		require.ErrorIs(t, err, context.Canceled, in)
		assert.Nil(t, got)
	}
	f.Replays = true
	_, err := f.event("", []byte(related))
	require.ErrorIs(t, err, ErrOver)
}

// TestLongEvents_MCP_64: of a long event only what is judged is held.
func TestLongEvents_MCP_64(t *testing.T) {
	long := strings.Repeat("x", 2*eventPiece)
	for begins, passes := range map[string]bool{
		`{"id":1,"result":"`: true, `{"method":"notifications/message","params":"`: true, "text ": true,
		`{"method":"notifications/tasks","params":"`: false, `{"params":"`: false, `["`: false, `{} "`: false, "\ufeff {\"x\":\"": false,
	} {
		r := &told{}
		events := r.filter().Notices(r)
		_, err := io.WriteString(events, "data: "+begins+long)
		require.NoError(t, err)
		assert.Equal(t, passes, r.Len() > 0, begins)
		assert.Equal(t, passes, events.Held() == 0, begins)
		if passes {
			_, err = io.WriteString(events, long+"\n\ndata: "+update+"\n\n")
			require.NoError(t, err)
			assert.Equal(t, "data: "+begins+long+long+"\n\n\n", r.String())
		}
		events.Fail(errNotAList)
		events.Fail(errOtherCase)
		require.ErrorIs(t, events.Err(), errNotAList)
		_, err = io.WriteString(events, "\n")
		require.ErrorIs(t, err, errNotAList)
	}
}
