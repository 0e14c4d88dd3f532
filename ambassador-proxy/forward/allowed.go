package forward

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// allowed are the destinations that may be reached.
type allowed []config.Allow

// parse reads what has been validated.
func parse(allow []string) (all allowed) {
	for _, s := range allow {
		if a, err := config.ParseAllow(s); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// split reads host:port; the host is lower case, without a dot at its end.
func split(destination string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(destination)
	if err != nil || host == "" || strings.Contains(host, "%") {
		return "", 0, &reason.Error{Reason: reason.ClientBadRequest, Err: fmt.Errorf("%q is not host:port", destination)}
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, &reason.Error{Reason: reason.ClientBadRequest, Err: fmt.Errorf("%q is not a port", text)}
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), uint16(n), nil
}

// mayResolve tells whether a name is worth a look: it is allowed, or its addresses may be.
func (l allowed) mayResolve(host string, port uint16) bool {
	named, _ := l.named(host, port)
	return named || l.anyRange(port)
}

// of are those of a destination's addresses that may be dialled; the error says why there is none.
func (l allowed) of(addresses []netip.Addr, host string, port uint16) (all []netip.AddrPort, err error) {
	destination := net.JoinHostPort(host, strconv.Itoa(int(port)))
	err = &reason.Error{Reason: reason.Forbidden, Err: fmt.Errorf("%s is not among the allowed destinations (add it to allow)", destination)}
	named, private := l.named(host, port)
	for _, ip := range addresses {
		ip = ip.Unmap()
		inRange := l.inRange(ip, port)
		switch {
		case !named && !inRange:
		case internal(ip) && !inRange && !private:
			err = &reason.Error{Reason: reason.Forbidden, Err: fmt.Errorf("%s is %s, an address inside (allow %s:%d to reach it)", destination, ip, ip, port)}
		default:
			all = append(all, netip.AddrPortFrom(ip, port))
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, err
}

// named tells whether a name or literal address is allowed, and whether that was an address, which may be private.
func (l allowed) named(host string, port uint16) (allowed, literal bool) {
	for _, a := range l {
		if a.Port != 0 && a.Port != port {
			continue
		}
		if a.Host != "" && a.Host == host {
			_, err := netip.ParseAddr(host)
			return true, err == nil
		}
		if a.Suffix != "" && len(host) > len(a.Suffix) && strings.HasSuffix(host, a.Suffix) {
			allowed = true
		}
	}
	return allowed, false
}

func (l allowed) anyRange(port uint16) bool {
	for _, a := range l {
		if a.Prefix.IsValid() && (a.Port == 0 || a.Port == port) {
			return true
		}
	}
	return false
}

func (l allowed) inRange(ip netip.Addr, port uint16) bool {
	for _, a := range l {
		if a.Prefix.IsValid() && (a.Port == 0 || a.Port == port) && a.Prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// internal are addresses that a name of the internet has no business with: loopback, link-local (cloud metadata among them),
// private, unspecified, multicast, and those of inside.
func internal(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" ||
		slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// inside are the other ranges of the IANA's special-purpose registries (RFC 6890) that may lead to where private ones lead, and
// the metadata service of Azure. It is never written.
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),    // shared by carriers, and by some clouds' services (RFC 6598)
	netip.MustParsePrefix("168.63.129.16/32"), // Azure
	netip.MustParsePrefix("192.0.0.0/24"),     // of protocols; Oracle's metadata
	netip.MustParsePrefix("198.18.0.0/15"),    // of benchmarks (RFC 2544)
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and the broadcast address
	netip.MustParsePrefix("::/96"),            // IPv4-compatible
	netip.MustParsePrefix("64:ff9b::/96"),     // to IPv4 by a gateway: any of the above (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),   // (RFC 8215)
	netip.MustParsePrefix("2001::/32"),        // Teredo
	netip.MustParsePrefix("2002::/16"),        // 6to4
	netip.MustParsePrefix("fec0::/10"),        // site-local
}
