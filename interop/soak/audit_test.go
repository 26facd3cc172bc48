package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// record is what the soak reads of an audit record.
type record struct {
	Seq      uint64
	Event    string
	Decision string
	Reason   string
	Status   int
	Remote   string // the number of the request, which the replicas put there
	Subject  string `json:"sub"`
}

// audit is the file of one middleware, as far as it has been read.
type audit struct {
	path   string
	at     string
	offset int64
	seq    uint64
}

// reconcile reads what is new in the file, and strikes it off the ledger.
func (l *ledger) reconcile(a *audit) error {
	file, err := os.Open(a.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = file.Seek(a.offset, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReader(file)
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil // what has come of the last line waits for the rest
		}
		if err != nil {
			return err
		}
		a.offset += int64(len(line))
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return err
		}
		if a.seq++; r.Seq != a.seq {
			l.findingLocked(auditSequence, "%s: %d after %d", a.at, r.Seq, a.seq-1)
			a.seq = r.Seq
		}
		l.strike(a.at, &r, strings.TrimSpace(line))
	}
}

// strike holds one record against its request. It must be called with mu held.
func (l *ledger) strike(at string, r *record, line string) {
	if r.Event == "reload" {
		if l.reloads[at]++; r.Decision != "allow" {
			l.refused[at]++
		}
		return
	}
	number, err := strconv.Atoi(r.Remote)
	e := l.open[number]
	if err != nil || e == nil || e.public {
		l.findingLocked(auditUnknown, "%s: %s", at, line)
		return
	}
	e.records++
	if e.left {
		return
	}
	l.records++
	reason := r.Reason
	switch {
	case r.Decision == "allow":
		reason = served
	case r.Status == http.StatusServiceUnavailable && r.Reason == "unknown_key":
		reason = unavailable // nobody can know yet whether the key is one of the issuer's
	}
	if e.ending && reason == served {
		e.served = true // and what the client was told instead became true meanwhile
		return
	}
	if e.at != at || !e.allowed[reason] || reason != served && r.Status != e.status {
		l.findingLocked(auditDecision, "%d %s at %s: %s, status %d: %s", number, e.kind, e.at, e.allowed, e.status, line)
	}
}

// settle holds executions and records against what came back, of all requests: none is under way.
func (l *ledger) settle(ran map[int]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, times := range ran {
		e := l.open[number]
		if e == nil {
			l.findingLocked(ranUnasked, "%d, which nobody has sent, or long after its answer", number)
			continue
		}
		e.ran += times
	}
	for number, e := range l.open {
		delete(l.open, number)
		if e.left {
			continue
		}
		switch {
		case e.public:
		case e.records == 0:
			l.findingLocked(auditMissing, "%d %s at %s", number, e.kind, e.at)
		case e.records > 1:
			l.findingLocked(auditTwice, "%d %s at %s: %d", number, e.kind, e.at, e.records)
		}
		switch {
		case !e.served && e.ran > 0:
			l.findingLocked(ranUnasked, "%d %s at %s: %d", number, e.kind, e.at, e.status)
		case e.served && !e.public && e.ran == 0:
			l.findingLocked(ranNot, "%d %s at %s", number, e.kind, e.at)
		case e.ran > 1:
			l.findingLocked(ranTwice, "%d %s at %s: %d times", number, e.kind, e.at, e.ran)
		}
	}
}
