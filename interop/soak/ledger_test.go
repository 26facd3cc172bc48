package soak

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// look is how a refusal looks from outside, as the documentation has it.
type look struct {
	status int
	oauth  string // error of the challenge
	rpc    int    // code of a JSON-RPC error
}

var looks = map[string]look{
	"no_credentials":     {401, "", 0},
	"many_credentials":   {400, "invalid_request", -32600},
	"malformed_token":    {401, "invalid_token", 0},
	"token_type":         {401, "invalid_token", 0},
	"algorithm":          {401, "invalid_token", 0},
	"claims":             {401, "invalid_token", 0},
	"issuer":             {401, "invalid_token", 0},
	"audience":           {401, "invalid_token", 0},
	"expired":            {401, "invalid_token", 0},
	"not_yet_valid":      {401, "invalid_token", 0},
	"unknown_key":        {401, "invalid_token", 0},
	"signature":          {401, "invalid_token", 0},
	"sender_constrained": {401, "invalid_token", 0},
	"invalid_dpop_proof": {401, "invalid_dpop_proof", 0},
	"revoked":            {401, "invalid_token", 0},
	"insufficient_scope": {403, "insufficient_scope", -31403},
	"forbidden":          {403, "", -31403},
	"origin":             {403, "", -31403},
	unavailable:          {503, "", -31503},
	"unreadable_body":    {400, "", -32700},
	"invalid_request":    {400, "", -32600},
	"header_mismatch":    {400, "", -32020},
	"unknown_session":    {404, "", -31404},
	"unknown_task":       {200, "", -32602},
}

// response is what came back.
type response struct {
	status int
	header http.Header
	body   string
	at     string // the middleware that has answered
}

var (
	oauthError = regexp.MustCompile(`\berror="([a-z_]+)"`)
	rpcError   = regexp.MustCompile(`"error":\{"code":(-?\d+)`)
)

// look is how the response looks; the zero of a refusal is what is none.
func (r *response) look() look {
	l := look{status: r.status}
	if found := oauthError.FindStringSubmatch(strings.Join(r.header.Values("Www-Authenticate"), "\n")); found != nil {
		l.oauth = found[1]
	}
	if found := rpcError.FindStringSubmatch(r.body); found != nil {
		l.rpc, _ = strconv.Atoi(found[1])
	}
	return l
}

// isRefusal reports whether mcpauth has answered, and not the server behind it.
func (l look) isRefusal() bool { return l.status >= 400 || l.rpc != 0 }

// entry is a request whose record has not been seen yet.
type entry struct {
	kind    string
	at      string
	allowed outcomes // as far as they look like what came back
	served  bool
	status  int
	records int
	ran     int
	public  bool // it has no record, and nothing runs
	ending  bool // what allowed it when it came did so no more when it was answered: token, or rules
	left    bool // its caller has not waited for the answer
}

// row counts the requests of a kind. Certain are those of which the model allows one thing only.
type row struct{ sent, served, refused, unavailable, certain, disagreements int }

// The checks, and by which name they report.
const (
	falseAccept   = "false accept"
	falseRefusal  = "false refusal"
	otherwise     = "refused otherwise"
	wrongContent  = "wrong content"
	noAnswer      = "no answer"
	noRetryAfter  = "503 without Retry-After"
	auditMissing  = "no audit record"
	auditTwice    = "more than one audit record"
	auditUnknown  = "an audit record of no request"
	auditDecision = "the audit says otherwise"
	auditSequence = "a gap in the audit"
	auditLost     = "audit records lost"
	ranTwice      = "executed more than once"
	ranUnasked    = "executed although refused"
	ranNot        = "allowed and not executed"
	streamLate    = "a stream outlives its token"
	streamEarly   = "a stream ends early"
	heapGrows     = "the heap grows"
	threadsGrow   = "goroutines grow"
	reloadWrong   = "a reload"
	conditional   = "a conditional request"
	unproven      = "not enough happened"
)

// ledger is what was sent, what came back, and what was wrong with it.
type ledger struct {
	mu       sync.Mutex
	numbers  int
	open     map[int]*entry
	rows     map[string]*row
	found    map[string]int
	findings []string
	tell     func(finding string) // at once: a run takes long
	records  int                  // reconciled
	reloads  map[string]int       // records of changes, and of those that were refused, by middleware
	refused  map[string]int
}

func newLedger() *ledger {
	return &ledger{tell: func(string) {}, open: map[int]*entry{}, rows: map[string]*row{}, found: map[string]int{}, reloads: map[string]int{}, refused: map[string]int{}}
}

func (l *ledger) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers++
	return l.numbers
}

// maxFindings are shown; all are counted.
const maxFindings = 40

// finding writes down that something is wrong.
func (l *ledger) finding(check, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.findingLocked(check, format, args...)
}

func (l *ledger) findingLocked(check, format string, args ...any) {
	l.found[check]++
	if len(l.findings) < maxFindings && l.found[check] <= 8 {
		l.findings = append(l.findings, check+": "+fmt.Sprintf(format, args...))
		l.tell(l.findings[len(l.findings)-1])
	}
}

// judge holds an answer against what the model allows. A problem is what is wrong with the content of an answer that looks served.
func (l *ledger) judge(number int, kind string, allowed outcomes, r *response, w window, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.rows[kind]
	if one == nil {
		one = &row{}
		l.rows[kind] = one
	}
	one.sent++
	if len(allowed) == 1 {
		one.certain++
	}
	e := &entry{kind: kind, at: r.at, allowed: outcomes{}, status: r.status, public: kind == kindMetadata}
	l.open[number] = e
	seen := r.look()
	wrong := func(check string) {
		one.disagreements++
		l.findingLocked(check, "%d %s at %s: the model says %s, the answer is %+v %.200s (%v to %v)", number, kind, r.at, allowed, seen, r.body,
			w.sent.Format("15:04:05.000"), w.answered.Format("15:04:05.000"))
	}
	if !seen.isRefusal() {
		one.served++
		e.served, e.allowed = true, only(served)
		switch {
		case !allowed[served]:
			wrong(falseAccept)
		case problem != "":
			one.disagreements++
			l.findingLocked(wrongContent, "%d %s at %s: %s: %.300s", number, kind, r.at, problem, r.body)
		}
		return
	}
	if r.status == http.StatusServiceUnavailable {
		one.unavailable++
		if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 30 {
			l.findingLocked(noRetryAfter, "%d %s at %s: %q", number, kind, r.at, r.header.Get("Retry-After"))
		}
	} else {
		one.refused++
	}
	for code := range allowed {
		if code != served && (looksLike(code, seen) || allowed[served] && endsLike(code, seen)) {
			e.allowed[code] = true
		}
	}
	e.ending = allowed[served] && (e.allowed["expired"] || e.allowed["insufficient_scope"])
	if len(e.allowed) > 0 {
		return
	}
	if allowed[served] {
		wrong(falseRefusal)
	} else {
		wrong(otherwise)
	}
}

// left is for a request whose caller does not wait for the answer.
func (l *ledger) left(number int, kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[number] = &entry{kind: kind, left: true}
}

// looksLike reports whether a refusal may be for this reason. A body that is no JSON-RPC error has no code.
func looksLike(code string, seen look) bool {
	want := looks[code]
	return want.status == seen.status && want.oauth == seen.oauth && (want.rpc == seen.rpc || seen.rpc == 0 && seen.status != http.StatusOK)
}

// endsLike reports whether an event stream has ended for this reason, with an error as its last event.
func endsLike(code string, seen look) bool {
	want := looks[code].rpc
	if want == 0 {
		want = -31401
	}
	return seen.status == http.StatusOK && seen.rpc == want
}

// table is what there was.
func (l *ledger) table() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "%-44s %9s %9s %9s %9s %9s %9s\n", "requests", "sent", "served", "refused", "503", "certain", "disagree")
	all := row{}
	kinds := []string{}
	for kind := range l.rows {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	line := func(kind string, r row) {
		fmt.Fprintf(&text, "%-44s %9d %9d %9d %9d %9d %9d\n", kind, r.sent, r.served, r.refused, r.unavailable, r.certain, r.disagreements)
	}
	for _, kind := range kinds {
		r := *l.rows[kind]
		line(kind, r)
		all.sent, all.served, all.refused = all.sent+r.sent, all.served+r.served, all.refused+r.refused
		all.unavailable, all.certain, all.disagreements = all.unavailable+r.unavailable, all.certain+r.certain, all.disagreements+r.disagreements
	}
	line("all", all)
	return text.String()
}
