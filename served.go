package mcpauth

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Served is what a handler has answered to a request that was let through. Calls may hold
// arguments of tools: do not write them to a log.
type Served struct {
	ID        string // that of the [Decision]; "" without OnDecision
	Principal *Principal
	Calls     []Call

	// Status is the handler's own, also where the client is told another one, because a list cannot be
	// filtered or the token has expired meanwhile. 0: it has panicked, or its response was ended, before it
	// had answered.
	Status   int
	Duration time.Duration // from the call of the handler to its return
}

// tellServed calls OnServed and contains its failures. It is deferred, and a panic of the handler goes on.
func (o *operator) tellServed(r *http.Request, x *exchange, begun time.Time) {
	out := &x.out
	if u := x.unnamed; u != nil && u.ours {
		return // the handler was not called
	} else if u != nil && u.again != nil {
		out = &u.again.out
	}
	served := Served{
		ID: x.decision, Principal: x.principal.clone(), Calls: slices.Clone(x.calls),
		Status: int(out.status), Duration: time.Since(begun),
	}
	if served.Status == 0 && x.returned && x.lease.cutFor() == nil {
		served.Status = http.StatusOK // as net/http has it
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			o.log.Error("mcpauth: OnServed panicked", "panic", fmt.Sprintf("%T", recovered))
		}
	}()
	o.onServed(r.Context(), served)
}
