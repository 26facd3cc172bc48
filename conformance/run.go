package conformance

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// suite is the state of one run: the target, and what is already known of it.
type suite struct {
	ctx    context.Context
	target Target
	url    *url.URL
	client *client
	err    error // first failure to get any answer in the check that runs

	document    map[string]any // protected resource metadata
	documentURL string
	rawDocument *answer
	bareAnswer  *answer    // to a request without a token
	bare        *challenge // the Bearer challenge in it

	control        string // a token that was accepted
	controlProblem string // why there is none
	modern         bool   // the target speaks 2026-07-28
	modernOnly     bool
	session        string // of the control token, "" for none

	prover        *prover // a client whose bound token was accepted
	proverProblem string  // why there is none

	sessionOfOther *string // of the other person; nil: not asked for yet
	ways           []way   // to make the call that sends notifications; nil: not tried yet
	waysProblem    string  // why there is none

	notUnauthorized []string // ids of tokens that were refused with another status than 401
	issued          string   // iss of minted tokens
	stranger        *Signer  // a key that nobody trusts
	ignored         bool     // the last request of refused got 202, and so asked for nothing
}

// Run makes every check that can be made and returns the report. The error is
// about the target's description, joined from every mistake in it, or says
// that the target cannot be reached; findings are no error.
func Run(ctx context.Context, target Target) (*Report, error) {
	u, err := target.check()
	if err != nil {
		return nil, err
	}
	s := &suite{ctx: ctx, target: target, url: u, client: newClient(&target)}
	defer s.client.close()
	report := &Report{Target: target.URL}
	if target.Minter != nil {
		s.issued = target.Minter.Issuer()
		report.Issuer = s.issued
	}
	if _, err := s.client.do(ctx, s.first()); err != nil {
		return nil, &UnreachableError{URL: target.URL, Err: bareError(err)}
	}
	for _, group := range groups() {
		for _, c := range group {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			report.add(s.result(c))
		}
	}
	report.Requests = s.client.sent
	return report, nil
}

func (s *suite) result(c check) Result {
	result := c.result()
	v := verdict{}
	if reason := s.lacks(c.needs); reason != "" {
		v = notRun("%s", reason)
	} else {
		s.err = nil
		v = c.run(s)
		if s.err != nil {
			v = notRun("the target gave no answer: %v", s.err)
		}
	}
	result.Outcome, result.Detail = v.outcome, s.client.shown(v.detail)
	if v.outcome == Fail {
		result.Fix = c.fix
	}
	return result
}

// send sends a request to the target. When no answer comes, the check that runs
// is reported as not run, and what is returned here matters to nobody.
func (s *suite) send(r request) *answer {
	if r.url == "" {
		r.url = s.target.URL
	}
	a, err := s.client.do(s.ctx, r)
	if err != nil {
		if s.err == nil {
			s.err = bareError(err)
		}
		return &answer{}
	}
	if nonce := a.header.Get("DPoP-Nonce"); nonce != "" && s.prover != nil {
		s.prover.nonce = nonce
	}
	return a
}

// UnreachableError says that the target gives no answer at all.
type UnreachableError struct {
	URL string
	Err error
}

// Error names the target and the cause.
func (e *UnreachableError) Error() string {
	return "conformance: " + e.URL + " cannot be reached: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// bareError leaves out the URL around a cause: a check may have put a token
// into the query.
func bareError(err error) error {
	var around *url.Error
	if errors.As(err, &around) {
		return around.Err
	}
	return err
}

// first is the request that finds out whether there is anybody.
func (s *suite) first() request {
	r := s.probe("")
	r.url, r.brief = s.target.URL, true
	return r
}

// groups are all checks, in the order in which they run: what one finds out,
// such as a token that is accepted, the next may need.
func groups() [][]check {
	return [][]check{
		outageChecks(), metadataChecks(), challengeChecks(), controlChecks(), credentialChecks(),
		forgeryChecks(), tokenChecks(), proofChecks(), statusChecks(), scopeChecks(), bodyChecks(), isolationChecks(), sessionChecks(), stateChecks(), originChecks(), opaqueChecks(),
	}
}

// Catalogue lists the checks without making them.
func Catalogue() []Result {
	var all []Result
	for _, group := range groups() {
		for _, c := range group {
			all = append(all, c.result())
		}
	}
	return all
}

func (c *check) result() Result {
	group, _, _ := strings.Cut(c.id, ".")
	return Result{ID: c.id, Group: group, Title: c.title, Severity: c.severity, Rule: c.rule, Requirement: c.requirement, Outcome: NotRun}
}
