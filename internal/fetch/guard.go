package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

var errPrivateAddress = errors.New("not a public address")

// GuardedTransport makes connections to public addresses only, for who examines what
// somebody else's documents name.
func GuardedTransport() http.RoundTripper { return transport(refusePrivate) }

type controlFunc func(ctx context.Context, network, address string, c syscall.RawConn) error

// refusePrivate looks at the resolved address at the moment of connecting, so
// that a name which resolves differently the second time gains nothing.
func refusePrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %v", errPrivateAddress, err)
	}
	if !public(addr.Addr()) {
		return fmt.Errorf("%w: %s", errPrivateAddress, addr.Addr())
	}
	return nil
}

// refuseLiteral refuses hosts that are visibly private without a look-up, and
// those of which a look-up could make something else than what is seen here.
func refuseLiteral(host string) error {
	switch {
	case !HasOneReading(host):
		return fmt.Errorf("%w: %s can be read in more than one way", errPrivateAddress, foreign.Quote(host))
	case IsPrivateHost(host):
		return fmt.Errorf("%w: %s", errPrivateAddress, host)
	}
	return nil
}

// HasOneReading reports whether a URL's host means the same to all who may read
// it: an address in its canonical form, or a name in ASCII that nobody takes for an
// address. HTTP libraries map other characters to ASCII (UTS 46), and resolvers
// read 127.1, 0x7f.1 and 2130706433 as addresses.
func HasOneReading(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || strings.Trim(lower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	// The last label decides whether a host is an address (WHATWG URL, host parsing).
	last := lower(labels[len(labels)-1])
	digits, hexadecimal := strings.CutPrefix(last, "0x")
	if hexadecimal {
		return strings.Trim(digits, "0123456789abcdef") != ""
	}
	return strings.Trim(last, "0123456789") != ""
}

// lower is for ASCII alone: [strings.ToLower] makes a k of the Kelvin sign.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// IsLoopbackHost reports whether a URL's host is a loopback address literal or localhost.
func IsLoopbackHost(host string) bool {
	if isLocalhost(host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// IsPrivateHost reports whether a URL's host is localhost or the literal of an
// address that is not public.
func IsPrivateHost(host string) bool {
	if isLocalhost(host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && !public(addr)
}

func isLocalhost(host string) bool {
	host = lower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// allocated is where IANA allocates global unicast IPv6 addresses. What lies
// outside is local, a translation of an IPv4 address (64:ff9b::/96), or nothing.
var allocated = netip.MustParsePrefix("2000::/3")

// notPublic are the ranges, beyond those that [netip.Addr] knows, in which
// no authorization server of the public Internet lives (IANA special-purpose
// registries). The last two embed IPv4 addresses.
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2002::/16"),
}

func public(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !allocated.Contains(addr) {
		return false
	}
	for _, prefix := range notPublic {
		if prefix.Contains(addr) {
			return false
		}
	}
	return true
}
