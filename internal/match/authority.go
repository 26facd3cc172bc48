package match

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fold"
)

// plainAuthority returns host and port, without user information, what is
// default, and the dot of an absolute name.
func plainAuthority(scheme, authority string) string {
	host := cutSegment(authority[strings.LastIndexByte(authority, '@')+1:])
	port := ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host, port = host[:colon], strings.TrimLeft(host[colon+1:], "0")
	}
	host = strings.Trim(host, ". ")
	if isWeb(scheme) {
		host = fold.Host(host)
		if address, ok := parseAddress(host); ok {
			host = address
		}
	}
	if port != "" && port != hierarchicalPorts[strings.TrimSuffix(scheme, ":")] {
		host += ":" + port
	}
	return host
}

// isWeb reports whether URLs of a scheme, given with its colon, name a host of
// the network.
func isWeb(scheme string) bool { return hierarchicalPorts[strings.TrimSuffix(scheme, ":")] != "" }

// parseAddress returns the usual form of an IP address in any of those that URL
// parsers know: IPv4 may have fewer than four parts, and each may be hexadecimal
// or octal.
func parseAddress(host string) (string, bool) {
	if inner, found := strings.CutPrefix(host, "["); found {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return address.Unmap().String(), err == nil
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return "", false
	}
	var value uint64
	for i, part := range parts {
		if strings.ContainsAny(part, "_obOB") {
			return "", false
		}
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		number, err := strconv.ParseUint(part, 0, bits)
		if err != nil {
			return "", false
		}
		value = value<<bits | number
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}).String(), true
}
