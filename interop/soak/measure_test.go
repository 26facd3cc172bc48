package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// What may be kept. Heap and goroutines of a replica are compared after the warm-up, with nothing under way and all that nobody needs
// collected.
const (
	heapNoise  = 3 << 20 // of the runtime, and of what SDKs keep of sessions until they idle out
	keptOfOne  = 500     // bytes, of a used proof, or of what is known of a token, and of nothing for longer than
	keptFor    = 10 * time.Minute
	threadLess = 8 // goroutines of connections that are just ending
)

// keeping are the kinds of requests after which mcpauth remembers something for minutes.
var keeping = []string{kindTask, kindBound, kindReplayed, kindMadeUp, kindTaken, kindOpaque, kindSession, kindBegin, kindStepUp}

// measure waits until nothing is under way, looks at the replicas, and holds the audit against what was sent. Meanwhile it calls last.
func (s *soak) measure(last func()) {
	s.leave()
	s.gate.Lock()
	defer s.gate.Unlock()
	last()
	s.http.CloseIdleConnections()
	s.balancer.transport.CloseIdleConnections()
	r := reading{at: time.Since(s.began)}
	ran := map[int]int{}
	for n := range s.replicas {
		r.replicas = append(r.replicas, s.measured(n))
		some := map[int]int{}
		s.ask(n, "/soak/ran", &some)
		for number, times := range some {
			ran[number] += times
		}
	}
	for _, a := range s.audits {
		if err := s.ledger.reconcile(a); err != nil {
			s.t.Error(err)
		}
	}
	s.ledger.settle(ran)
	s.settleReloads()
	r.requests, r.keeps = s.ledger.counts()
	s.look()
	s.as.prune(time.Now().Add(-5 * time.Minute))
	s.store.prune(time.Now().Add(-5 * time.Minute))
	s.readings = append(s.readings, r)
	s.openWindow()
	s.t.Logf("%v: %d requests, %d records, findings %v; %v", r.at.Round(time.Second), r.requests, s.ledger.records, s.ledger.found, r.replicas)
}

// settleReloads holds the records of changes against those that were made.
func (s *soak) settleReloads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.audits {
		made, refused := s.ledger.reloads[a.at], s.ledger.refused[a.at]
		if made != s.reloaded[a.at] || refused != s.refusedReloads[a.at] {
			s.ledger.finding(auditMissing, "%s: %d changes recorded, %d of them refused; made %d and %d", a.at, made, refused, s.reloaded[a.at], s.refusedReloads[a.at])
		}
		all := s.policies[a.at]
		s.policies[a.at] = append([]inForceSpan(nil), all[max(0, len(all)-100):]...)
	}
}

// look keeps what the goroutines of the replicas do.
func (s *soak) look() {
	s.stacks = nil
	for n := range s.replicas {
		response, err := s.http.Get(s.replicas[n].String() + "/soak/stacks")
		if err != nil {
			s.ledger.finding(noAnswer, "replica %d: %v", n, err)
			continue
		}
		stacks, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		s.stacks = append(s.stacks, string(stacks))
	}
}

// String is what is printed of it.
func (m measured) String() string {
	return fmt.Sprintf("%.1f MiB, %d goroutines, %d tokens", mib(m.Heap), m.Goroutines, m.Tokens)
}

// measured is a replica when its connections have ended, and what their ends have left to do is done.
func (s *soak) measured(n int) (m measured) {
	for left := s.plan.polls; left > 0; left-- {
		var again measured
		s.ask(n, "/soak/measure", &again)
		s.http.CloseIdleConnections()
		if m.Goroutines == 0 || again.Goroutines < m.Goroutines {
			m, left = again, s.plan.polls
		}
		time.Sleep(50 * time.Millisecond)
	}
	if m.Lost > 0 {
		s.ledger.finding(auditLost, "replica %d: %d", n, m.Lost)
	}
	return m
}

// counts are all requests, and those after which something is kept.
func (l *ledger) counts() (all, keeps int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rows {
		all += r.sent
	}
	for _, kind := range keeping {
		if r := l.rows[kind]; r != nil {
			keeps += r.sent
		}
	}
	return all, keeps
}

// compared are the readings after the warm-up and at the end.
func (s *soak) compared() (first, last reading, ok bool) {
	for _, r := range s.readings {
		if first.requests == 0 && r.at >= s.plan.warm {
			first = r
		}
	}
	if len(s.readings) > 0 {
		last = s.readings[len(s.readings)-1]
	}
	return first, last, first.requests > 0 && last.at > first.at
}

// report looks at what can only be seen at the end.
func (s *soak) report() {
	first, last, ok := s.compared()
	if !ok {
		s.ledger.finding(unproven, "%d windows: nothing to compare", len(s.readings))
	}
	more := last.keeps - first.keeps
	if first.at >= keptFor {
		more = 0
	}
	for n := range first.replicas {
		before, after := first.replicas[n], last.replicas[n]
		if allowed := before.Heap + heapNoise + more*keptOfOne; ok && after.Heap > allowed {
			s.ledger.finding(heapGrows, "replica %d: %d bytes after the warm-up, %d at the end, up to %d may be", n, before.Heap, after.Heap, allowed)
		}
		if ok && after.Goroutines > before.Goroutines+threadLess {
			s.ledger.finding(threadsGrow, "replica %d: %d after the warm-up, %d at the end:\n%s", n, before.Goroutines, after.Goroutines, s.stacks[n])
		}
	}
	s.as.mu.Lock()
	defer s.as.mu.Unlock()
	if s.as.conditions > 0 {
		s.ledger.finding(conditional, "%d", s.as.conditions)
	}
	if !s.plan.proves {
		return
	}
	if len(s.as.used) < len(faults) || s.store.times < 2 {
		s.ledger.finding(unproven, "outages of the authorization server: %v, of the store: %d", s.as.used, s.store.times)
	}
	for _, kind := range kinds {
		r := s.ledger.rows[kind]
		if r == nil || r.sent == 0 || !strings.HasPrefix(kind, "hostile: ") && kind != kindNobody && kind != kindStepUp && r.served == 0 {
			s.ledger.finding(unproven, "%s: never, or never served", kind)
		}
	}
}

// table is the report.
func (s *soak) table() string {
	first, last, _ := s.compared()
	var text strings.Builder
	text.WriteString(s.ledger.table())
	fmt.Fprintf(&text, "\naudit records reconciled: %d of %d requests that have one\n", s.ledger.records, s.ledger.recorded())
	for n := range first.replicas {
		fmt.Fprintf(&text, "replica %d: heap %.1f MiB after %v, %.1f MiB at the end (%+.1f); goroutines %d, %d\n", n,
			mib(first.replicas[n].Heap), first.at.Round(time.Second), mib(last.replicas[n].Heap), mib(last.replicas[n].Heap-first.replicas[n].Heap),
			first.replicas[n].Goroutines, last.replicas[n].Goroutines)
	}
	s.as.mu.Lock()
	defer s.as.mu.Unlock()
	reloads := 0
	for _, n := range s.reloaded {
		reloads += n
	}
	fmt.Fprintf(&text, "changes of the configuration: %d; outages of the store: %d\n", reloads, s.store.times)
	fmt.Fprintf(&text, "streams that ended as they should: %v\n", s.ended)
	fmt.Fprintf(&text, "authorization server: %d keys, %d moves, %d faults in answers (%v), %d conditional requests\n",
		len(s.as.generations), s.as.place, s.as.faulted, slices.Collect(maps.Keys(s.as.used)), s.as.conditions)
	if len(s.ledger.found) > 0 {
		fmt.Fprintf(&text, "findings: %v\n", s.ledger.found)
	} else {
		text.WriteString("findings: none\n")
	}
	return text.String()
}

func mib(n int) float64 { return float64(n) / (1 << 20) }

// recorded are the requests that have a record.
func (l *ledger) recorded() (n int) {
	for kind, r := range l.rows {
		if kind != kindMetadata {
			n += r.sent
		}
	}
	return n
}

// kinds are all that must have happened in a run of some minutes.
var kinds = []string{
	kindMetadata, kindNobody, kindCall, kindOpaque, kindBound, kindFlip, kindSlow, kindList, kindBegin, kindNotice, kindInside, kindEnd,
	kindTask, kindTaskGet, kindTaskDone, kindStepUp, kindSteppedUp, kindStream, kindListen, kindExpires,
	kindExpired, kindAudience, kindIssuer, kindForged, kindUnknown, kindUnsigned, kindHMAC, kindTampered, kindType, kindFuture, kindWithdrawn, kindMadeUp, kindTaken,
	kindRevoked, kindUnproven, kindReplayed, kindOtherKey, kindSession, kindOtherTask, kindUnlisted, kindScope, kindLyingName, kindTwice, kindTwoTokens, kindOrigin,
}
