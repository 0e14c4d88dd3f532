package forward

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	connectTime = 5 * time.Second
	raceDelay   = 250 * time.Millisecond // the Connection Attempt Delay of RFC 8305, section 8
)

// dial resolves, checks and connects to an address that passed the check.
func (p *Proxy) dial(ctx context.Context, destination string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	addresses, err := p.Look(ctx, destination)
	if err != nil {
		return nil, err
	}
	return connect(ctx, addresses)
}

type dialled struct {
	conn net.Conn
	err  error
}

// connect takes the first address that answers, of at least one: the next is asked when one fails, or beside it when it takes
// its time. Without that an address that swallows everything, of IPv6 mostly, would use up the time of all.
func connect(ctx context.Context, addresses []netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialled, len(addresses))
	begun, ended := 0, 0
	begin := func() {
		a := addresses[begun].String()
		begun++
		go func() {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", a)
			results <- dialled{c, err}
		}()
	}
	next := time.NewTimer(raceDelay)
	defer next.Stop()
	var won dialled
	for begin(); ended < begun; {
		select {
		case r := <-results:
			ended++
			switch {
			case won.conn == nil:
				won = r
			case r.conn != nil:
				r.conn.Close()
			}
			if won.conn != nil {
				cancel() // the others
				continue
			}
		case <-next.C:
			next.Reset(raceDelay)
		}
		if won.conn == nil && begun < len(addresses) {
			begin()
		}
	}
	return won.conn, won.err
}
