package mcpauth

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// exchange is one request on its way: what becomes known of it, and what the
// handler is given in place of the originals. It is one allocation.
type exchange struct {
	m         *Middleware
	g         *generation // by which it is judged
	principal *Principal  // shared by all requests with the token: not to be changed, nor to be given away
	body      []byte
	session   string   // the handler's session id, verified; "" for none
	query     *tagged  // set if the query has our tag
	announced string   // the tag of the message endpoint that the stream has announced
	unnamed   *unnamed // set if no session is presented where there could be one
	era       mcp.Era
	tells     bool             // it is a notification, and asks for nothing
	dpop      bool             // the token came under the scheme DPoP
	strips    bool             // there is a field, Authorization aside, that the handler must not see as it came
	over      bool             // under reader.mu: the request is over
	returned  bool             // the handler has, and did not panic
	decided   bool             // the operator has been told
	placed    bool             // it has the place of a stream
	notOwn    *refusal.Refusal // a task that is not the caller's, for after the policy has said yes
	pooled    *[]byte          // where the body's buffer came from, and goes back to; nil if others may still look at it
	held      holding          // what is booked on the caller's account
	recording *recording       // what a record needs; nil if nobody records
	request

	ctx       identity.Context
	onward    onward.Request // what the handler's context leads to
	forwarded http.Request   // the one that the handler is given
	reader    checkedBody
	lease     lease
	out       flushable
}

// tagged is a query with our tag.
type tagged struct {
	rest string // of the query
	tag  string // verified
}

// begin begins an exchange. Its body is read into a used buffer, unless
// the operator's own code sees the arguments in it and may keep them.
func (m *Middleware) begin(g *generation, r *http.Request) *exchange {
	x := &exchange{m: m, g: g}
	x.lease.x = x
	x.ctx.Context, x.recording = r.Context(), m.operator.newRecording()
	onward.Begin(&x.onward, x)
	x.ctx.Onward = &x.onward
	if g.policy.isDeclared() && !m.operator.records() {
		x.pooled = buffers.Get().(*[]byte)
	}
	return x
}

// carry lets what acts on behalf of the caller have the token, where its issuer allows that.
func (x *exchange) carry(token string) {
	if !x.lease.token.issuer.onBehalf {
		return
	}
	ends := x.g.verifier.endOf(x.principal)
	if a := x.lease.token.answer; a != nil && a.endless { // who exchanges it is told whether it is good
		ends = x.lease.verified.Add(unlimited)
	}
	onward.Carry(&x.onward, strings.Clone(token), ends)
}

// Facts implements [onward.Owner].
func (x *exchange) Facts() onward.Facts {
	f := onward.Facts{
		Resource: x.g.resource, MetadataURL: x.g.public.metadataURL(), Principal: x.principal, Modern: x.era == mcp.Modern, Calls: x.calls, Body: x.body, Deciding: !x.decided,
	}
	if x.principal != nil {
		f.Issuer = x.principal.Issuer
	}
	return f
}

// Metadata implements [onward.Owner].
func (x *exchange) Metadata(ctx context.Context) (document []byte, private bool, err error) {
	s := x.lease.token.issuer
	document, denied := s.keys.Metadata(ctx)
	if denied != nil {
		return nil, false, denied
	}
	return document, s.private, nil
}

// current is the generation that judges what the answer shows: of what lasts, the one that is
// in force by then.
func (x *exchange) current() *generation {
	if x.isStream() {
		return x.m.generation()
	}
	return x.g
}

// filters reports whether lists in the response must be filtered: the answer to a list
// method or to one on tasks that names none, and a stream of the server's own, which may replay one.
func (x *exchange) filters() bool {
	return x.listMethod() != "" || x.isStream()
}

// checkRequest bounds the header section, and refuses scripts of origins that may not call.
func (x *exchange) checkRequest(r *http.Request) (denied *refusal.Refusal) {
	if x.strips, denied = checkHeaders(r.Header); denied != nil {
		return denied
	}
	if denied = x.g.public.checkOrigin(r); denied == nil && r.Method == http.MethodOptions {
		denied = refusal.New(refusal.HTTPMethod, "OPTIONS without a preflight", "", "POST")
	}
	return denied
}

// serve calls the handler, for as long as the token is good.
func (x *exchange) serve(w http.ResponseWriter, r *http.Request, next *backend) {
	m, path := x.m, r.URL.Path
	x.lease.ResponseWriter = w
	if m.operator.hearsAnswers() {
		defer m.operator.tellServed(r, x, time.Now())
	}
	if x.canBeCancelled() {
		m.owned.begin(x)
		defer m.owned.finish(x)
	}
	if x.isStream() {
		x.lease.arm()
	}
	if x.filters() {
		x.out.filter = x.filterFor(x.queryOf(r))
	}
	if x.out.tasks = x.hearing(); x.out.tasks != nil && x.query != nil {
		x.out.tasks.await(x.query.tag)
	}
	if x.unnamed != nil {
		x.serveUnnamed(w, r, next)
		return
	}
	x.run(next, &x.out, x.answer(&x.out, r))
	x.out.finish()
	if x.initializes() && first(w.Header()["Mcp-Session-Id"]) != "" {
		m.operator.keepsByID(next, path)
	}
}

// answer makes the request that the handler is given, and out the writer of
// the answer to it.
func (x *exchange) answer(out *flushable, r *http.Request) (forwarded *http.Request) {
	if u := x.unnamed; u != nil && u.again != nil {
		forwarded = x.forward(r, &u.again.forwarded, &u.again.reader)
	} else {
		forwarded = x.forward(r, &x.forwarded, &x.reader)
	}
	out.response = response{
		lease: &x.lease, r: forwarded, request: x, filter: x.out.filter, tasks: x.out.tasks,
		modern: x.era == mcp.Modern, addsScope: x.era == mcp.Modern && len(x.calls) == 1 && mcp.IsCacheable(x.calls[0].Method),
		hasAlias: x.unnamed != nil, mayRetry: x.unnamed != nil && x.unnamed.mayRetry, bodiless: x.body == nil,
	}
	if h := x.lease.ResponseWriter.Header(); len(h) > 0 {
		out.outer = maps.Clone(h)
	}
	return forwarded
}

// decorate is what a response asks for, as are those that follow: see [answered].
func (x *exchange) decorate(h http.Header, r *http.Request, status int) {
	x.g.public.allowOrigin(h, r)
	x.m.owned.sealSession(h, x, status)
}

func (x *exchange) holdAnswer(size int) bool { return x.hold(&x.held.response, size) }

func (x *exchange) refuse(w http.ResponseWriter, r *http.Request, denied *refusal.Refusal) {
	x.g.refuser.refuse(w, r, x, denied)
}

func (x *exchange) logRefusal(r *http.Request, denied *refusal.Refusal) {
	x.m.operator.logRefusal(r, x, denied)
}

// run calls the handler. One that panics to abort a response which was cut, as a
// proxy does, leaves it to us to end it, or to abort it all the same.
func (x *exchange) run(next http.Handler, out *flushable, r *http.Request) {
	defer func() {
		if x.lease.cutFor() == nil {
			return
		}
		switch recovered := recover(); recovered {
		case nil:
		case http.ErrAbortHandler:
			x.lease.abandon()
		default:
			panic(recovered)
		}
	}()
	x.returned = false
	next.ServeHTTP(out.writer(), r)
	x.returned = true
}

// end lets go of what was made for the request, also after a panic of the
// handler. What a handler still holds afterwards is dead: its context, and its body. It keeps neither the body nor a
// held answer in memory, because they are on nobody's account any more.
func (x *exchange) end() {
	if x.placed {
		x.m.owned.endStream(x)
	}
	x.lease.stop()
	onward.End(&x.onward)
	x.ctx.End()
	x.reader.mu.Lock()
	x.over, x.reader.rest, x.reader.closed = true, nil, true
	x.body, x.id, x.pages = nil, nil, nil
	x.reader.mu.Unlock()
	x.out.letGo()
	if u := x.unnamed; u != nil && u.again != nil {
		_ = u.again.reader.Close()
		u.again.out.letGo()
	}
	if x.lease.inquiry == nil { // or somebody may still be asked about the calls
		for i := range x.calls {
			x.calls[i].Arguments = nil
		}
	}
	x.release()
	if x.pooled != nil && cap(*x.pooled) <= maxPooled {
		buffers.Put(x.pooled)
	}
	x.pooled = nil
}

// strippedIn returns the eras in which a header field, by its canonical name, is
// not passed on to the handler.
func strippedIn(canonical string) mcp.Era {
	switch canonical {
	case "Authorization", "Dpop", "Proxy-Authorization": // credentials
		return mcp.Legacy | mcp.Modern
	case "Upgrade": // what comes after a change of protocol nobody would check
		return mcp.Legacy | mcp.Modern
	case "Connection": // it names fields that a proxy would drop, whatever was checked of them
		return mcp.Legacy | mcp.Modern
	case "Mcp-Session-Id": // set anew when it was verified
		return mcp.Legacy | mcp.Modern
	case "Last-Event-Id": // it resumes what a session has; see isStripped
		return mcp.Modern
	}
	return 0
}

// stripped is strippedIn for a name in whatever spelling a handler in front of us
// may have written it. One behind a gateway interface (RFC 3875 section 4.1.18)
// cannot tell a hyphen from an underscore. The lengths keep nearly all names
// from a closer look. The same goes for what was compared with the body.
func stripped(name string) mcp.Era {
	switch len(name) {
	case len("Mcp_Name"), len("Mcp_Method"), len("Mcp_Protocol_Version"):
		switch hyphened := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")); hyphened {
		case "Mcp-Name", "Mcp-Method", "Mcp-Protocol-Version":
			if hyphened != name {
				return mcp.Legacy | mcp.Modern
			}
		}
	}
	switch len(name) {
	case len("Dpop"), len("Upgrade"), len("Connection"), len("Authorization"), len("Mcp-Session-Id"), len("Proxy-Authorization"):
		return strippedIn(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")))
	}
	return 0
}

// isStripped reports whether a field is not passed on in the era of the request,
// or not without a session.
func (x *exchange) isStripped(name string, _ []string) bool {
	eras := stripped(name)
	return eras&x.era != 0 || eras != 0 && x.session == ""
}

// forward makes out the request that the handler sees: a copy, with the principal
// and without credentials.
func (x *exchange) forward(r, out *http.Request, body *checkedBody) *http.Request {
	*out = *r.WithContext(&x.ctx) // which is inlined, and then allocates nothing
	out.Header, out.TransferEncoding = x.header(r.Header), nil
	if len(r.Trailer) > 0 {
		out.Trailer = maps.Clone(r.Trailer)
		maps.DeleteFunc(out.Trailer, x.isStripped)
	}
	if x.query != nil || x.unnamed != nil { // the handler may be asked again, and have changed it
		url := *r.URL
		url.RawQuery, out.URL = x.queryOf(r), &url
	}
	if x.query != nil {
		out.RequestURI = out.URL.RequestURI()
	}
	if x.body == nil {
		out.Body, out.ContentLength = http.NoBody, 0
		return out
	}
	body.rest = x.body
	out.Body, out.GetBody = body, x.openBody
	out.ContentLength = int64(len(x.body))
	return out
}

// queryOf is the query that the handler sees.
func (x *exchange) queryOf(r *http.Request) string {
	if x.query != nil {
		return x.query.rest
	}
	return r.URL.RawQuery
}

// dialled is the path that the client has asked for: a handler in front of us may have taken a prefix off since.
func dialled(r *http.Request) string {
	if path, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasPrefix(path, "/") {
		return path
	}
	return r.URL.EscapedPath()
}

// header copies the fields that the handler may see, into a map of their number: what is left of the usual request
// fits into a small one. The lists of values are shared with the original: who changes a field replaces its list.
func (x *exchange) header(h http.Header) http.Header {
	room := len(h)
	for _, name := range [...]string{"Authorization", "Accept-Encoding", "Connection"} {
		if h[name] != nil {
			room--
		}
	}
	u := x.unnamed
	hasAlias := u != nil && u.alias != ""
	if hasAlias {
		room++
	}
	out := make(http.Header, room)
	for name, values := range h {
		if x.passes(name) {
			out[name] = values
		}
	}
	switch {
	case x.session != "":
		out["Mcp-Session-Id"] = []string{x.session}
	case hasAlias:
		u.header[0] = u.alias
		out["Mcp-Session-Id"] = u.header[:1:1]
	}
	if lines := h["Mcp-Protocol-Version"]; len(lines) > 0 {
		if version, _ := mcp.Version(h); len(lines) > 1 || lines[0] != version {
			out["Mcp-Protocol-Version"] = []string{version} // what was judged: HTTP/2 leaves spaces around a value
		}
	}
	return out
}

// passes reports whether a field reaches the handler as it came.
func (x *exchange) passes(name string) bool {
	switch {
	case name == "Authorization", name == "Accept-Encoding": // any answer may have to be looked at
		return false
	case (x.out.filter != nil || x.body != nil) && isConditional(name):
		return false
	}
	return !x.strips || !x.isStripped(name, nil)
}
