package mcpauthtest

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Endpoint names what can be broken and counted.
type Endpoint string

// The endpoints of an issuer that a resource server asks.
const (
	Metadata      Endpoint = "metadata" // all well-known places together
	JWKS          Endpoint = "jwks"
	Introspection Endpoint = "introspection"

	TokenEndpoint Endpoint = "token" // which exchanges tokens: see Issuer.OnExchange
)

// Fault says how an endpoint misbehaves.
type Fault int

// The faults. The headers of [Issuer.Header] are sent with all that answer.
const (
	None      Fault = iota // answers as it should
	Down                   // 503
	NotFound               // 404
	Hang                   // no answer until the client gives up
	Slow                   // the right answer, one byte per second
	Reset                  // the connection is reset
	Huge                   // a body without end; see Issuer.Served
	Malformed              // JSON that ends in the middle
	Redirect               // 302 to http://169.254.169.254/
	HTML                   // 200 and a web page
	Empty                  // {"keys":[]}, or {} as metadata
)

var faultNames = [...]string{"None", "Down", "NotFound", "Hang", "Slow", "Reset", "Huge", "Malformed", "Redirect", "HTML", "Empty"}

// String returns the name of the fault, for the names of tests.
func (f Fault) String() string {
	if f >= 0 && int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("Fault(%d)", int(f))
}

// slowPace is the time that each byte takes with [Slow].
const slowPace = time.Second

// metadataAddress is where clouds keep credentials of their machines: the place
// to which a redirect must not lead.
const metadataAddress = "http://169.254.169.254/"

// Break makes an endpoint misbehave from now on; [None] mends it. Answers that
// are under way stay as they are.
func (i *Issuer) Break(endpoint Endpoint, fault Fault) {
	i.tb.Helper()
	e := i.endpoint(endpoint)
	if fault < 0 || int(fault) >= len(faultNames) {
		i.tb.Fatalf("mcpauthtest: %v is no fault", fault)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	e.fault = fault
}

// connectionReset is what a client sees of a reset connection.
func connectionReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// spoil turns the right answer into the one that the fault wants.
func (a *answer) spoil(endpoint Endpoint, fault Fault) {
	switch fault {
	case Down:
		a.replace(http.StatusServiceUnavailable, "text/plain; charset=utf-8", "down\n")
	case NotFound:
		a.replace(http.StatusNotFound, "text/plain; charset=utf-8", "not found\n")
	case Slow, Huge:
		a.fault = fault
	case Malformed:
		a.text = a.text[:len(a.text)/2]
	case Redirect:
		a.replace(http.StatusFound, "text/plain; charset=utf-8", "elsewhere\n")
		a.header.Set("Location", metadataAddress)
	case HTML:
		a.replace(http.StatusOK, "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>Sign in</title>\n<p>Please sign in.\n")
	case Empty:
		a.text = "{}"
		if endpoint == JWKS {
			a.text = `{"keys":[]}`
		}
	}
}

func (a *answer) replace(status int, contentType, text string) {
	a.status, a.text = status, text
	a.header.Set("Content-Type", contentType)
}
