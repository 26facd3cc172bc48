package reply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
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
		{"no message, and the word", `no result`, `no result`, false, errNotAMessage, nil},
		{"nothing", ``, ``, false, errNotAMessage, nil},
		{"a number", `7`, `7`, false, strictjson.ErrKind, nil},
		{"a batch of numbers", `[7]`, `[7]`, false, strictjson.ErrKind, nil},
		{"a broken batch", `[{"result":`, "", false, errNotAMessage, errNotAMessage},
		{"a broken result, escaped", `{"\u0072esult":`, "", false, errNotAMessage, errNotAMessage},
		{"a cursor in front of a list", `{"result":{"nextCursor":"x","tools":[{"name":"abc","title":"` + strings.Repeat("x", 50) + `"},{"name":"ab"}],"a":1}}`, `{"result":{"nextCursor":"sealed_tools/list","tools":[{"name":"ab"}],"a":1}}`, false, nil, nil},
		{"a cursor of the longest", `{"result":{"nextCursor":"` + strings.Repeat("x", 64<<10-2) + `"}}`, `{"result":{"nextCursor":"sealed_"}}`, false, nil, nil},
		{"a cursor a byte too long", `{"result":{"nextCursor":"` + strings.Repeat("x", 64<<10-1) + `"}}`, "", false, errCursorTooLong, errCursorTooLong},
		{"an error among others", `{"jsonrpc":"2.0","id":1,"error":{"code":7}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":7,"message":"no page for this cursor"}}`, true, nil, nil},
		{"tasks", `{"result":{"tasks":[{"taskId":"abc"},{"taskId":"ab"}]}}`, `{"result":{"tasks":[{"taskId":"ab"}]}}`, false, nil, nil},
		{"an entry in the middle", `{"result":{"tools":[ {"name":"ab"} , {"name":"abc"} , {"name":"cd"} ]}}`, `{"result":{"tools":[ {"name":"ab"} , {"name":"cd"} ]}}`, false, nil, nil},
		{"an entry with the comma in front of it", `{"result":{"tools":[{"name":"ab"} ,{"name":"abc"}, {"name":"cd"}]}}`, `{"result":{"tools":[{"name":"ab"}, {"name":"cd"}]}}`, false, nil, nil},
		{"the last entries", `{"result":{"tools":[ {"name":"ab"} , {"name":"abc"}, {"name":"b"} ]}}`, `{"result":{"tools":[ {"name":"ab"} ]}}`, false, nil, nil},
		{"the first entries", `{"result":{"tools":[ {"name":"abc"} ,{"name":"b"}, {"name":"ab"} ]}}`, `{"result":{"tools":[ {"name":"ab"} ]}}`, false, nil, nil},
		{"all entries", `{"result":{"tools":[ {"name":"abc"} , {"name":"b"} ]}}`, `{"result":{"tools":[]}}`, false, nil, nil},
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
		{"one behind another text", `1 ` + update, "", "", []string{""}},
		{"one behind a batch", `[{"id":1}] ` + update, "", "", []string{""}},
		{"a batch of others", `[{"id":1}, {"method":"x"}]`, "=", "=", nil},
		{"white space", `  `, "=", "=", nil},
		{"about nothing", `{"method":"notifications/resources/updated"}`, "", "", nil},
		{"about two things", `{"method":"notifications/resources/updated","params":{"uri":"ab"},"Params":{"uri":"ab"}}`, "", "", nil},
		{"in doubt, the other way round", strings.Replace(update, `"uri":`, `"uri":"abc","URI":"ab","x":`, 1), "", "", nil},
		{"with more in it", strings.Replace(update, `"uri":"abc"`, `"x":"abc","uri":"ab"`, 1), "=", "=", nil},
		{"about one's own task", strings.Replace(related, "abc", "ab", 1), "=", "=", nil},
		{"about a task of others, in an error", strings.Replace(related, "result", "error", 1), "", "=", nil},
		{"about a task in doubt", strings.Replace(related, `"taskId":"abc"`, `"taskId":"ab","TASKID":"ab"`, 1), "", "=", nil},
		{"about a task of others, in another case", strings.Replace(related, "io.", "IO.", 1), "", "=", nil},
		{"about a task of others, in other letters", strings.Replace(strings.Replace(related, "task\":", "taſ\u212a\":", 1), "io.", "Io.", 1), "", "=", nil},
		{"about no task", strings.Replace(related, `"taskId":"abc"`, `"x":"abc"`, 1), "=", "=", nil},
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

// TestUnreadableEvents_MCP_62: what cannot be read is left out where nobody waits for it, and may be anything under another name.
func TestUnreadableEvents_MCP_62(t *testing.T) {
	for _, row := range []struct {
		name, event, data string
		replays           bool
		want              string // of the data
		err               error
	}{
		{"no result", "", `{"a":`, false, "", nil},
		{"no result, replayed", "", `{"a":`, true, "", nil},
		{"a result", "", `{"result":{`, false, "", errNotAMessage},
		{"a result, replayed", "", `{"result":{`, true, "", nil},
		{"a message by its name", "message", `{"a":`, false, "", nil},
		{"no message", "ping", `{"result":{`, false, `{"result":{`, nil},
		{"no message that has one", "", `x {"result":1}`, false, "", nil},
	} {
		r := &told{}
		f := r.filter()
		f.Replays = row.replays
		got, err := f.event(row.event, []byte(row.data))
		require.ErrorIs(t, err, row.err, row.name)
		assert.Equal(t, row.want, string(got), row.name)
		assert.Equal(t, row.want == "" && err == nil, len(r.lists) == 1, "%s: the operator is told", row.name)
	}
	r := &told{}
	_, err := r.filter().Answer([]byte(`{"result":{"tools":[{"name":`), false)
	require.ErrorIs(t, err, strictjson.ErrSyntax)
	assert.Empty(t, r.lists, "an entry that is cut off is no entry without a name")
}

// TestOneByOne_MCP_62: what was taken out of one event has no effect on the next.
func TestOneByOne_MCP_62(t *testing.T) {
	const batch = "data: [{\"id\":1}, {\"method\":\"x\"}]\n\n"
	for _, lists := range []bool{true, false} {
		r := &told{}
		events := r.filter().Notices(r)
		if lists {
			events = r.filter().Stream(r)
		}
		_, err := io.WriteString(events, "data: "+update+"\n\n"+batch+"data: ["+update+",{\"id\":1}]\n\n"+batch)
		require.NoError(t, err)
		assert.Equal(t, "\n"+batch+"data: [{\"id\":1}]\n\n"+batch, r.String(), lists)
	}
}

// leaving is a receiver whose request ends, or whose answer is in doubt, while it is asked.
type leaving struct {
	told
	asked int
	leave func()
}

func (r *leaving) Shows(string, string, string) bool { r.asked++; r.leave(); return true }
func (r *leaving) Hears(string, string) bool         { r.asked++; r.leave(); return true }

// TestLeaving_MCP_63: an answer that came after the end counts for nothing, and nobody is asked any more.
func TestLeaving_MCP_63(t *testing.T) {
	errDoubt := errors.New("nobody knows")
	for _, in := range []string{
		`{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`, `{"result":{"tasks":[{"taskId":"a"},{"taskId":"b"}]}}`,
		update, related, `[` + update + `,` + update + `]`,
	} {
		for _, want := range []error{ErrOver, errDoubt} {
			ctx, cancel := context.WithCancel(t.Context())
			r := &leaving{}
			f := &Filter{Context: ctx, Receiver: r, Replays: true, Ahead: func([]string) {}}
			r.leave = func() { f.Doubt = errDoubt }
			if want == ErrOver {
				r.leave = cancel
			}
			got, err := f.message([]byte(in))
			require.ErrorIs(t, err, want, in)
			assert.Nil(t, got)
			assert.Equal(t, 1, r.asked, in)
			if want == ErrOver {
				assert.NotErrorIs(t, err, errNotAMessage, "the answer is none the worse")
				_, err = f.message([]byte(in))
				require.ErrorIs(t, err, ErrOver)
				assert.Equal(t, 1, r.asked, in)
			}
			cancel()
		}
	}
}

// TestDoubtInEvents: an answer of which nobody knows what may be shown is withheld, whatever its event is called.
func TestDoubtInEvents_MCP_63_STORE_07(t *testing.T) {
	for _, event := range []string{"", "message", "other"} {
		errDoubt, r := errors.New("nobody knows"), &leaving{}
		f := &Filter{Context: t.Context(), Receiver: r}
		r.leave = func() { f.Doubt = errDoubt }
		got, err := f.event(event, []byte(`{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`))
		assert.ErrorIs(t, err, errDoubt, event)
		assert.Nil(t, got, event)
	}
}

// TestAhead_MCP_63: of tasks in a list somebody hears before each is decided about, many at a time.
func TestAhead_MCP_63(t *testing.T) {
	for count, batches := range map[int][]int{0: nil, 3: {3, 0}, 256: {256, 0}, 600: {256, 0, 256, 0, 88, 0}} {
		entries, kept := make([]string, count), []string{}
		for i := range entries {
			entries[i] = fmt.Sprintf(`{"taskId":"%d"}`, i)
			if len(strconv.Itoa(i))%2 == 0 {
				kept = append(kept, entries[i])
			}
		}
		var told []int
		var names []string
		f := listsFilter()
		f.Ahead = func(ahead []string) { told, names = append(told, len(ahead)), append(names, ahead...) }
		in := `{"result":{"tasks":[` + strings.Join(entries, ",") + `],"tools":[{"name":"ab"},{"name":"abc"}]}}`
		got, err := f.Answer([]byte(in), false)
		require.NoError(t, err)
		assert.Equal(t, `{"result":{"tasks":[`+strings.Join(kept, ",")+`],"tools":[{"name":"ab"}]}}`, string(got))
		assert.Equal(t, batches, told, "and of no tools")
		for i, name := range names {
			require.Equal(t, strconv.Itoa(i), name)
		}
		assert.Len(t, names, count)
	}
	f := listsFilter()
	f.Ahead = func([]string) { t.Error("of a list that cannot be read nobody is asked") }
	_, err := f.message([]byte(`{"result":{"tasks":[{"taskId":"ab"} {"taskId":"cd"}]}}`))
	assert.ErrorIs(t, err, strictjson.ErrSyntax)
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
