package jsonrpc

import "unicode/utf8"

// vocabulary is the security-relevant member names of one object, by their
// folded form. A name that folds to one of them must be it exactly: readers
// that ignore case would otherwise see a member that others do not.
type vocabulary map[string]string

// The vocabularies of the objects that decide what a message does. Elsewhere,
// in particular in params.arguments, only duplicates are refused.
var (
	envelopeNames = newVocabulary("jsonrpc", "id", "method", "params", "result", "error")

	paramsNames = newVocabulary(
		"name", "uri", "arguments", "taskId", "ref", "notifications", "_meta",
		"argument", "context", "cursor", "level", "task",
		"requestId", "progressToken", "requestState", "inputResponses",
		"protocolVersion", "capabilities", "clientInfo")

	metaNames = newVocabulary(
		"io.modelcontextprotocol/protocolVersion",
		"io.modelcontextprotocol/clientInfo",
		"io.modelcontextprotocol/clientCapabilities",
		"io.modelcontextprotocol/logLevel",
		"io.modelcontextprotocol/related-task",
		"io.modelcontextprotocol/subscriptionId",
		"progressToken")

	refNames = newVocabulary("type", "name", "uri")

	listenNames = newVocabulary(
		"toolsListChanged", "promptsListChanged", "resourcesListChanged",
		"resourceSubscriptions", "taskIds")
)

func newVocabulary(names ...string) vocabulary {
	v := make(vocabulary, len(names))
	for _, name := range names {
		var buf [maxFolded]byte
		v[string(fold(buf[:0], []byte(name)))] = name
	}
	return v
}

// resembles reports whether name is not a security-relevant name but could be
// taken for one by a reader that ignores case.
func (v vocabulary) resembles(name []byte) bool {
	var buf [maxFolded]byte
	exact, ok := v[string(fold(buf[:0], name))]
	return ok && exact != string(name)
}

// maxFolded is more than the length of any name in a vocabulary.
const maxFolded = 64

// fold appends to dst the form of name that it shares with every spelling some
// reader takes for the same name: simple case folding, full case folding
// (ligatures and sharp s), and the dotted and dotless i, which upper and lower
// case mappings, but not foldings, take to an ASCII letter (Unicode 3.13, and
// CaseFolding.txt, SpecialCasing.txt). A name that is too long, or has a
// character which folds to no ASCII letter, resembles nothing: nil.
func fold(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		if len(dst) >= maxFolded-3 {
			return nil
		}
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
			i++
			continue
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(name[i:])
		folded := foldRune(r)
		if folded == "" {
			return nil
		}
		dst = append(dst, folded...)
		i += n
	}
	return dst
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

// interned returns s as a string, without allocating for the words that
// nearly all messages consist of.
func interned(s []byte) string {
	if len(s) < len(words) {
		for _, word := range words[len(s)] {
			if word == string(s) {
				return word
			}
		}
	}
	return string(s)
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
