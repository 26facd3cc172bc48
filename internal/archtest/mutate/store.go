package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// store keeps verdicts in a file to which each is written as it comes, so that what is stopped goes on. A verdict is of
// one binary: when a package or its tests change it counts no more, and the test that killed is only tried first.
type store struct {
	mu       sync.Mutex
	file     *os.File
	verdicts map[string]verdict // by hash of the suite and mutant
	killers  map[string]string  // by suite and name of the mutant
	took     map[string]time.Duration
}

func openStore(dir string) (*store, error) {
	s := &store{verdicts: map[string]verdict{}, killers: map[string]string{}, took: map[string]time.Duration{}}
	name := filepath.Join(dir, "verdicts.tsv")
	old, err := os.Open(name)
	if err == nil {
		defer old.Close()
		for scanner := bufio.NewScanner(old); scanner.Scan(); {
			s.read(strings.Split(scanner.Text(), "\t"))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.file, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return s, err
}

const columns = 9 // hash, suite, verdict, test, time, and the four of a mutant's name

// read takes one line. The last may have been cut off.
func (s *store) read(line []string) {
	if len(line) != columns+1 || line[columns] != "." {
		return
	}
	name := strings.Join(line[5:columns], "\t")
	v := verdict(line[2])
	s.verdicts[line[0]+"\t"+name] = v
	if v == killed || v == late {
		s.killers[line[1]+"\t"+name] = line[3]
	}
	took, _ := time.ParseDuration(line[4])
	s.took[line[5]] += took
}

func (s *store) verdict(of *suite, m *mutant) (verdict, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.verdicts[of.hash+"\t"+m.key()]
	return v, ok
}

func (s *store) killer(of *suite, m *mutant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killers[of.dir+"\t"+m.key()]
}

func (s *store) add(of *suite, m *mutant, v verdict, by string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t.\n", of.hash, of.dir, v, by, took.Round(time.Millisecond), m.key())
	if _, err := s.file.WriteString(line); err != nil {
		panic(err)
	}
	s.read(strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
}
