package sealed_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/sealed"
)

const fuzzedCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1}%}}`

// through sends an answer through the sealer, in pieces, and returns what the client got of it; ok is false if
// it was withheld.
func through(s *sealed.Sealer, text string, size int, isStream bool) (got string, ok bool) {
	h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if isStream {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}))
	w := httptest.NewRecorder()
	defer func() {
		switch r := recover(); r {
		case nil:
		case http.ErrAbortHandler:
			got, ok = w.Body.String(), false
		default:
			panic(r)
		}
	}()
	h.ServeHTTP(w, newPost("", strings.Replace(fuzzedCall, "%", "", 1)).WithContext(as("u1", "c1")))
	return w.Body.String(), !strings.Contains(w.Body.String(), `"error":{"code":-32603,"message":"request state cannot be sealed"}`)
}

// sealsOne asserts that one state goes out sealed of what a handler writes in pieces of any size, and all else as it is.
func sealsOne(t *testing.T, text string, isStream bool) {
	t.Helper()
	for _, size := range []int{len(text), 1, 2, 5, 7} {
		s := newSealer(t, sealed.Config{})
		got, ok := through(s, text, size, isStream)
		assert.True(t, ok, text)
		assert.NotContains(t, got, canary, "%q in pieces of %d", text, size)
		assert.Equal(t, text, openedAll(t, s, got))
		assert.Equal(t, 1, strings.Count(got, `"v1.`), text)
	}
}

var sealedText = regexp.MustCompile(`"v1\.[A-Za-z0-9_-]{100,}"`)

// opened puts what a handler had written in the place of what was sealed, as a retry has it.
func openedAll(tb testing.TB, s *sealed.Sealer, text string) string {
	return sealedText.ReplaceAllStringFunc(text, func(state string) string {
		var body string
		h := s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newPost("", strings.Replace(fuzzedCall, "%", `,"requestState":`+state, 1)).WithContext(as("u1", "c1")))
		_, rest, found := strings.Cut(body, `,"requestState":`)
		assert.True(tb, found, "%s %s", state, w.Body)
		return strings.TrimSuffix(rest, "}}")
	})
}

// FuzzAnswer: whatever a handler writes, in whatever pieces, the client gets it with its states sealed and nothing else
// changed, or it is withheld; and what a JSON reader finds as result.requestState is sealed.
func FuzzAnswer(f *testing.F) {
	result := answerWith(asking(`"CANARY"`))
	for _, text := range []string{result, strings.Replace(result, "requestState", `r\u0065questState`, 1), strings.Replace(result, "requestState", "REQUESTSTATE", 1),
		"[" + result + "]", answerWith(asking(`null`)), answerWith(asking(`{"a":1}`)), `{"result":[{"requestState":"x"}]}`, `{"a":{"requestState":"x"},"result":{"b":{"requestState":"y"},"requestState":"\u00e9\\"}}`} {
		for _, size := range []byte{0, 1, 7} {
			f.Add(text, size, false)
			f.Add("event: message\ndata: "+text+"\n\n", size, true)
			f.Add(": x\r\rid:1\rdata:"+text+"\r\rdata: "+text+"\r\n\r\n", size, true)
		}
	}
	s := newSealer(f, sealed.Config{})
	f.Fuzz(func(t *testing.T, text string, size byte, isStream bool) {
		if strings.Contains(text, "v1.") {
			return // what looks sealed to this test
		}
		piece := int(size)
		if piece == 0 {
			piece = len(text) + 1
		}
		got, ok := through(s, text, piece, isStream)
		if !ok {
			return
		}
		if opened := openedAll(t, s, got); opened != text {
			t.Errorf("%q became %q", text, opened)
		}
		messages := []string{got}
		if isStream {
			messages = dataOf(got)
		}
		for _, text := range messages {
			var message struct {
				Result struct{ RequestState any }
			}
			if json.Unmarshal([]byte(text), &message) == nil {
				if state, isString := message.Result.RequestState.(string); isString && !strings.HasPrefix(state, "v1.") {
					t.Errorf("%q: the state goes out as it is", text)
				}
			}
		}
	})
}

// dataOf reads an event stream as HTML Living Standard section 9.2.6 has it. What has a byte of a byte order mark behind
// the first mark is left out: in pieces it cannot be told where the stream began.
func dataOf(stream string) (all []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	if slices.ContainsFunc([]byte(stream), func(c byte) bool { return strings.IndexByte("\ufeff", c) >= 0 }) {
		return nil
	}
	data := ""
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream), "\n") {
		if name, value, _ := strings.Cut(line, ":"); name == "data" {
			data += strings.TrimPrefix(value, " ") + "\n"
		}
		if line == "" {
			all, data = append(all, data), ""
		}
	}
	return all
}

// FuzzOpen: nothing opens that was not sealed, and a body with whatever state is answered.
func FuzzOpen(f *testing.F) {
	s := newSealer(f, sealed.Config{})
	good, err := s.Seal(as("u1", "c1"), sealed.Tool("echo", nil), "v")
	if err != nil {
		f.Fatal(err)
	}
	for _, state := range []string{"", "v1.", "step=1", good, good + "=", good[:len(good)-4], strings.ToUpper(good)} {
		f.Add(state)
	}
	f.Fuzz(func(t *testing.T, state string) {
		var v string
		if err := s.Open(as("u1", "c1"), sealed.Tool("echo", nil), state, &v); (err == nil) != (v == "v") {
			t.Errorf("%q: %v, %q", state, err, v)
		}
		if err := s.Open(as("u2", "c1"), sealed.Tool("echo", nil), state, &v); err == nil {
			t.Errorf("%q opened for another", state)
		}
		quoted, _ := json.Marshal(state)
		w := httptest.NewRecorder()
		s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%q reached the handler", state) })).
			ServeHTTP(w, newPost("", strings.Replace(fuzzedCall, "%", `,"requestState":`+string(quoted), 1)).WithContext(as("u1", "c1")))
		if w.Code != http.StatusBadRequest || w.Body.String() != refusedBody {
			t.Errorf("%q: %d %s", state, w.Code, w.Body)
		}
	})
}
