package configfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 64 << 10

// secret is where a secret is.
type secret struct {
	at        int
	path      *trail
	file, env string
	take      func([]byte)
	ofClient  bool
}

var secretMembers = members[secret]{
	"file": to(func(s *secret) *string { return &s.file }, aText),
	"env":  to(func(s *secret) *string { return &s.env }, aText),
}

const whereSecret = `name its place, {"file": "/run/secrets/name"} or {"env": "NAME"}`

func aSecret(r *reader, into *[]byte, n *node, path *trail) {
	r.secret(n, secret{path: path, take: func(content []byte) { *into = content }})
}

// client is one of an authorization server, with a secret (client_secret_basic).
type client struct {
	id, secret string
	method     *clientauth.Method
}

func aClient(r *reader, into *clientauth.Method, n *node, path *trail) {
	c := &client{method: into}
	object(clientMembers)(r, c, n, path)
	c.set()
}

func (c *client) set() { *c.method = clientauth.SecretBasic(c.id, c.secret) }

func (r *reader) clientSecret(c *client, n *node, path *trail) {
	r.secret(n, secret{path: path, ofClient: true, take: func(content []byte) {
		c.secret = string(content)
		c.set()
	}})
}

// secret reads where a secret is. What stands in its place is not shown: it may be one.
func (r *reader) secret(n *node, s secret) {
	path := s.path
	s.at = n.at
	if n.kind != strictjson.Object {
		r.fail(n.at, path, "a secret that stands in the file", whereSecret)
		return
	}
	before := r.found
	object(secretMembers)(r, &s, n, path)
	if r.found > before {
		return
	}
	if (s.file == "") == (s.env == "") {
		r.fail(n.at, path, "not one place of a secret", whereSecret)
		return
	}
	r.secrets = append(r.secrets, s)
}

// ReadClientSecrets reads the secrets of clients, and no others: after [Read], for a program that asks authorization servers about tokens
// and serves nobody.
func (f *File) ReadClientSecrets() error {
	return joined(f.readSecrets(func(s *secret) bool { return s.ofClient }))
}

func every(*secret) bool { return true }

// readSecrets reads what the file refers to.
func (f *File) readSecrets(which func(*secret) bool) (errs []*Error) {
	for i := range f.secrets {
		s := &f.secrets[i]
		if !which(s) {
			continue
		}
		var content []byte
		var what, fix string
		if s.env == "" {
			content, what, fix = readSecret(f.text.name, s.file)
		} else if text, set := os.LookupEnv(s.env); set && text == "" {
			what, fix = shownVariable(s.env)+" is set in the environment, and empty", "put the secret into it"
		} else if content = []byte(text); !set {
			what, fix = "the environment has no "+shownVariable(s.env), "set it, or correct its name"
		}
		if s.take(content); what != "" {
			errs = append(errs, f.text.mistake(s.at, s.path.String(), what, fix))
			f.doubts = append(f.doubts, plain(s.path.String()))
		}
	}
	return errs
}

// readSecret reads a file with a secret, whose name is relative to that of the configuration. The end of its last line is not
// part of the secret.
func readSecret(beside, name string) (content []byte, what, fix string) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(beside), path)
	}
	info, err := os.Stat(path) // before it is opened: a pipe would not let go
	switch {
	case err != nil:
		return nil, shownFile(name) + " cannot be read", "correct its name or rights: " + reasonOf(err)
	case !info.Mode().IsRegular():
		return nil, shownFile(name) + " is no file", "name a file"
	}
	if others := info.Mode().Perm() &^ 0o600; others != 0 && runtime.GOOS != "windows" {
		return nil, shownFile(name) + " has mode " + info.Mode().Perm().String(),
			"nobody else may read it: chmod 600, in Kubernetes defaultMode: 0400, or use env"
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, shownFile(name) + " cannot be read", "correct its rights: " + reasonOf(err)
	}
	defer file.Close()
	content, err = io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r")); {
	case err != nil:
		return nil, shownFile(name) + " cannot be read", reasonOf(err)
	case len(content) == 0:
		return nil, shownFile(name) + " is empty", "write the secret into it"
	case len(content) > maxSecret:
		return nil, shownFile(name) + " has more than 64 KiB", "name the file with the secret"
	}
	return content, "", ""
}

// hidden stands for what was written as the place of a secret, and may be the secret.
const hidden = "a name that is not shown, as it may be the secret itself"

var (
	aVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	aRun      = regexp.MustCompile(`[A-Za-z0-9+=]{16,}`)
)

// isOpaque reports whether a text has a piece as keys and tokens have them, and names that somebody has thought of do not.
func isOpaque(text string) bool {
	return strings.Contains(text, "-----") || slices.ContainsFunc(aRun.FindAllString(text, -1), func(run string) bool { return strings.ContainsAny(run, "0123456789") })
}

// shownVariable shows the name of a variable, if it is one.
func shownVariable(name string) string {
	if !aVariable.MatchString(name) || isOpaque(name) {
		return hidden
	}
	return foreign.Quote(name)
}

// shownFile shows the name of a file, if it is one.
func shownFile(name string) string {
	if isOpaque(name) {
		return hidden
	}
	return foreign.Quote(name)
}

// reasonOf is an error without the name of the file, which may be anywhere.
func reasonOf(err error) string {
	var in *fs.PathError
	if errors.As(err, &in) {
		err = in.Err
	}
	return foreign.Line(err.Error())
}
