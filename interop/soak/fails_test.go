package soak

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shortPlan is one of a few seconds, with an authorization server that has no trouble.
func shortPlan() plan {
	return plan{
		duration: 4 * time.Second, warm: time.Second, window: 1500 * time.Millisecond, rotate: time.Hour, keep: time.Hour, calm: time.Hour,
		shortest: time.Second, longest: 2 * time.Second, life: 10 * time.Second, honest: 6, hostile: 4, quiet: 3, storeUp: time.Hour, storeDown: time.Second, reload: 300 * time.Millisecond, rest: 30 * time.Millisecond, polls: 2, seed: 1, lasting: lasting,
	}
}

// TestSoakFails shows that each check can fail: with a fault in the replicas on purpose, the soak reports it, and nothing else.
func TestSoakFails(t *testing.T) {
	onRequest(t)
	for _, tt := range []struct {
		planted string
		found   []string
	}{
		{"", nil},
		{plantAccepts, []string{falseAccept, auditMissing}},
		{plantRefuses, []string{falseRefusal, auditMissing}},
		{plantOutage, []string{falseRefusal, auditMissing}},
		{plantUnasked, []string{falseRefusal, noRetryAfter, auditMissing}},
		{plantReason, []string{otherwise, auditMissing}},
		{plantBreaks, []string{noAnswer}},
		{plantNoRecord, []string{auditMissing}},
		{plantTwice, []string{auditTwice}},
		{plantLies, []string{auditDecision}},
		{plantLoss, []string{auditLost}},
		{plantThreads, []string{threadsGrow}},
		{plantHeap, []string{heapGrows}},
		{plantTwin, []string{ranTwice}},
		{plantIdle, []string{ranNot}},
		{plantBehind, []string{ranUnasked}},
		{plantStranger, []string{wrongContent}},
		{plantStream, []string{streamLate, auditMissing, ranNot, unproven}},
		{plantCut, []string{streamEarly, auditMissing, ranNot}},
		{plantAsks, []string{conditional}},
	} {
		t.Run(cmp.Or(tt.planted, "nothing"), func(t *testing.T) {
			t.Parallel()
			p := shortPlan()
			if tt.planted != "" {
				p.planted = []string{tt.planted}
			}
			if tt.planted == plantCut {
				p.lasting = []func(*caller){(*caller).listens}
			}
			if tt.planted == plantStream {
				p.lasting = []func(*caller){(*caller).untilExpiry}
				p.duration, p.window = 13*time.Second, 13*time.Second
			}
			s := newSoak(t, p)
			s.run()
			s.report()
			if !assert.ElementsMatch(t, tt.found, slices.Collect(maps.Keys(s.ledger.found)), "%v", s.ledger.findings) {
				t.Log(s.table())
			}
		})
	}
}

// TestReconcileFails is about an audit file that nobody would write.
func TestReconcileFails(t *testing.T) {
	for _, tt := range []struct {
		name, lines string
		found       map[string]int
	}{
		{"as it should be", `{"seq":1,"decision":"allow","remote":"1"}` + "\n", map[string]int{}},
		{"a gap", `{"seq":2,"decision":"allow","remote":"1"}` + "\n", map[string]int{auditSequence: 1}},
		{"of no request", `{"seq":1,"decision":"allow","remote":"1"}` + "\n" + `{"seq":2,"decision":"deny","remote":"2"}` + "\n", map[string]int{auditUnknown: 1}},
		{"with another status", `{"seq":1,"decision":"deny","reason":"expired","status":401,"remote":"1"}` + "\n", map[string]int{auditDecision: 1}},
		{"not yet whole", `{"seq":1,"decision":"all`, map[string]int{auditMissing: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			require.NoError(t, os.WriteFile(path, []byte(tt.lines), 0o600))
			l := newLedger()
			l.next()
			l.judge(1, kindCall, only(served), &response{status: 200, at: "0/gosdk"}, window{}, "")
			require.NoError(t, l.reconcile(&audit{path: path, at: "0/gosdk"}))
			l.settle(map[int]int{1: 1})
			assert.Equal(t, tt.found, l.found)
		})
	}
}

// TestShort is the soak itself, for some seconds, with all the trouble that the authorization server makes.
func TestShort(t *testing.T) {
	onRequest(t)
	p := shortPlan()
	p.duration, p.window, p.rotate, p.keep, p.calm, p.storeUp, p.polls = 25*time.Second, 5*time.Second, time.Second, 30*time.Second, 3*time.Second, 3*time.Second, 40
	s := newSoak(t, p)
	s.run()
	s.report()
	t.Log("\n" + s.table())
	assert.Empty(t, s.ledger.findings)
}
