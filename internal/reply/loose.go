package reply

import (
	"encoding/json"
	"iter"
)

// What is only looked at, and passes whatever it is, is read loosely: no depth is too deep,
// a name may stand twice, and what is cut off is read as far as it goes.

// jsonMembers yields the members of an object, the names decoded. The value of one that is cut off is nil.
func jsonMembers(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		i := skipJSONSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i++; ; i++ {
			i = skipJSONSpace(object, i)
			end := skipJSONValue(object, i)
			if end < 0 || end == i || object[i] != '"' {
				return
			}
			name := jsonText(object[i:end])
			if i = skipJSONSpace(object, end); i == len(object) || object[i] != ':' {
				return
			}
			i = skipJSONSpace(object, i+1)
			if end = skipJSONValue(object, i); end < 0 {
				yield(name, nil)
				return
			}
			if !yield(name, object[i:end]) {
				return
			}
			if i = skipJSONSpace(object, end); i == len(object) || object[i] != ',' {
				return
			}
		}
	}
}

// jsonElements yields the elements of an array.
func jsonElements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := skipJSONSpace(array, 0) + 1; ; i++ {
			i = skipJSONSpace(array, i)
			end := skipJSONValue(array, i)
			if end <= i || !yield(array[i:end]) {
				return
			}
			if i = skipJSONSpace(array, end); i == len(array) || array[i] != ',' {
				return
			}
		}
	}
}

func skipJSONSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// skipJSONValue returns the index behind a value, or -1 if its end is not there.
func skipJSONValue(text []byte, i int) int {
	depth, start := 0, i
	for ; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return -1
			}
			if depth == 0 && text[start] == '"' {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of a scalar, or of nothing
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// jsonText decodes a string; anything else is "".
func jsonText(value []byte) (text string) {
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}
