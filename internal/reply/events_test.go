package reply

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sseRun passes a stream through a filter in pieces of one size.
func sseRun(stream string, size int, rewrite func(string, []byte) ([]byte, error)) (string, error) {
	var out bytes.Buffer
	f := &Events{out: &out, rewrite: rewrite, limit: MaxHeld}
	for rest := []byte(stream); len(rest) > 0; {
		piece := rest[:min(size, len(rest))]
		rest = rest[len(piece):]
		if _, err := f.Write(bytes.Clone(piece)); err != nil {
			return out.String(), err
		}
	}
	err := f.Close()
	return out.String(), err
}

func sseIdentity(_ string, data []byte) ([]byte, error) { return data, nil }

// sseUpper writes data in capitals, so that what was taken for data shows. It
// drops data that asks for it.
func sseUpper(event string, data []byte) ([]byte, error) {
	switch {
	case event == "other":
		return data, nil
	case string(data) == "drop":
		return nil, nil
	case string(data) == "fail":
		return nil, errNotAMessage
	}
	return bytes.ToUpper(data), nil
}

func TestEvents_MCP_62(t *testing.T) {
	for _, row := range []struct {
		name, in, want string
		err            error
	}{
		{"MCP-62 one event", "data: a\n\n", "data: A\n\n", nil},
		{"MCP-62 unchanged bytes", "data:A\n\n", "data:A\n\n", nil},
		{"MCP-62 CRLF stays CRLF", "id: 7\r\ndata: a\r\n\r\n", "id: 7\r\ndata: A\r\n\r\n", nil},
		{"MCP-62 mixed line ends", "id: 7\r\ndata: a\n\r\n", "id: 7\r\ndata: A\n\r\n", nil},
		{"MCP-62 id, retry, unknown field in their places, a comment in front", ": hi\nid: 1\ndata: a\nretry: 5\nfoo: a\n: x\n\n", ": hi\n: x\nid: 1\ndata: A\nretry: 5\nfoo: a\n\n", nil},
		{"MCP-62 comments that stand alone, in every line end", ":\n: a\r\n: a\r: a\rdata: a\n\n", ":\n: a\r\n: a\r\n: a\r\ndata: A\n\n", nil},
		{"MCP-62 blank lines between, in every line end", "\n\r\n\r: a\r\rdata: a\n\n", "\n\r\n\r\n: a\r\n\r\ndata: A\n\n", nil},
		{"MCP-62 comments inside an event, in every line end", "data: a\n: 1\r\n: 2\n: 3\rdata: b\n\n", ": 1\r\n: 2\n: 3\r\ndata: A\ndata: B\n\n", nil},
		{"MCP-62 a comment inside data that is dropped", "id: 1\ndata: drop\n: x\n\n", ": x\nid: 1\n\n", nil},
		{"MCP-62 a byte order mark stays in front of the comments", "\ufeffdata: a\n: x\n\n\ufeff: y\n\n", "\ufeff: x\ndata: A\n\n\ufeff: y\n\n", nil},
		{"MCP-62 a byte order mark in front of a comment", "\ufeff: x\ndata: a\n\n", "\ufeff: x\ndata: A\n\n", nil},
		{"MCP-62 a byte order mark in front of an event without its end", "\ufeffdata: a", "\ufeffdata: A\n", nil},
		{"MCP-62 retry and id without data", "retry: 5\n\nid: 1\n\nid\nretry: 6\n", "retry: 5\n\nid: 1\n\nid\nretry: 6\n", nil},
		{"MCP-62 half a comment at the end", "data: a\n\n: pi", "data: A\n\n: pi", nil},
		{"MCP-62 a carriage return hides no data, nor a comment", ": x\rdata: a\n\ndata: b\r: x\n\n", ": x\r\ndata: A\n\n: x\ndata: B\r\n\n", nil},
		{"MCP-62 a carriage return that ends an event", "data: a\n\rdata: b\n\n", "data: A\n\r\ndata: B\n\n", nil},
		{"MCP-62 several data lines are one text", "data: a\nid: 1\ndata: b\n\n", "data: A\ndata: B\nid: 1\n\n", nil},
		{"MCP-62 several data lines behind another", "id: 1\ndata: a\ndata: b\n\n", "id: 1\ndata: A\ndata: B\n\n", nil},
		{"MCP-62 data behind a line with spaces", "id: 1 2\ndata: a\n\n", "id: 1 2\ndata: A\n\n", nil},
		{"MCP-62 a space less", "data:a\ndata:  b\n\n", "data: A\ndata:  B\n\n", nil},
		{"MCP-62 data without a colon is an empty line", "data\ndata: b\n\n", "data: \ndata: B\n\n", nil},
		{"MCP-62 empty data", "id: 1\ndata:\n\ndata\n\ndata: \n\n", "id: 1\ndata:\n\ndata\n\ndata: \n\n", nil},
		{"MCP-62 no data at all", "id: a\nevent: message\n\n", "id: a\nevent: message\n\n", nil},
		{"MCP-62 other kinds stay", "event: other\ndata: a\n\n", "event: other\ndata: a\n\n", nil},
		{"MCP-62 the last event line counts", "event: other\nevent:\ndata: a\n\n", "event: other\nevent:\ndata: A\n\n", nil},
		{"MCP-62 blank lines and comments between", "\n\n: ping\n\ndata: a\n\n\n", "\n\n: ping\n\ndata: A\n\n\n", nil},
		{"MCP-62 field names have one spelling", "DATA: a\n data: a\ndata : a\n\n", "DATA: a\n data: a\ndata : a\n\n", nil},
		{"MCP-62 a byte order mark hides no data", "\ufeffdata: a\n\ndata: b\n\n", "\ufeffdata: A\n\ndata: B\n\n", nil},
		{"MCP-62 only the first byte order mark is one", "data: a\n\n\ufeffdata: b\n\n", "data: A\n\n\ufeffdata: b\n\n", nil},
		{"MCP-68 dropped data leaves the id", "id: 4\nevent: message\ndata: drop\n\ndata: a\n\n", "id: 4\nevent: message\n\ndata: A\n\n", nil},
		{"MCP-63 the last event without its blank line", "data: a\n\ndata: b\n", "data: A\n\ndata: B\n", nil},
		{"MCP-63 nor its line end", "data: a\n\ndata: b", "data: A\n\ndata: B\n", nil},
		{"MCP-63 nor all of CRLF", "data: b\r", "data: B\r\n", nil},
		{"MCP-62 carriage returns alone", "data: a\rdata: b\r\r", "data: A\r\ndata: B\r\n\r\n", nil},
		{"MCP-62 a carriage return inside", "data: x\n\ndata: a\rdata: b\n\ndata: c\n\n", "data: X\n\ndata: A\r\ndata: B\r\n\ndata: C\n\n", nil},
		{"MCP-63 the first is let through, the broken one and all after it are not", "data: a\n\ndata: fail\n\ndata: c\n\n", "data: A\n\n", errNotAMessage},
		{"MCP-63 broken at the end", "data: a\n\ndata: fail", "data: A\n\n", errNotAMessage},
	} {
		t.Run(row.name, func(t *testing.T) {
			for size := 1; size <= len(row.in); size++ {
				got, err := sseRun(row.in, size, sseUpper)
				require.ErrorIs(t, err, row.err, "in pieces of %d", size)
				require.Equal(t, row.want, got, "in pieces of %d", size)
			}
		})
	}
}

// What stands for data may have other lines than it.
func TestEventsOfOtherLines_MCP_62(t *testing.T) {
	for _, row := range []struct{ in, data, want string }{
		{"data: abcd\nid: 1\n\n", "x", "data: x\nid: 1\n\n"},
		{"data: abcd\nid: 1\n\n", "wxyz", "data: wxyz\nid: 1\n\n"},
		{"data: abcd\nid: 1\n\n", "longer", "data: longer\nid: 1\n\n"},
		{"data: abcd\nid: 1\n\n", "x\ny", "data: x\ndata: y\nid: 1\n\n"},
		{"data: abcd\r\nid: 1\n\n", "\nx", "data: \r\ndata: x\r\nid: 1\n\n"},
		{"data: ab\ndata: cd\nid: 123456\n\n", "x", "data: x\nid: 123456\n\n"},
		{"data: ab\ndata: cd", "x", "data: x\n"},
	} {
		got, err := sseRun(row.in, len(row.in), func(string, []byte) ([]byte, error) { return []byte(row.data), nil })
		require.NoError(t, err)
		assert.Equal(t, row.want, got, "%q for %q", row.data, row.in)
	}
	r := &told{}
	events := r.filter().Stream(r) // the cursor is as long as what stands for it
	_, err := io.WriteString(events, "data: {\"result\":{\"nextCursor\":\"\"\ndata: ,\"NextCursor\":\"12345678901234567\",\"tools\":[]}}\n\n")
	require.NoError(t, err)
	assert.Equal(t, "data: {\"result\":{\"nextCursor\":\"\"\ndata: ,\"NextCursor\":\"sealed_tools/list\",\"tools\":[]}}\n\n", r.String())
}

// An event is there as soon as its blank line is, and not before.
func TestEventsLeaveAtOnce_MCP_64(t *testing.T) {
	var out bytes.Buffer
	f := &Events{out: &out, rewrite: sseUpper, limit: MaxHeld}
	for _, step := range []struct{ in, out string }{
		{"data: a", ""}, {"\n", ""}, {"\r", "data: A\n\r\n"}, {"\n", ""}, {"data: a\r", ""}, {"\r", "data: A\r\n\r\n"}, {": ping\n\nda", ": ping\n\n"}, {"ta: b\n\n", "data: B\n\n"},
		{": ping\n", ": ping\n"}, {":", ""}, {" pi", ""}, {"ng\n", ": ping\n"}, {":\r\n", ":\r\n"},
		{": cr\r", ": cr\r\n"}, {"\n", ""}, {": cr\r", ": cr\r\n"}, {": cr\r", ": cr\r\n"}, {"\r", "\r\n"}, {"\n", ""}, {"\n", "\n"},
		{"id: 1\nda", ""}, {"ta: a\n", ""}, {": ping\n", ": ping\n"}, {": cr\r", ": cr\r\n"}, {"\n: ping\r\n", ": ping\r\n"}, {"da", ""},
		{"ta: b\n: x\n\n", ": x\nid: 1\ndata: A\ndata: B\n\n"},
		{"retry: 5\n", ""}, {": ping\n", ": ping\n"}, {"\n", "retry: 5\n\n"}, {"id: 1\n\n", "id: 1\n\n"},
	} {
		out.Reset()
		n, err := io.WriteString(f, step.in)
		require.NoError(t, err)
		require.Equal(t, len(step.in), n)
		require.Equal(t, step.out, out.String(), "%q", step.in)
	}
}

// MCP-63: 16 MiB is the end, however the event comes, and nothing of it leaves.
func TestEventTooLarge_MCP_63(t *testing.T) {
	large := "data: " + strings.Repeat("x", MaxHeld) + "\n\n"
	for _, size := range []int{len(large), 1 << 20, 4000} {
		got, err := sseRun("data: a\n\n"+large, size, sseUpper)
		require.ErrorIs(t, err, errEventTooLarge)
		require.Equal(t, "data: A\n\n", got)
	}
	fits := "data: " + strings.Repeat("x", MaxHeld-8) + "\n\n"
	got, err := sseRun(fits+"data: b\n\n", 1<<20, sseIdentity)
	require.NoError(t, err)
	require.Equal(t, len(fits)+9, len(got))

	var out bytes.Buffer // a limit smaller than a piece
	small := &Events{out: &out, rewrite: sseIdentity, limit: 100}
	_, err = io.WriteString(small, "data: "+strings.Repeat("x", 100)+"\n\n")
	require.ErrorIs(t, err, errEventTooLarge)
	require.ErrorIs(t, small.Close(), errEventTooLarge)
	_, err = io.WriteString(small, "data: x\n\n")
	require.ErrorIs(t, err, errEventTooLarge)
	require.Empty(t, out.String())

	for _, endless := range []string{"x", ": x", "data: a\n"} { // a line, a comment, an event
		got, err := sseRun("data: a\n\n"+strings.Repeat(endless, MaxHeld/len(endless)+1), 1<<20, sseUpper)
		require.ErrorIs(t, err, errEventTooLarge, endless)
		require.Equal(t, "data: A\n\n", got)
	}
	got, err = sseRun("data: b\n"+strings.Repeat(": x\n", MaxHeld/2)+"\n", 1<<20, sseUpper)
	require.NoError(t, err, "comments are not held, however many there are")
	require.Equal(t, strings.Repeat(": x\n", MaxHeld/2)+"data: B\n\n", got)
}

// A large event does not keep its buffer.
func TestEventBuffer_MCP_64(t *testing.T) {
	f := &Events{out: io.Discard, rewrite: sseIdentity, limit: MaxHeld}
	_, _ = io.WriteString(f, "data: "+strings.Repeat("x", 1<<20)+"\n\ndata: y")
	assert.LessOrEqual(t, cap(f.held), eventBuffer)
	assert.Equal(t, "data: y", string(f.held))
	_, _ = io.WriteString(f, "\n")
	assert.Equal(t, len(f.held), f.line)
	_, _ = io.WriteString(f, "\n")
	assert.Zero(t, f.line+len(f.held))
	_, _ = io.WriteString(f, ": "+strings.Repeat("x", 1<<20)+"\n")
	assert.LessOrEqual(t, cap(f.held), eventBuffer, "nor does a comment")
	assert.Zero(t, f.line+len(f.held))

	start := time.Now() // logged only: the machine decides
	many := strings.Repeat("data: x\n\n", 1<<18)
	_, err := io.WriteString(f, many)
	require.NoError(t, err)
	t.Logf("%d events in one write: %v", 1<<18, time.Since(start))
}

// A long line is made room for once, and for little more than it is; in pieces it is held once more.
func TestEventRoom_MCP_64(t *testing.T) {
	line := "data: " + strings.Repeat("x", 1<<20+100<<10)
	for _, row := range []struct {
		text      string
		size, max int // of a write, and of what is allocated
	}{
		{line, 1 << 30, len(line) + 64<<10},
		{line + "\n\n" + strings.Repeat("data: "+strings.Repeat("y", 60<<10)+"\n\n", 16), 1 << 30, len(line) + 256<<10},
		{line + "\n\n", 4 << 10, 2*len(line) + 512<<10},
	} {
		f := &Events{out: io.Discard, rewrite: sseIdentity, limit: MaxHeld}
		text := []byte(row.text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for part := range slices.Chunk(text, row.size) {
			_, err := f.Write(part)
			require.NoError(t, err)
		}
		runtime.ReadMemStats(&after)
		assert.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(row.max), "%d in pieces of %d", len(text), row.size)
	}
}

// A client that has gone is no fault of the stream.
func TestEventClientGone_MCP_64(t *testing.T) {
	gone := errors.New("broken pipe")
	f := &Events{out: failingWriter{gone}, rewrite: sseIdentity, limit: MaxHeld}
	_, err := io.WriteString(f, "data: x\n\n")
	require.ErrorIs(t, err, gone)
	require.NoError(t, f.err)
}

// TestEventsThatPass_MCP_64: when a long event begins to pass, how often that is asked, and what becomes of the rest.
func TestEventsThatPass_MCP_64(t *testing.T) {
	var out bytes.Buffer
	asked := 0
	begin := func(out io.Writer, text string, free bool) *Events {
		asked = 0
		f := &Events{out: noEmpty{out}, rewrite: sseUpper, limit: 4 << 20, free: func([]byte) bool { asked++; return free }}
		for part := range slices.Chunk([]byte(text), 4<<10) {
			_, err := f.Write(part)
			require.NoError(t, err)
		}
		return f
	}
	long := "data: " + strings.Repeat("x", 64<<10-6)
	f := begin(&out, long, true)
	assert.Zero(t, out.Len()+asked)
	for _, more := range []string{"x", "\n", "data: y", "z"} {
		_, err := io.WriteString(f, more)
		require.NoError(t, err)
		long += more
		assert.True(t, long == out.String(), "at once")
		assert.Zero(t, f.Held())
	}
	_, err := io.WriteString(f, "\n\ndata: a\n\n")
	require.NoError(t, err)
	assert.True(t, long+"\n\ndata: A\n\n" == out.String(), "the next is looked at again")
	assert.Equal(t, 1, asked)
	require.NoError(t, f.Close(), "there is nothing more to write")

	out.Reset()
	f = begin(&out, "\ufeff"+long, true)
	assert.True(t, "\ufeff"+long == out.String(), "the byte order mark is none of the data")
	f.Fail(errNotAMessage)
	_, err = io.WriteString(f, "x\n\n: c\n")
	require.ErrorIs(t, err, errNotAMessage)
	assert.True(t, "\ufeff"+long == out.String(), "nothing more is passed on")

	out.Reset()
	f = begin(&out, "data: "+strings.Repeat("x", 2<<20), false)
	assert.Zero(t, out.Len())
	assert.LessOrEqual(t, asked, 6, "each time that it has doubled")
	f.Fail(errNotAMessage)
	_, err = io.WriteString(f, ": c\n")
	require.ErrorIs(t, err, errNotAMessage)
	assert.Zero(t, out.Len())

	free := false // of two long events the first is not
	f = &Events{out: &out, rewrite: sseIdentity, limit: 1 << 20, free: func([]byte) bool { return free }}
	_, err = io.WriteString(f, "data: "+strings.Repeat("x", 1<<19)+"\n\n")
	require.NoError(t, err)
	out.Reset()
	free = true
	_, err = io.WriteString(f, long)
	require.NoError(t, err)
	assert.True(t, long == out.String(), "the one before does not hold it back")

	out.Reset()
	f = &Events{out: &out, rewrite: sseIdentity, limit: 70_000, free: func([]byte) bool { return true }}
	_, err = io.WriteString(f, "data: "+strings.Repeat("x", 64<<10-6))
	require.NoError(t, err)
	_, err = io.WriteString(f, strings.Repeat("x", 10_000))
	require.ErrorIs(t, err, errEventTooLarge)
	_, err = io.WriteString(f, "x")
	require.ErrorIs(t, err, errEventTooLarge)
	assert.Zero(t, out.Len(), "it is too large, free or not")

	gone := errors.New("broken pipe")
	f = &Events{out: failingWriter{gone}, rewrite: sseIdentity, limit: MaxHeld, free: func([]byte) bool { return true }}
	_, err = io.WriteString(f, long)
	require.ErrorIs(t, err, gone)
	_, err = io.WriteString(f, "x")
	require.ErrorIs(t, err, gone)
	require.NoError(t, f.Err())

	r := &told{} // an answer shows that it is one behind a long member, and a byte order mark is none of the data
	notices := r.filter().Notices(r)
	text := "\ufeff" + `data: {"a":"` + strings.Repeat("x", 400<<10) + `","result":"` + strings.Repeat("x", 400<<10)
	for part := range slices.Chunk([]byte(text), 4<<10) {
		_, err := notices.Write(part)
		require.NoError(t, err)
	}
	assert.True(t, text == r.String())
}

// noEmpty is a writer that is never given nothing.
type noEmpty struct{ io.Writer }

func (w noEmpty) Write(p []byte) (int, error) {
	if len(p) == 0 {
		panic("nothing is written")
	}
	return w.Writer.Write(p)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// FuzzEventFilter: with a rewrite that changes nothing, nothing changes,
// whatever the pieces; and what a rewrite does not depend on them.
func FuzzEventFilter(f *testing.F) {
	for _, seed := range []string{
		"data: a\n\n", "id: 1\r\nevent: message\r\ndata: {\"a\":1}\r\n\r\n", ": c\n\ndata\ndata:\ndata: b\n\n", "\ufeffdata: x\n\ndata: y", "a\rb\n\n",
		"data: a\n: b\r\n: c\rdata: d\n\n: e\r\r: f\n", "\ufeffid: 1\n: a\n\n",
	} {
		f.Add([]byte(seed), uint16(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		pieces := int(size)%(len(stream)+1) + 1
		got, err := sseRun(string(stream), pieces, sseIdentity)
		wanted, wantedComments := sseComments(string(stream))
		gotten, gotComments := sseComments(got)
		require.NoError(t, err)
		require.Equal(t, wanted, gotten)
		require.Equal(t, wantedComments, gotComments)
		if len(wantedComments) == 0 && !bytes.Contains(bytes.ReplaceAll(stream, []byte("\r\n"), nil), []byte("\r")) {
			require.Equal(t, string(stream), got)
		}
		whole, wholeErr := sseRun(string(stream), len(stream)+1, sseUpper)
		split, splitErr := sseRun(string(stream), pieces, sseUpper)
		require.Equal(t, whole, split)
		require.Equal(t, wholeErr, splitErr)
		require.Equal(t, sseEvents(t, string(stream), wholeErr), sseEvents(t, whole, wholeErr), "what a client reads, in capitals")
	})
}

// sseComments takes the comments out of a stream, in which every line then ends
// in a line feed.
func sseComments(stream string) (rest string, comments []string) {
	stream, _ = strings.CutPrefix(stream, "\ufeff")
	for line := range strings.SplitAfterSeq(sseLines(stream), "\n") {
		if strings.HasPrefix(line, ":") {
			comments = append(comments, strings.TrimSuffix(line, "\n"))
		} else {
			rest += line
		}
	}
	return rest, comments
}

func sseLines(stream string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
}

// sseEvents is a naive client: the data of every event in capitals, without
// what sseUpper drops.
func sseEvents(t *testing.T, stream string, failed error) (events []string) {
	t.Helper()
	if failed != nil {
		return nil
	}
	stream = sseLines(strings.TrimPrefix(stream, "\ufeff"))
	var data []string
	name := ""
	for _, line := range strings.Split(stream+"\n\n", "\n") {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			text := strings.Join(data, "\n")
			if name == "other" || text != "drop" {
				events = append(events, name+"="+string(bytes.ToUpper([]byte(text))))
			}
			data, name = nil, ""
		case line == "":
			name = ""
		case field == "data":
			data = append(data, value)
		case field == "event":
			name = value
		}
	}
	return events
}

// openAfter is what of a stream does not belong to a whole event, read plainly:
// a line at a time.
func openAfter(text string) (open string) {
	for line := range strings.SplitAfterSeq(text, "\n") {
		switch bare, ended := strings.CutSuffix(line, "\n"); {
		case !ended:
			open += line
		case bare == "" || bare == "\r":
			open = ""
		case bare[0] != ':':
			open += line
		}
	}
	return open
}

// TestEventEdge_MCP_55 compares with the plain reading, in pieces of all sizes.
func TestEventEdge_MCP_55(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"\n", "\n", "\n\n", "\r\n", "\r", ":", ": x", "data: {}", "id", "\r\n\r\n", "", "x\ry"}
	between := 0
	for range 20_000 {
		var edge Edge
		text := ""
		for range random.IntN(12) {
			piece := pieces[random.IntN(len(pieces))]
			text += piece
			edge.Pass([]byte(piece))
		}
		if edge.Between() {
			between++
		}
		require.Equal(t, openAfter(text) == "", edge.Between(), "%q", text)
	}
	assert.Greater(t, between, 2_000)
	assert.Less(t, between, 18_000)
}

// TestLongLines_MCP_62: lines of any length, in pieces of any size, are what they were, and what is taken out of
// one leaves the rest of its event.
func TestLongLines_MCP_62(t *testing.T) {
	long := strings.Repeat("x", 3*eventBuffer)
	entries := strings.Repeat(`{"name":"ab","x":"`+long[:eventPiece]+`"},{"name":"abc"},`, 9) + `{"name":"abc"}`
	kept := strings.TrimSuffix(strings.Repeat(`{"name":"ab","x":"`+long[:eventPiece]+`"},`, 9), ",")
	list := func(entries string) string { return `{"id":1,"result":{"tools":[` + entries + `]}}` }
	for _, row := range []struct{ in, want string }{
		{"id: 1\ndata: " + long + "\n\n: c\ndata: a\n\n", ""},
		{"id: 1\ndata: " + long + "\n: " + long + "\n\n", ": " + long + "\nid: 1\ndata: " + long + "\n\n"},
		{"data: {" + long + "\r\ndata: " + long + "}\r\nevent: x\r\n\r\n", ""},
		{"data: " + long, ""},
		{"event: message\ndata: " + list(entries) + "\nid: 7\n\ndata: a\n\n", "event: message\ndata: " + list(kept) + "\nid: 7\n\ndata: a\n\n"},
		{"event: message\r\ndata: " + list(entries) + "\r\nid: 7\r\n\r\n", "event: message\r\ndata: " + list(kept) + "\r\nid: 7\r\n\r\n"},
		{"data:" + list(entries) + "\n\n", "data: " + list(kept) + "\n\n"},
		{"data: " + list(entries), "data: " + list(kept) + "\n"},
	} {
		if row.want == "" {
			row.want = row.in
		}
		for _, size := range []int{7 << 10, 32 << 10, eventPiece, 100 << 10, eventBuffer, len(row.in)} {
			r := &told{}
			events := r.filter().Stream(r)
			written := 0
			for part := range slices.Chunk([]byte(row.in), size) {
				_, err := events.Write(part)
				require.NoError(t, err)
				clear(part) // it is the writer's again
				written += len(part)
				require.LessOrEqual(t, events.Held(), written)
			}
			require.NoError(t, events.Close())
			if row.want != r.String() {
				t.Fatalf("%.40q in pieces of %d: %d bytes for %d", row.in, size, r.Len(), len(row.want))
			}
		}
	}
}
