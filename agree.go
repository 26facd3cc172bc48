package mcpauth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// agree finds the era of a request and, for a modern one, compares the headers
// that repeat the body with it (MCP 2026-07-28, Streamable HTTP, server
// validation). A header can cause a refusal and nothing else. A request for an
// endpoint of the HTTP+SSE transport, which knows no such headers, is tagged and may
// lack them; its tag is verified later.
func agree(h http.Header, msg *jsonrpc.Message, tagged bool) (era, *refusal.Refusal) {
	if denied := checkRepeated(h); denied != nil {
		return modern, denied
	}
	version, denied := versionOf(h)
	if denied != nil {
		return modern, denied
	}
	if named := &msg.Version; named.State != jsonrpc.Absent {
		absent := version == "" && tagged
		if named.State != jsonrpc.String || named.Value != version && !absent {
			return modern, refusal.New(refusal.HeaderMismatch, "MCP-Protocol-Version", version, "as in params._meta: "+shown(named.Value))
		}
	}
	switch {
	case eraOf(msg, version) == legacy:
		return legacy, nil
	case msg.Kind == jsonrpc.Response:
		return modern, nil
	}
	// A version after ours is for the handler to refuse; only what it says twice is held against it.
	strict := version == modernVersion && !tagged
	if denied := agreeOn(h, "Mcp-Method", msg.Method, strict && msg.Kind == jsonrpc.Request); denied != nil {
		return modern, denied
	}
	if known := methods[msg.Method]; known.named {
		if target := known.target.of(msg); target.State == jsonrpc.String {
			return modern, agreeOn(h, "Mcp-Name", target.Value, strict)
		}
	}
	return modern, nil
}

// checkRepeated refuses a second field of those that may be compared with the
// body: who reads the first and who reads the last must see the same.
func checkRepeated(h http.Header) *refusal.Refusal {
	for _, name := range [...]string{"Mcp-Method", "Mcp-Name"} {
		if len(h[name]) > 1 {
			return refusal.New(refusal.HeaderMismatch, name+" stands more than once", "", "")
		}
	}
	return nil
}

// first returns the first value of a field, or "".
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// versionOf returns the revision that the header names, "" for none. Equal values are
// one, in several lines or in a list; the handler gets one line.
func versionOf(h http.Header) (version string, denied *refusal.Refusal) {
	lines := h["Mcp-Protocol-Version"]
	if !repeatsVersion(lines) {
		return strings.Trim(first(lines), " \t"), nil
	}
	all := strings.Join(lines, ",")
	version, rest, _ := strings.Cut(all, ",")
	version = strings.Trim(version, " \t")
	for other := range strings.SplitSeq(rest, ",") {
		if strings.Trim(other, " \t") != version {
			return "", refusal.New(refusal.HeaderMismatch, "MCP-Protocol-Version", all, "one value")
		}
	}
	return version, nil
}

func repeatsVersion(lines []string) bool {
	return len(lines) > 1 || len(lines) == 1 && strings.IndexByte(lines[0], ',') >= 0
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
func eraOf(msg *jsonrpc.Message, version string) era {
	named := msg.Version.Value
	if isModernRevision(version) || isModernRevision(named) {
		return modern
	}
	if named != "" && methods[msg.Method].eras == modern && !isRevision(named) {
		return modern
	}
	return legacy
}

func isRevision(version string) bool {
	_, err := time.Parse(time.DateOnly, version)
	return err == nil
}

func agreeOn(h http.Header, name, want string, required bool) *refusal.Refusal {
	values := h[name]
	if len(values) == 0 {
		if required {
			return refusal.New(refusal.HeaderMismatch, name+" is missing", "", shown(want))
		}
		return nil
	}
	got := strings.Trim(values[0], " \t")
	if name == "Mcp-Name" {
		decoded, ok := decodeHeaderValue(got)
		if !ok {
			return refusal.New(refusal.HeaderMismatch, name, got, "a valid =?base64?...?= value")
		}
		got = decoded
	}
	if got != want {
		return refusal.New(refusal.HeaderMismatch, name, got, "as in the body: "+shown(want))
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
