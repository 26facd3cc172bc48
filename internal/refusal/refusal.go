// Package refusal is one refusal: fixed words for the client, and for the operator what was got,
// what was expected, and the cause. It is made once, where the matter is known.
package refusal

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Refusal is why a request is refused. It is put into words only when somebody reads it.
type Refusal struct {
	Reason    Reason
	What      string // the thing that is wrong: "iss", "exp", "Content-Type"
	Got, Want string // Got is the sender's: quoted and shortened before it is shown
	Cause     string // id of the cause in internal/explain; "" where more than this is needed to tell it
	Err       error  // that explains the refusal

	Scopes     []string      // of the whole operation, when scopes would help
	RetryAfter time.Duration // after a 503
	Told       Reason        // to the client, where Reason would tell whoever guesses what is configured; "" for Reason
	Unsettled  bool          // nothing is said against the token, and anybody can bring it about: the keys are too old to judge it, or nobody can be asked
	InBand     bool          // to be answered with a tool result
	ByStatus   bool          // whoever sent it looks at the status alone
}

// New makes the refusal for a reason; what, got and want may be empty.
func New(reason Reason, what, got, want string) *Refusal {
	return &Refusal{Reason: reason, What: what, Got: got, Want: want}
}

// For makes the refusal for a reason that another error explains.
func For(reason Reason, what string, err error) *Refusal {
	return &Refusal{Reason: reason, What: what, Err: err}
}

// Because names the cause of a refusal that was just made.
func (r *Refusal) Because(cause string) *Refusal {
	r.Cause = cause
	return r
}

// Error returns the operator's text. It is not for the client.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(string(r.Reason))
	if r.What != "" {
		b.WriteString(": " + r.What)
	}
	if r.Got != "" {
		b.WriteString(", got " + foreign.Quote(r.Got))
	}
	if r.Want != "" {
		b.WriteString(", expected " + r.Want)
	}
	if r.Err != nil {
		b.WriteString(": " + foreign.Line(strings.ReplaceAll(r.Err.Error(), "\n", "; ")))
	}
	return b.String()
}

// Unwrap returns the reason, what the client is told, and the error that explains it.
func (r *Refusal) Unwrap() []error {
	all := []error{r.Reason}
	if said := r.Said(); said != r.Reason {
		all = append(all, said)
	}
	if r.Err != nil {
		all = append(all, r.Err)
	}
	return all
}

// Said is the reason that the client is told: of a token that nobody can judge yet,
// not that there is anything wrong with it.
func (r *Refusal) Said() Reason {
	if r.Unsettled {
		return Unavailable
	}
	return cmp.Or(r.Told, r.Reason)
}

// Status is that of the HTTP response. Clients of the message endpoint of HTTP+SSE wait for answers on
// their stream: one told of a refusal by a body with 200 waits until its own timeout.
func (r *Refusal) Status() int {
	status := r.Said().Entry().Status
	if r.ByStatus && status == http.StatusOK {
		return http.StatusBadRequest
	}
	return status
}

// OAuth is the error code of RFC 6750 section 3.1 or RFC 9449 section 7.1, "" for none.
func (r *Refusal) OAuth() string { return r.Said().Entry().OAuth }

// IsDoubt reports whether the refusal says that nobody knows. It is no answer.
func (r *Refusal) IsDoubt() bool { return r.Reason == Unavailable || r.Reason == Policy }
