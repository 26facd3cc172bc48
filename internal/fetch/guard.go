package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

var errPrivateAddress = errors.New("not a public address")

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

// refuseLiteral refuses hosts that are visibly private without a look-up.
func refuseLiteral(host string) error {
	if IsPrivateHost(host) {
		return fmt.Errorf("%w: %s", errPrivateAddress, host)
	}
	return nil
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
	host = strings.ToLower(strings.TrimSuffix(host, "."))
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
