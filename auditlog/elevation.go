package auditlog

import (
	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/owned"
)

// Bounds of what is remembered of refusals. Who is refused more than its share is
// forgotten of its own, and who has most when all together are too many.
const (
	maxOwnElevations     = 64       // of one principal and client
	maxOwnElevationNames = 64 << 10 // bytes, of what it was refused
	maxElevationMemory   = 2 << 20
	elevationOverhead    = 512 // bytes of one beside the name
)

// elevations remembers who was refused what for want of scopes, so that the
// first success afterwards shows in the records as a step up.
type elevations struct{ refused *owned.Store[string] } // -> id of the refusal

func newElevations() elevations {
	return elevations{owned.New[string](owned.Limits{
		Overhead: elevationOverhead, Entries: maxOwnElevations, Size: maxOwnElevationNames, All: maxElevationMemory,
	})}
}

func (e elevations) note(d mcpauth.Decision, r *Record) {
	if d.Principal == nil || len(d.Calls) == 0 {
		return
	}
	short := d.Reason() == mcpauth.ErrInsufficientScope
	if d.Err != nil && !short {
		return
	}
	if !short && e.refused.Empty() {
		return // nobody waits: nothing to compute
	}
	key := d.Principal.Key() + " " + d.Principal.ClientID
	target := key + " " + string(d.Calls[0].Kind) + " " + d.Calls[0].Method + " " + d.Calls[0].Name
	id, waits := e.refused.Take(key, target)
	switch {
	case short:
		e.refused.Add(key, key, target, d.ID, len(target))
	case waits:
		r.Event, r.ElevatedFrom = "scope_elevated", id
	}
}
