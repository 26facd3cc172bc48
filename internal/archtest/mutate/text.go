package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// declaration is where the value of a constant is written, and what is written in its place.
type declaration struct {
	file     string // below the root
	from, to int
	format   string
}

// textTests are those of the repository that hold the text of constants: operators are told the bounds.
const textTests, textDir, boundsPage = "^TestBounds_", "internal/archtest", "docs/operations.md"

// buildText makes the suite that reads constants in a copy of its own, in which one at a time is written otherwise.
func buildText(root, out string) (*suite, error) {
	plain := filepath.Join(out, "plain")
	if err := copyTree(root, plain); err != nil {
		return nil, err
	}
	s, err := build(plain, textDir, out)
	if err != nil || s == nil {
		return s, err
	}
	s.plain = plain
	sum := sha256.New()
	err = filepath.WalkDir(plain, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, boundsPage) || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(sum, f)
		return err
	})
	s.hash = fmt.Sprintf("%x", sum.Sum(nil)[:12])
	if v := s.read(); err == nil && v != alive {
		err = errors.New(textDir + ": " + textTests + " fails without any mutant")
	}
	return s, err
}

// reads asks the tests what they say when a constant is written otherwise.
func (s *suite) reads(d *declaration) verdict {
	s.writing.Lock()
	defer s.writing.Unlock()
	name := filepath.Join(s.plain, d.file)
	text, err := os.ReadFile(name)
	if err != nil {
		return broken
	}
	value := d.format
	if strings.Contains(value, "%") {
		value = fmt.Sprintf(value, "("+string(text[d.from:d.to])+")")
	}
	if os.WriteFile(name, []byte(string(text[:d.from])+value+string(text[d.to:])), 0o600) != nil {
		return broken
	}
	v := s.read()
	if os.WriteFile(name, text, 0o600) != nil {
		return broken
	}
	return v
}

func (s *suite) read() verdict {
	command := exec.Command(s.binary, "-test.run="+textTests, "-test.timeout="+time.Minute.String())
	command.Dir = filepath.Join(s.plain, textDir)
	out, err := command.CombinedOutput()
	switch {
	case err == nil:
		return alive
	case failure.Match(out):
		return killed
	}
	return broken
}
