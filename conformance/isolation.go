package conformance

import (
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// isolationChecks look at what two people share who use the target at the same time, each
// with a token of its own. The one makes the call that sends notifications; the other, who
// presents no session or one of its own, neither hears of it nor touches it.
func isolationChecks() []check {
	const (
		hijack = "MCP Security Best Practices, Session Hijacking"
		fix    = "keep notifications, events and requests under way by a name that is bound to one caller, and give requests without a session one each: " +
			"an empty session id is everybody's"
	)
	return []check{
		{id: "isolation.stream", title: "another person's stream tells nothing of a call", severity: Critical, needs: needToken | needNotifier,
			rule: "MCP Transports, Multiple Connections; " + hijack, requirement: "ISOL-01", fix: fix,
			run: func(s *suite) verdict { return s.isolated((*suite).streamIsDeaf) }},
		{id: "isolation.answer", title: "the answer to another person's request tells nothing of a call", severity: Critical, needs: needToken | needNotifier,
			rule: "MCP Transports, Sending Messages to the Server; " + hijack, requirement: "ISOL-01", fix: fix,
			run: func(s *suite) verdict { return s.isolated((*suite).answerIsDeaf) }},
		{id: "isolation.cancel", title: "another person's cancellation does not end a call", severity: High, needs: needToken | needNotifier,
			rule: "MCP Cancellation, Behavior Requirements; " + hijack, requirement: "ISOL-07", fix: fix,
			run: func(s *suite) verdict { return s.isolated((*suite).cancelIsNobodys) }},
		{id: "isolation.end", title: "another person's DELETE without a session does not end a call", severity: High, needs: needToken | needNotifier,
			rule: "MCP Transports, Session Management; " + hijack, requirement: "ISOL-06", fix: "answer DELETE without a session with 400 or 404; " + fix,
			run: func(s *suite) verdict {
				if !s.target.Alone && !fetch.IsLoopbackHost(s.url.Hostname()) {
					return notRun("a DELETE without a session may end what others have under way: say that nobody else uses the target (Alone, --alone)")
				}
				return s.isolated((*suite).endIsNobodys)
			}},
		{id: "isolation.resume", title: "events of a call are not repeated to another person", severity: Critical, needs: needToken | needLegacy,
			rule: "MCP Transports, Resumability and Redelivery; " + hijack, requirement: "ISOL-02", fix: "repeat events to nobody but the caller whose call they are of",
			run: func(s *suite) verdict { return s.asOther(s.resumesNothing) }},
	}
}

// isolated tries each way of making the call: one in which the two are not kept apart is a
// failure, and one that could not be tried leaves the question open.
func (s *suite) isolated(try func(s *suite, p *pair) verdict) verdict {
	return s.asOther(func(token string) verdict {
		ways, problem := s.waysToCall()
		if len(ways) == 0 {
			return notRun("%s", problem)
		}
		open, tried := silent, false
		for i := range ways {
			switch v := s.tryPair(&ways[i], token, try); {
			case v.outcome == Fail:
				return failed("a call %s: %s", ways[i].name, v.detail)
			case v.outcome == Pass:
				tried = true
			case v != silent:
				open = notRun("a call %s: %s", ways[i].name, v.detail)
			}
		}
		if open != silent || !tried {
			return open
		}
		return passed
	})
}

// Why a check has come to nothing.
var (
	silent      = notRun("the tool sends no notifications to the one who calls it")
	overTooSoon = notRun("it was over before another person could do anything: name a tool that takes seconds")
)

func refusedNow(own *live) verdict { return notRun("it got %s, and was served before", own) }

// attempts is how often a check is tried that came to nothing, because the call
// was over too soon.
const attempts = 3

func (s *suite) tryPair(way *way, token string, try func(s *suite, p *pair) verdict) (v verdict) {
	for range attempts {
		if v = try(s, &pair{way: way, call: newCall(), other: token}); v != overTooSoon {
			break
		}
	}
	return v
}

// pair is one meeting of two people.
type pair struct {
	*way
	call  call   // of the first
	other string // token of the second
}

// requests are those of the second person: without a session, and in a session of its own
// where the target has them.
func (p *pair) requests(s *suite, make func(session string) request) []request {
	all := []request{make("")}
	if own := s.otherSession(p.other); own != "" {
		all = append(all, make(own))
	}
	return all
}

// listen is a GET for a stream of the server's own.
func listen(token, session string) request {
	r := legacy(token, session, "")
	r.method = http.MethodGet
	r.header.Del("Content-Type")
	r.header.Set("Accept", "text/event-stream")
	return r
}

// Times in which something may be noticed that ought not to be there.
const (
	openWait  = time.Second            // until a stream has begun
	quietWait = 200 * time.Millisecond // for what is under way
)

// streamIsDeaf: the second person listens before the first makes its call, and until it is over.
func (s *suite) streamIsDeaf(p *pair) verdict {
	var streams []*live
	for _, r := range p.requests(s, func(session string) request { return listen(p.other, session) }) {
		stream := s.open(r)
		defer stream.close()
		s.await(openWait, stream.began)
		streams = append(streams, stream)
	}
	own := s.open(p.request(s, s.control, p.session, p.call))
	defer own.close()
	<-own.ended
	s.await(quietWait, nil)
	for _, stream := range streams {
		if told := p.tellsOnStream(stream); told != "" {
			return failed("the stream of another person has %s", told)
		}
	}
	if !own.complete() {
		return refusedNow(own)
	}
	if p.isSilent() {
		return silent
	}
	return passed
}

// answerIsDeaf: both make requests with the same id at the same time, harmless ones and the call
// itself. The first also listens, which a client may, and by which some servers begin to
// keep a session of no name.
func (s *suite) answerIsDeaf(p *pair) verdict {
	if !s.modernOnly {
		stream := s.open(listen(s.control, ""))
		defer stream.close()
		s.await(openWait, stream.began)
	}
	own := s.open(p.request(s, s.control, p.session, p.call))
	defer own.close()
	if s.awaitUnderWay(p, own); own.isOver() && !own.complete() {
		return refusedNow(own)
	}
	var answers []*live
	for _, r := range p.requests(s, func(session string) request { return p.harmless(s, session) }) {
		answer := s.open(r)
		s.await(requestTimeout, answer.ended)
		answer.close()
		answers = append(answers, answer)
	}
	tooSoon := p.isQuick() || own.isOver()
	same := call{id: p.call.id, canary: newCall().canary}
	for _, r := range p.requests(s, func(session string) request { return p.request(s, p.other, session, same) }) {
		answer := s.open(r)
		defer answer.close()
		answers = append(answers, answer)
	}
	<-own.ended
	for i, answer := range answers {
		if told := p.tellsInAnswer(answer, i >= len(answers)/2); told != "" {
			return failed("the answer to another person has %s", told)
		}
	}
	switch {
	case tooSoon:
		return overTooSoon
	case p.isSilent():
		return silent
	}
	return passed
}

// cancelIsNobodys: the second person cancels the request by its id, which nobody else has.
func (s *suite) cancelIsNobodys(p *pair) verdict {
	body := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + p.call.idText() + `}}`
	return s.disturbed(p, "cancellation", p.requests(s, func(session string) request { return legacy(p.other, session, body) }))
}

// endIsNobodys: the second person ends a session and names none.
func (s *suite) endIsNobodys(p *pair) verdict {
	r := legacy(p.other, "", "")
	r.method = http.MethodDelete
	return s.disturbed(p, "DELETE", []request{r})
}

// disturbed is the verdict on a call after what another person has done to it.
func (s *suite) disturbed(p *pair, what string, requests []request) verdict {
	own := s.open(p.request(s, s.control, p.session, p.call))
	defer own.close()
	if s.awaitUnderWay(p, own); own.isOver() && !own.complete() {
		return refusedNow(own)
	}
	tooSoon := p.isQuick()
	for _, r := range requests {
		s.send(r)
		tooSoon = tooSoon || own.isOver()
	}
	<-own.ended
	switch {
	case !own.complete():
		return failed("after another person's %s it got %s, and is served otherwise", what, own)
	case p.isShorter(own):
		return failed("after another person's %s it was over after %v, and takes %v otherwise", what, own.took.Round(time.Millisecond), p.took.Round(time.Millisecond))
	case tooSoon:
		return overTooSoon
	}
	return passed
}

// resumesNothing: the second person names events that the first has seen.
func (s *suite) resumesNothing(token string) verdict {
	ways, _ := s.waysToCall()
	found := false
	for i := range ways {
		p := &pair{way: &ways[i], call: newCall(), other: token}
		if p.modern {
			continue // the revision has no events to come back for
		}
		v := s.resumesNothingOf(p, &found)
		if v.outcome != Pass {
			return v
		}
	}
	if !found {
		p := &pair{way: s.listing(), call: newCall(), other: token}
		if v := s.resumesNothingOf(p, &found); v.outcome != Pass {
			return v
		}
	}
	if !found {
		return notRun("the target gives its events no ids: there is nothing to come back for")
	}
	return passed
}

func (s *suite) resumesNothingOf(p *pair, found *bool) verdict {
	own := s.open(p.request(s, s.control, p.session, p.call))
	defer own.close()
	<-own.ended
	if len(own.ids) == 0 {
		return passed
	}
	*found = true
	for _, id := range []string{own.ids[0], own.ids[len(own.ids)-1]} {
		for _, r := range p.requests(s, func(session string) request { return listen(p.other, session) }) {
			r.header.Set("Last-Event-ID", id)
			stream := s.open(r)
			s.await(openWait, stream.began)
			s.await(quietWait, stream.ended)
			stream.close()
			if told := p.tellsOnStream(stream); told != "" {
				return failed("another person who names an event of the call gets %s", told)
			}
		}
	}
	return passed
}

// awaitUnderWay waits for a sign that the call is running, or as long as it takes
// otherwise to be in its first half.
func (s *suite) awaitUnderWay(p *pair, own *live) {
	timer := time.NewTimer(p.took / 4)
	defer timer.Stop()
	select {
	case <-own.news:
	case <-own.ended:
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// await waits for a channel to be closed, but not for ever.
func (s *suite) await(limit time.Duration, closed <-chan struct{}) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// open is send for an answer that is read in the background.
func (s *suite) open(r request) *live {
	r.url = s.target.URL
	l, err := s.client.open(s.ctx, r)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		l = &live{cancel: func() {}, began: make(chan struct{}), ended: make(chan struct{}), err: err}
		close(l.began)
		close(l.ended)
	}
	return l
}

// otherSession is a session that the other person has begun, "" where the target has none.
func (s *suite) otherSession(token string) string {
	if s.session == "" || s.modernOnly {
		return ""
	}
	if s.sessionOfOther == nil {
		id := s.send(legacy(token, "", initializeBody)).header.Get("Mcp-Session-Id")
		s.sessionOfOther = &id
		if id != "" {
			s.send(legacy(token, id, initializedBody))
		}
	}
	return *s.sessionOfOther
}
