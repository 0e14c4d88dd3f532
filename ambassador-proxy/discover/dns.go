package discover

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS asks for addresses and SRV records by resolv.conf's rules: the standard library's own resolver does the asking, with
// search list, ndots and TCP fallback, and the wrapped UDP connection reads the TTL that it would not tell.
type DNS struct {
	// Server replaces the servers of resolv.conf, for tests; host:port.
	Server string
	routed func(netip.Addr) bool // nil: the kernel is asked
}

// services resolves service records. Only the best priority counts.
func (d *DNS) services(ctx context.Context, name string) (all []place, ttl time.Duration, err error) {
	resolver, seen := d.resolver()
	_, records, err := resolver.LookupSRV(ctx, "", "", name)
	if err != nil {
		return nil, 0, err
	}
	for _, r := range records {
		if r.Priority != records[0].Priority {
			break
		}
		all = append(all, place{host: strings.TrimSuffix(r.Target, "."), port: strconv.Itoa(int(r.Port)), weight: max(int(r.Weight), 1)})
	}
	return all, seen.min(), nil
}

// lookup resolves A and AAAA of a host.
func (d *DNS) lookup(ctx context.Context, host string) (ips []string, ttl time.Duration, err error) {
	if net.ParseIP(host) != nil {
		return []string{host}, 0, nil
	}
	resolver, seen := d.resolver()
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, 0, err
	}
	for _, a := range usable(addrs, d.routed) {
		ips = append(ips, a.Unmap().String())
	}
	return ips, seen.min(), nil
}

// usable leaves out addresses that this machine has no way to, an IPv6 address in a Pod without IPv6 above all (RFC 6724,
// section 5, rule 1), unless that would leave none.
func usable(all []netip.Addr, routed func(netip.Addr) bool) []netip.Addr {
	if routed == nil {
		routed = hasRoute
	}
	if some := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return !routed(a.Unmap()) }); len(some) > 0 {
		return some
	}
	return all
}

// hasRoute asks the kernel, by a socket on which nothing is sent.
func hasRoute(ip netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// resolver is made for one lookup, so that what it sees belongs to that lookup.
func (d *DNS) resolver() (*net.Resolver, *ttls) {
	seen := &ttls{}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if d.Server != "" {
			address = d.Server
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if udp, ok := c.(*net.UDPConn); ok {
			return &overheard{udp, seen}, err
		}
		return c, err
	}}, seen
}

// overheard stays a net.PacketConn by embedding: that is how the resolver tells UDP from TCP.
type overheard struct {
	*net.UDPConn
	seen *ttls
}

func (c *overheard) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if err == nil {
		c.seen.read(b[:n])
	}
	return n, err
}

// ttls is the lowest TTL of the answers.
type ttls struct {
	mu     sync.Mutex
	lowest time.Duration
	any    bool
}

func (t *ttls) min() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.any {
		return 0
	}
	return max(t.lowest, time.Second)
}

func (t *ttls) read(message []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return
		}
		t.mu.Lock()
		if ttl := time.Duration(h.TTL) * time.Second; !t.any || ttl < t.lowest {
			t.lowest, t.any = ttl, true
		}
		t.mu.Unlock()
		if p.SkipAnswer() != nil {
			return
		}
	}
}
