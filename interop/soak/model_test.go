package soak

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What the documentation promises, in the model's own words.
const (
	leeway     = 2 * time.Second  // as it is configured
	answerLife = time.Minute      // an answer about an opaque token counts so long
	refusedFor = 10 * time.Second // and that it is not active
	askedAgain = 66 * time.Second // what lasts has been asked about by then

	// A key that is published, by a server that can be reached, serves by then: 10 seconds after it can be had, 10
	// more while strangers use up the fetches, and 5 of waiting.
	keysBound = 25 * time.Second
	// A server that is asked about tokens is left alone for 30 seconds at most, and its answer has 5.
	asksBound = 35 * time.Second
)

// slack is how long it may take until what was sent has been read and put to use, on a machine that has too much to do.
const slack = 1500 * time.Millisecond

// kind is what a token is.
type kind int

const (
	none kind = iota
	jwt
	opaque
)

// facts are what whoever made a token knows of it.
type facts struct {
	text, id    string
	kind        kind
	resource    string
	sub, client string
	scopes      []string
	exp         time.Time
	signer      *generation      // nil: nobody whose keys were ever published
	key         *mcpauthtest.Key // it is bound to; nil: a bearer token
	revoked     span             // of a JWT: when it was revoked, and when that was known everywhere; zero: never, or not for sure
	wrong       []string         // reasons for which it is refused before any key is looked at
	forged      bool             // it was not signed by signer
	claims      map[string]any   // and
	header      map[string]any   // of it that are not as usual
}

// holds reports whether the token grants a scope.
func (f *facts) holds(scope string) bool { return slices.Contains(f.scopes, scope) }

// outcomes are what may become of a request: the codes of reasons for refusals, and served.
type outcomes map[string]bool

const (
	served      = "served"
	unavailable = "unavailable"
)

func only(codes ...string) outcomes {
	o := outcomes{}
	for _, code := range codes {
		o[code] = true
	}
	return o
}

func (o outcomes) String() string { return strings.Join(slices.Sorted(maps.Keys(o)), " or ") }

// then is what becomes of a request whose token is good where it may be.
func (o outcomes) then(next outcomes) outcomes {
	if !o[served] {
		return o
	}
	all := maps.Clone(o)
	delete(all, served)
	maps.Copy(all, next)
	return all
}

// window is the time of a request: what decides about it happened in there.
type window struct{ sent, answered time.Time }

// touches reports whether a moment may have come before the decision and may have come after it.
func (w window) touches(moment time.Time) bool {
	return !moment.Before(w.sent.Add(-slack)) && !moment.After(w.answered.Add(slack))
}

// token says what may become of a request with this token at a middleware.
func (s *authServer) token(f *facts, by string, w window) outcomes {
	switch {
	case f.kind == none:
		return only("no_credentials")
	case len(f.wrong) > 0:
		return only(f.wrong...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := outcomes{}
	end := f.exp.Add(leeway)
	if f.kind == opaque {
		o = s.opaqueToken(f, by, w)
		end = f.exp // the authorization server calls it inactive from then on
	} else if w.sent.Before(end.Add(slack)) {
		o = s.signed(f, by, w)
	}
	switch {
	case f.kind == opaque && w.answered.After(end.Add(-refusedFor)):
		o["revoked"], o["expired"] = true, true
	case f.kind == jwt && w.answered.After(end.Add(-slack)):
		o["expired"] = true
	}
	if w.sent.After(end.Add(leeway + slack)) {
		delete(o, served)
	}
	return o.then(f.afterwards(w))
}

// afterwards is what is asked when the token itself is good.
func (f *facts) afterwards(w window) outcomes {
	o := only(served)
	if !f.revoked.from.IsZero() && w.answered.After(f.revoked.from) {
		o["revoked"] = true
		if !f.revoked.to.IsZero() && w.sent.After(f.revoked.to) {
			delete(o, served)
		}
	}
	return o
}

// signed is about a JWT that has not expired. It must be called with mu held.
func (s *authServer) signed(f *facts, by string, w window) outcomes {
	if f.forged || f.signer == nil {
		return only("signature", "unknown_key", unavailable)
	}
	o, g := outcomes{}, f.signer
	has, lacks := s.held(g, by, w)
	if has && !lacks {
		return only(served)
	}
	gone := !g.withdrawn.IsZero() && g.withdrawn.Before(w.answered.Add(slack))
	stays := g.withdrawn.IsZero() || g.withdrawn.After(w.sent)
	if has || stays {
		o[served] = true
	}
	if gone {
		o["unknown_key"], o["signature"] = true, true
	}
	if gone || g.published.After(w.answered.Add(-keysBound)) || s.wasDown(w.answered.Add(-keysBound), w.answered) {
		o[unavailable] = true
	}
	return o
}

// held reports whether a middleware may have had a key when it decided, and whether it may have lacked it.
func (s *authServer) held(g *generation, by string, w window) (has, lacks bool) {
	var before, within []fetched
	for _, f := range s.fetched {
		switch {
		case f.by != by || f.begun.After(w.answered):
		case f.end.Before(w.sent.Add(-slack)):
			before = append(before, f)
		default:
			within = append(within, f)
		}
	}
	if len(before) > 0 { // the last one, and those that landed with it
		last := before[len(before)-1]
		for _, f := range before {
			if last.end.Sub(f.end) < slack {
				within = append(within, f)
			}
		}
	}
	lacks = len(before) == 0
	for _, f := range within {
		has = has || f.keys[g]
		lacks = lacks || !f.keys[g]
	}
	return has, lacks
}

// wasDown reports whether there was a moment at which the documents could not be had.
func (s *authServer) wasDown(from, to time.Time) bool {
	for _, d := range s.down {
		if d.from.Before(to) && (d.to.IsZero() || d.to.Add(slack).After(from)) {
			return true
		}
	}
	return false
}

// opaqueToken is about a token that the authorization server is asked about. It must be called with mu held.
func (s *authServer) opaqueToken(f *facts, by string, w window) outcomes {
	known := s.opaque[f.text]
	if known == nil { // made up
		return only("revoked", unavailable)
	}
	o := outcomes{}
	certain := false
	for _, a := range known.asked {
		if a.by != by || a.at.After(w.answered) {
			continue
		}
		if a.active && w.sent.Before(a.at.Add(answerLife+slack)) {
			o[served] = true
			certain = certain || a.at.Add(slack).Before(w.sent) && w.answered.Before(a.at.Add(answerLife-slack)) && w.answered.Before(f.exp.Add(-slack))
		}
		if !a.active && w.sent.Before(a.at.Add(refusedFor+slack)) {
			o["revoked"] = true
		}
	}
	if certain && !o["revoked"] {
		return only(served)
	}
	if s.wasDown(w.answered.Add(-asksBound), w.answered) {
		o[unavailable] = true
	}
	return o
}

// reaches reports whether the caller of a call may make it, and with which reason not.
func (f *facts) reaches(tool string, p policy) outcomes {
	scope, listed := p[tool]
	switch {
	case !listed:
		return only("forbidden")
	case f.holds(scope):
		return only(served)
	}
	return only("insufficient_scope")
}

// policy says which scope a tool needs. What is not listed is refused.
type policy map[string]string
