package mcpauth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

// agree finds the era of a request and, for a modern one, compares the headers
// that repeat the body with it (MCP 2026-07-28, Streamable HTTP, server
// validation). A header can cause a refusal and nothing else.
func agree(h http.Header, msg *jsonrpc.Message) (era, *DeniedError) {
	if denied := checkRepeated(h); denied != nil {
		return modern, denied
	}
	version := strings.Trim(first(h["Mcp-Protocol-Version"]), " \t")
	if msg.Version.State == jsonrpc.Absent && isLegacyVersion(version) {
		return legacy, nil
	}
	if msg.Version.State != jsonrpc.Absent && (msg.Version.State != jsonrpc.String || msg.Version.Value != version) {
		return modern, deny(errHeaderMismatch, "MCP-Protocol-Version", version, "as in params._meta: "+shown(msg.Version.Value))
	}
	if msg.Kind == jsonrpc.Response {
		return modern, nil
	}
	// A version after ours is for the handler to refuse; only what it says twice is held against it.
	strict := version == modernVersion
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
func checkRepeated(h http.Header) *DeniedError {
	for _, name := range [...]string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"} {
		if len(h[name]) > 1 {
			return deny(errHeaderMismatch, name+" stands more than once", "", "")
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

// isLegacyVersion reports whether the header names a revision before the
// modern era. No header means 2025-03-26; garbage is modern.
func isLegacyVersion(version string) bool {
	switch version {
	case "", "2025-03-26", "2025-06-18", "2025-11-25":
		return true
	case modernVersion:
		return false
	}
	_, err := time.Parse(time.DateOnly, version)
	return err == nil && version < modernVersion
}

// isModernVersion reports whether no server can take the header for one of a
// revision before the modern era.
func isModernVersion(values []string) bool {
	version := strings.Trim(first(values), " \t")
	if version == modernVersion {
		return true
	}
	_, err := time.Parse(time.DateOnly, version)
	return err == nil && version > modernVersion
}

func agreeOn(h http.Header, name, want string, required bool) *DeniedError {
	values := h[name]
	if len(values) == 0 {
		if required {
			return deny(errHeaderMismatch, name+" is missing", "", shown(want))
		}
		return nil
	}
	got := strings.Trim(values[0], " \t")
	if name == "Mcp-Name" {
		decoded, ok := decodeHeaderValue(got)
		if !ok {
			return deny(errHeaderMismatch, name, got, "a valid =?base64?...?= value")
		}
		got = decoded
	}
	if got != want {
		return deny(errHeaderMismatch, name, got, "as in the body: "+shown(want))
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
