// Package configfile reads a [mcpauth.Config] from a file, the same one that the command mcpauth takes.
// docs/cli.md has every member. The file holds what is data: functions stay in the program, and of a
// secret it says where it is.
//
//	auth, err := configfile.New("mcpauth.json", func(c *mcpauth.Config) { c.Logger = slog.Default() })
//
// Every mistake is reported, all at once, with the line and the column where it stands. [Watch] follows the file.
package configfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/seed-1e292522/mcpauth"
)

// maxFile bounds a file, in bytes.
const maxFile = 8 << 20

// File is a file that was read.
type File struct {
	// Config is what the file says. Its Policy is a [mcpauth.Rules] if the file has rules, and nil otherwise.
	// Secrets are read by [Parse], [Load], [New], [Watch] and [File.ReadClientSecrets] only.
	Config mcpauth.Config

	// Holders are groups of people or clients, and the scopes that they can get: for the
	// command, which says who may call what.
	Holders map[string][]string

	text    *source
	secrets []secret
	doubts  []string // plain paths of which, after a mistake, nothing can be said
	lost    bool     // nor of anything else
}

// Read reads the text of a file and says what is wrong with it. It looks at no secret, and of a text without mistakes
// it does not ask whether the configuration is a good one: the program may add to it. The name is for errors.
// The error joins an *[Error] for each mistake; of more than fifty, the last says how many there are.
func Read(name string, data []byte) (*File, error) {
	f, errs := read(name, data)
	if len(errs) == 0 {
		return f, nil
	}
	for i := range f.secrets { // nobody has looked
		f.doubts = append(f.doubts, plain(f.secrets[i].path.String()))
	}
	return f, f.broken(errs)
}

// Parse is [Read] for a file that has to be right by itself. It reads the secrets that the file
// refers to, and has [mcpauth.New] check what stands in the file. What the file leaves out, [mcpauth.New] misses
// when the program calls it.
func Parse(name string, data []byte) (mcpauth.Config, error) {
	f, errs := read(name, data)
	if errs = append(errs, f.readSecrets(every)...); len(errs) > 0 {
		return f.Config, f.broken(errs)
	}
	return f.Config, joined(f.refused(f.Config))
}

// broken is what is wrong with a file that has mistakes as a text, or in its secrets: these, and what [mcpauth.New] finds
// in the rest, so that all is told at once.
func (f *File) broken(errs []*Error) error {
	c := f.Config
	c.AllowInsecureLoopback = true // the program may say so
	if c.SessionKey == nil {
		c.OldSessionKeys = nil // they need one, which may be what could not be read
	}
	return joined(append(errs, f.refused(c)...))
}

// refused is what [mcpauth.New] finds in a configuration of the file, without what may come of other mistakes.
func (f *File) refused(c mcpauth.Config) (errs []*Error) {
	if f.lost {
		return nil
	}
	_, err := mcpauth.New(c)
	for _, mistake := range each(err) {
		if e := f.locate(mistake); e != nil && !f.isDoubtful(e) {
			errs = append(errs, e)
		}
	}
	return errs
}

// Load is [Parse] for a file by its name.
func Load(path string) (mcpauth.Config, error) {
	data, err := content(path)
	if err != nil {
		return mcpauth.Config{}, err
	}
	return Parse(path, data)
}

// New makes a Middleware of a file and of what base adds to it, which may be nil. Mistakes in what the file says
// are an *[Error] each, others a *[mcpauth.ConfigError].
func New(path string, base func(*mcpauth.Config)) (*mcpauth.Middleware, error) {
	data, err := content(path)
	if err != nil {
		return nil, err
	}
	f, err := complete(path, data, base)
	if err != nil {
		return nil, err
	}
	auth, err := mcpauth.New(f.Config)
	return auth, f.Locate(err)
}

// complete reads a file with its secrets, and adds what the program has.
func complete(name string, data []byte, base func(*mcpauth.Config)) (*File, error) {
	f, errs := read(name, data)
	if errs = append(errs, f.readSecrets(every)...); len(errs) > 0 {
		return nil, f.broken(errs)
	}
	if base != nil {
		base(&f.Config)
	}
	return f, nil
}

// Locate replaces each *[mcpauth.ConfigError] that an error joins by an *[Error], if what it is about stands in the file.
func (f *File) Locate(err error) error {
	var located []*Error
	var others []error
	for _, one := range each(err) {
		if e := f.locate(one); e != nil {
			located = append(located, e)
		} else {
			others = append(others, one)
		}
	}
	return errors.Join(append(each(joined(located)), others...)...)
}

func content(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configfile: %w: name the file with the configuration, from the directory where the program runs", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &Error{File: path, Line: 1, Column: 1, Path: top, What: "more than 8 MiB", Fix: "write a shorter file"}
	}
	return data, err
}

// each returns what an error joins, or it alone.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// joined joins mistakes in the order of the file.
func joined(errs []*Error) error {
	more := 0
	errs = slices.DeleteFunc(errs, func(e *Error) bool { more += e.more; return e.more > 0 })
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(errs) > maxMistakes {
		more += len(errs) - maxMistakes
		errs = errs[:maxMistakes]
	}
	all := make([]error, len(errs), len(errs)+1)
	for i, e := range errs {
		all[i] = e
	}
	if more > 0 {
		last := errs[len(errs)-1]
		all = append(all, &Error{File: last.File, Line: last.Line, Column: last.Column, Path: top,
			What: fmt.Sprintf("and %d mistakes more", more), Fix: "mend these first", more: more})
	}
	return errors.Join(all...)
}
