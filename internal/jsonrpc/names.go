package jsonrpc

import (
	"strings"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// vocabulary is the security-relevant member names of one object. A name that
// some reader takes for one of them must be it exactly: readers that ignore case
// would otherwise see a member that others do not.
type vocabulary []strictjson.Word

// The vocabularies of the objects that decide what a message does. Elsewhere,
// in particular in params.arguments, only duplicates are refused.
var (
	envelopeNames vocabulary = strictjson.Expect("jsonrpc", "id", "method", "params", "result", "error")

	paramsNames vocabulary = strictjson.Expect(
		"name", "arguments", "_meta", "uri", "taskId", "ref", "notifications",
		"argument", "context", "cursor", "level", "task",
		"requestId", "progressToken", "requestState", "inputResponses",
		"protocolVersion", "capabilities", "clientInfo")

	metaNames vocabulary = strictjson.Expect(
		"io.modelcontextprotocol/protocolVersion",
		"io.modelcontextprotocol/clientCapabilities",
		"io.modelcontextprotocol/clientInfo",
		"io.modelcontextprotocol/logLevel",
		"io.modelcontextprotocol/related-task",
		"io.modelcontextprotocol/subscriptionId",
		"progressToken")

	refNames vocabulary = strictjson.Expect("type", "name", "uri")

	listenNames vocabulary = strictjson.Expect(
		"toolsListChanged", "promptsListChanged", "resourcesListChanged",
		"resourceSubscriptions", "taskIds")
)

// resembles reports whether name is not a security-relevant name but could be
// taken for one by a reader that ignores case.
func (v vocabulary) resembles(name []byte) bool {
	for i := range v {
		if known := v[i].Text; len(known) <= len(name) && foldsTo(name, known) { // nothing folds to more bytes than it has
			return known != string(name)
		}
	}
	return false
}

// foldsTo reports whether some reader takes name for known: by simple case
// folding, full case folding (ligatures and sharp s), or the dotted and dotless
// i, which upper and lower case mappings, but not foldings, take to an ASCII
// letter (Unicode 3.13, and CaseFolding.txt, SpecialCasing.txt).
func foldsTo(name []byte, known string) bool {
	for len(name) > 0 && known != "" {
		if name[0] < utf8.RuneSelf {
			if lower(name[0]) != lower(known[0]) {
				return false
			}
			name, known = name[1:], known[1:]
			continue
		}
		r, n := utf8.DecodeRune(name)
		letters := foldRune(r)
		if letters == "" || len(letters) > len(known) || !strings.EqualFold(known[:len(letters)], letters) {
			return false
		}
		name, known = name[n:], known[len(letters):]
	}
	return len(name) == 0 && known == ""
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// foldRune returns the ASCII letters that some reader takes a character beyond
// ASCII for, at most three.
func foldRune(r rune) string {
	switch r {
	case 'ſ': // U+017F long s
		return "s"
	case '\u212a': // Kelvin sign
		return "k"
	case 'İ', 'ı': // U+0130, U+0131
		return "i"
	case 'ß', 'ẞ': // U+00DF, U+1E9E
		return "ss"
	case 'ﬀ': // U+FB00
		return "ff"
	case 'ﬁ':
		return "fi"
	case 'ﬂ':
		return "fl"
	case 'ﬃ':
		return "ffi"
	case 'ﬄ':
		return "ffl"
	case 'ﬅ', 'ﬆ': // U+FB05, U+FB06
		return "st"
	}
	return ""
}

// interned returns s as a string if it is one of the words that nearly all
// messages consist of, and otherwise "".
func interned(s []byte) string {
	if len(s) < len(words) {
		for _, word := range words[len(s)] {
			if word == string(s) {
				return word
			}
		}
	}
	return ""
}

// words has the well-known words by their length, the likelier ones first: a
// few comparisons cost less than a map does.
var words = func() (byLength [48][]string) {
	for _, word := range []string{
		"tools/call", "2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05",
		"initialize", "ping", "server/discover",
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed", "notifications/elicitation/complete",
		"tools/list", "prompts/list", "prompts/get",
		"resources/list", "resources/templates/list", "resources/read",
		"resources/subscribe", "resources/unsubscribe",
		"completion/complete", "logging/setLevel", "subscriptions/listen",
		"tasks/get", "tasks/cancel", "tasks/result", "tasks/list", "tasks/update",
		"ref/prompt", "ref/resource",
	} {
		byLength[len(word)] = append(byLength[len(word)], word)
	}
	return byLength
}()
