package auditlog

import (
	"sync"

	"github.com/seed-1e292522/mcpauth"
)

// maxElevations bounds how many refusals are remembered.
const maxElevations = 4096

// elevations remembers who was refused what for want of scopes, so that the
// first success afterwards shows in the records as a step up.
type elevations struct {
	mu      sync.Mutex
	refused map[elevation]string // -> id of the refusal
	order   []elevation          // oldest first
}

type elevation struct{ principal, target string }

func (e *elevations) note(d mcpauth.Decision, r *Record) {
	if d.Principal == nil || len(d.Calls) == 0 {
		return
	}
	short := d.Reason() == mcpauth.ErrInsufficientScope
	if d.Err != nil && !short {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.refused) == 0 && !short {
		return // nobody waits: nothing to compute
	}
	key := elevation{d.Principal.Key(), string(d.Calls[0].Kind) + " " + d.Calls[0].Method + " " + d.Calls[0].Name}
	if !short {
		if id, waits := e.refused[key]; waits {
			r.Event, r.ElevatedFrom = "scope_elevated", id
			delete(e.refused, key)
		}
		return
	}
	if e.refused == nil {
		e.refused = map[elevation]string{}
	}
	if _, waits := e.refused[key]; !waits {
		e.order = append(e.order, key)
		if len(e.order) > maxElevations {
			delete(e.refused, e.order[0])
			e.order = e.order[1:]
		}
	}
	e.refused[key] = d.ID
}
