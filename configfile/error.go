package configfile

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Error is one mistake in a file.
type Error struct {
	File         string
	Line, Column int    // from 1; the column counts characters
	Path         string // of the member: issuers[0].audiences
	What         string // what stands there
	Fix          string

	more int // stands for so many mistakes that are not told
}

// Error says where the mistake stands, what it is, and what to write.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s: %s", e.File, e.Line, e.Column, e.Path, e.What, e.Fix)
}

// top is the path of the whole file.
const top = "the file"

// mistake makes an error about a place in the text.
func (t *source) mistake(at int, path, what, fix string) *Error {
	line, column := t.position(at)
	return &Error{File: t.name, Line: line, Column: column, Path: foreign.LineShort(cmp.Or(path, top), maxPath), What: what, Fix: fix}
}

const (
	maxPath     = 300 // how much of a path is shown
	maxMistakes = 50  // that are told; of more, how many there are
)

// locate finds the place of a mistake that mcpauth has found in the configuration, nil if the file does not say
// anything there.
func (f *File) locate(err error) *Error {
	var mistake *mcpauth.ConfigError
	if !errors.As(err, &mistake) || f.text.root == nil {
		return nil
	}
	if at, ok := f.text.root.find(plain(mistake.Field)); ok {
		return f.text.mistake(at, inFile(mistake.Field), mistake.Value, inWords(mistake.Reason))
	}
	return nil
}

// plain is a path by which a member of a file and a field of a Config are one: without case and underscores, but
// for what is quoted.
func plain(path string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case quoted && c == '\\' && i+1 < len(path):
			b.WriteByte(c)
			i++
			c = path[i]
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '_':
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	if rest, ok := strings.CutPrefix(b.String(), "policy"); ok {
		return "rules" + rest
	}
	return b.String()
}

// isDoubtful reports whether a mistake may come of another one, which has been reported. One value of a list, or of an
// object whose names are free, is wrong by itself.
func (f *File) isDoubtful(e *Error) bool {
	path := plain(e.Path)
	for _, doubt := range f.doubts {
		rest, inside := under(path, doubt)
		if inside && standsAlone(rest, e) {
			continue
		}
		if _, around := under(doubt, path); around || inside && (strings.HasPrefix(rest, "[") || !strings.Contains(rest, "[")) {
			return true
		}
	}
	return false
}

// standsAlone reports whether a mistake in a member, which is given, comes of no other member of its object.
func standsAlone(member string, e *Error) bool {
	switch member {
	case ".keys", ".jwksuri", ".maxlifetime":
		return true
	case ".url":
		return e.What != `""` && !strings.Contains(e.Fix, "allow_private")
	}
	return false
}

// under is what leads from one path to another that is in it.
func under(path, outer string) (rest string, inside bool) {
	rest, inside = strings.CutPrefix(path, outer)
	return rest, inside && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// fileNames are the names of fields as the file has them.
var fileNames = func() map[string]string {
	names := map[string]string{"Policy": "rules", "AllOf": "all", "AnyOf": "any"}
	for _, kind := range []reflect.Type{
		reflect.TypeFor[mcpauth.Config](), reflect.TypeFor[mcpauth.Issuer](), reflect.TypeFor[mcpauth.Introspection](), reflect.TypeFor[mcpauth.ClaimMap](),
		reflect.TypeFor[mcpauth.Rules](), reflect.TypeFor[mcpauth.Requirement](),
	} {
		for i := range kind.NumField() {
			field := kind.Field(i).Name
			for _, name := range allNames() {
				if plain(field) == plain(name) {
					names[field] = name
				}
			}
		}
	}
	return names
}()

var (
	goPart = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[A-Za-z]+`)
	goWord = regexp.MustCompile(`Authenticated\(\)|\b[A-Z][A-Za-z]*[a-z][A-Za-z]*`) // URL is a word of prose, too
)

// inFile is the path of a field by the names of the file.
func inFile(field string) string {
	return goPart.ReplaceAllStringFunc(field, func(part string) string {
		if name, ok := fileNames[part]; ok {
			return name
		}
		return part
	})
}

// inWords puts the names of the file in place of those that mcpauth speaks of.
func inWords(reason string) string {
	reason = strings.ReplaceAll(reason, "leave it nil", "leave it out")
	return goWord.ReplaceAllStringFunc(reason, func(word string) string {
		switch word {
		case "Authenticated()":
			return `"authenticated"`
		case "JWTs": // a word of prose, too
			return word
		}
		return inFile(word)
	})
}
