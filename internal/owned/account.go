package owned

import "sync"

// Accounts count what each owner makes us hold at the moment. The zero value
// is ready for use, by several goroutines too.
type Accounts struct {
	mu   sync.Mutex
	held map[string]int
}

// Take books n more for an owner, unless it would hold more than most then.
func (a *Accounts) Take(owner string, n, most int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > most-a.held[owner] {
		return false
	}
	if a.held == nil {
		a.held = map[string]int{}
	}
	a.held[owner] += n
	return true
}

// Give takes n off the owner's account.
func (a *Accounts) Give(owner string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[owner] -= n; a.held[owner] <= 0 {
		delete(a.held, owner)
	}
}

// maxStreams bounds the long-lived streams of one caller.
const maxStreams = 32

// Streams gives out places for streams that live as long as the client likes. A subscription
// by HTTP+SSE has its answer at once and lives on in a stream of its message endpoint, with whose
// place its own is given back: with that of the last one, where several have announced the endpoint. The zero value is ready for use.
type Streams struct {
	places Accounts

	mu   sync.Mutex
	open map[string]carriers // by the tag of their endpoint
}

// carriers are the streams of one endpoint. Which of them carries a subscription nobody knows.
type carriers struct{ streams, carried int }

// Begin takes a place for the caller, if there is one.
func (s *Streams) Begin(c Caller) bool { return s.places.Take(c.Key(), 1, maxStreams) }

// Announce is told, once, of a stream that has announced the endpoint with the tag.
func (s *Streams) Announce(tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]carriers{}
	}
	of := s.open[tag]
	of.streams++
	s.open[tag] = of
}

// End gives a place back, and those of what the stream has carried if it has announced an endpoint.
// One that came by an endpoint goes on as long as there is a stream of that to carry it. Both are tags, or "".
func (s *Streams) End(c Caller, announced, by string) {
	places := 1
	switch {
	case announced != "":
		places += s.closed(announced)
	case by != "" && s.carry(by):
		return
	}
	s.places.Give(c.Key(), places)
}

// carry has the streams of an endpoint carry a subscription. It reports whether there are any.
func (s *Streams) carry(tag string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, isOpen := s.open[tag]
	if !isOpen {
		return false
	}
	of.carried++
	s.open[tag] = of
	return true
}

// closed returns how many subscriptions end with a stream: none where another one may carry them.
func (s *Streams) closed(tag string) (carried int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.open[tag]
	if of.streams--; of.streams > 0 {
		s.open[tag] = of
		return 0
	}
	delete(s.open, tag)
	return of.carried
}
