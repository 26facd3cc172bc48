package mcp

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// agree finds the era of a request and, for a modern one, compares the headers
// that repeat the body with it (MCP 2026-07-28, Streamable HTTP, server
// validation). A header can cause a refusal and nothing else. A request for an
// endpoint of the HTTP+SSE transport, which knows no such headers, is tagged and may
// lack them; its tag is verified later.
func agree(h http.Header, msg *jsonrpc.Message, known method, tagged bool) (Era, *refusal.Refusal) {
	methodLines, nameLines := h["Mcp-Method"], h["Mcp-Name"]
	if denied := checkRepeated(methodLines, nameLines); denied != nil {
		return Modern, denied
	}
	version, denied := Version(h)
	if denied != nil {
		return Modern, denied
	}
	if named := &msg.Version; named.State != jsonrpc.Absent {
		absent := version == "" && tagged
		if named.State != jsonrpc.String || named.Value != version && !absent {
			return Modern, refusal.New(refusal.HeaderMismatch, "MCP-Protocol-Version", version, "as in params._meta: "+foreign.Quote(named.Value))
		}
	}
	switch {
	case eraOf(msg, known, version) == Legacy:
		return Legacy, nil
	case msg.Kind == jsonrpc.Response:
		return Modern, nil
	}
	// A version after ours is for the handler to refuse; only what it says twice is held against it.
	strict := version == modernVersion && !tagged
	if denied := agreeOn("Mcp-Method", methodLines, msg.Method, strict && msg.Kind == jsonrpc.Request); denied != nil {
		return Modern, denied
	}
	if target := known.target.of(msg); known.named && target.State == jsonrpc.String {
		return Modern, agreeOn("Mcp-Name", nameLines, target.Value, strict)
	}
	return Modern, nil
}

// checkRepeated refuses a second field of those that may be compared with the
// body: who reads the first and who reads the last must see the same.
func checkRepeated(methodLines, nameLines []string) *refusal.Refusal {
	switch {
	case len(methodLines) > 1:
		return refusal.New(refusal.HeaderMismatch, "Mcp-Method stands more than once", "", "")
	case len(nameLines) > 1:
		return refusal.New(refusal.HeaderMismatch, "Mcp-Name stands more than once", "", "")
	}
	return nil
}

// Version returns the revision that the header names, "" for none. Equal values are
// one, in several lines or in a list; the handler gets one line.
func Version(h http.Header) (version string, denied *refusal.Refusal) {
	lines := h["Mcp-Protocol-Version"]
	switch {
	case len(lines) == 0:
		return "", nil
	case len(lines) == 1 && strings.IndexByte(lines[0], ',') < 0:
		return trimmed(lines[0]), nil
	}
	all := strings.Join(lines, ",")
	version, rest, _ := strings.Cut(all, ",")
	version = trimmed(version)
	for other := range strings.SplitSeq(rest, ",") {
		if trimmed(other) != version {
			return "", refusal.New(refusal.HeaderMismatch, "MCP-Protocol-Version", all, "one value")
		}
	}
	return version, nil
}

// trimmed returns a field value without the white space around it (RFC 9110 section 5.5).
func trimmed(v string) string {
	for v != "" && isBlank(v[0]) {
		v = v[1:]
	}
	for v != "" && isBlank(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// IsModern reports whether the header names a revision of the modern era.
func IsModern(h http.Header) bool {
	version, _ := Version(h)
	return isModernRevision(version)
}

// Verbs are the HTTP methods of the endpoint. The modern era has POST
// only; the legacy one also streams of the server's own and the end of
// sessions.
func Verbs(h http.Header) string {
	if IsModern(h) {
		return "POST"
	}
	return "POST, GET, DELETE"
}

// CheckVerb refuses other verbs, and a change of protocol.
func CheckVerb(r *http.Request) *refusal.Refusal {
	if r.Method != http.MethodPost {
		allowed := Verbs(r.Header)
		if !slices.Contains(strings.Split(allowed, ", "), r.Method) {
			return refusal.New(refusal.HTTPMethod, "method", r.Method, allowed)
		}
	}
	for _, upgrade := range r.Header["Upgrade"] {
		if strings.Contains(strings.ToLower(upgrade), "websocket") {
			return refusal.New(refusal.HTTPMethod, "Upgrade", upgrade, "HTTP")
		}
	}
	return nil
}

// isModernRevision reports whether a version is a revision of the modern era. What is
// no date is no revision, and for the handler to refuse: our 404 would be the end of
// its session to a legacy client.
func isModernRevision(version string) bool {
	switch version {
	case modernVersion:
		return true
	case "", "2025-03-26", "2025-06-18", "2025-11-25":
		return false
	}
	return isRevision(version) && version > modernVersion
}

// eraOf returns the era of a message under a version. What is no revision makes nothing modern, but a
// method that only the modern era has is so already: the handler refuses the version as what it is.
func eraOf(msg *jsonrpc.Message, known method, version string) Era {
	named := msg.Version.Value
	if isModernRevision(version) || isModernRevision(named) {
		return Modern
	}
	if named != "" && known.eras == Modern && !isRevision(named) {
		return Modern
	}
	return Legacy
}

func isRevision(version string) bool {
	_, err := time.Parse(time.DateOnly, version)
	return err == nil
}

func agreeOn(name string, values []string, want string, required bool) *refusal.Refusal {
	if len(values) == 0 {
		if required {
			return refusal.New(refusal.HeaderMismatch, name+" is missing", "", foreign.Quote(want))
		}
		return nil
	}
	got := trimmed(values[0])
	if name == "Mcp-Name" {
		decoded, ok := decodeHeaderValue(got)
		if !ok {
			return refusal.New(refusal.HeaderMismatch, name, got, "a valid =?base64?...?= value")
		}
		got = decoded
	}
	if got != want {
		return refusal.New(refusal.HeaderMismatch, name, got, "as in the body: "+foreign.Quote(want))
	}
	return nil
}

// decodeHeaderValue undoes the sentinel encoding "=?base64?...?=" that MCP uses for
// values that cannot stand in a header field.
func decodeHeaderValue(v string) (string, bool) {
	encoded, ok := strings.CutPrefix(v, "=?base64?")
	if !ok {
		return v, true
	}
	encoded, ok = strings.CutSuffix(encoded, "?=")
	if !ok {
		return v, true // without its end mark it is a literal value
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || !utf8.Valid(decoded) {
		return "", false
	}
	return string(decoded), true
}
