package layer7

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// pump streams the rest of a request body in a goroutine of its own, so that the answer may come before the body has
// ended: an early refusal, a 100 Continue, an echo. Bodies that come along with their head need none.
type pump struct {
	x        *exchange
	loop     func() // x.pump.run, bound once: starting it allocates nothing
	done     chan struct{}
	running  bool // seen by the exchange's goroutine only
	stopping atomic.Bool
	all      atomic.Bool // the body has been read to its end

	// Valid once it is not running.
	fault  reason.Reason // the client's
	detail string
}

const inlineReads = 2 // of a body that is being sent, before a goroutine is worth it

func (p *pump) init(x *exchange) {
	p.x, p.done = x, make(chan struct{}, 1)
	p.loop = p.run
}

// stream sends the rest of the body: what is there at once, the rest by the pump.
func (x *exchange) stream(u *link) failure {
	p := &x.pump
	p.fault, p.detail = reason.OK, ""
	for range inlineReads {
		if x.body.all {
			return failure{}
		}
		err := x.s.c.fillNow()
		if err == errWouldBlock {
			break
		}
		if err != nil {
			return failure{why: reason.ClientAborted, final: true}
		}
		if !p.forward(u) {
			return failure{why: p.fault, detail: p.detail, final: p.fault != reason.OK}
		}
	}
	if x.body.all {
		return failure{}
	}
	u.arm(0) // the pump sets the time for the answer when the body has ended
	p.stopping.Store(false)
	p.all.Store(false)
	p.running = true
	x.e.running.Add(1)
	go p.loop()
	return failure{}
}

func (p *pump) run() {
	defer p.x.e.running.Done()
	x, u := p.x, p.x.conn.link
	c := x.s.c
	for more := true; more && !x.body.all; {
		c.arm(x.idle())
		if c.fill() != nil {
			p.fail(u)
			break
		}
		more = p.forward(u)
	}
	c.disarm()
	if x.body.all {
		u.arm(x.at(time.Now().UnixNano(), cmp.Or(x.set.Header, defaultHeader)))
	}
	p.done <- struct{}{}
}

// fail notes that the client did not send the rest, and wakes whoever waits for the answer.
func (p *pump) fail(u *link) {
	fired := p.x.s.c.disarm()
	if p.stopping.Load() {
		return
	}
	p.fault = reason.ClientAborted
	if fired == firedTimeout {
		p.fault = reason.ClientTimeout
	}
	u.nc.SetReadDeadline(time.Unix(1, 0))
}

// forward sends what was just read of the body; false when there is no point in going on.
func (p *pump) forward(u *link) bool {
	x, c := p.x, p.x.s.c
	n, all, r := x.req.Body.Next(c.bytes())
	x.body.read += int64(n)
	if limit := x.e.cfg.Body; r == http1.OK && limit > 0 && x.body.read > limit {
		p.fault = reason.ClientBodyTooLarge
	} else if r != http1.OK {
		p.fault, p.detail = r.Reason(), r.String()
	}
	if p.fault != reason.OK {
		u.nc.SetReadDeadline(time.Unix(1, 0))
		return false
	}
	part := c.bytes()[:n]
	x.save(part)
	x.body.all = all
	p.all.Store(all)
	if !all {
		u.arm(x.idle())
	}
	err := u.write(part)
	c.skip(n)
	return err == nil
}

// stop ends the pump if it runs: at once when the client still sends, else when the last bytes are written.
func (p *pump) stop() {
	if !p.running {
		return
	}
	select {
	case <-p.done:
		p.running = false
		return
	default:
	}
	c, u := p.x.s.c, p.x.conn.link
	p.stopping.Store(true)
	if !p.all.Load() {
		c.nc.SetReadDeadline(time.Unix(1, 0))
		u.nc.SetWriteDeadline(time.Unix(1, 0))
	} else {
		u.nc.SetWriteDeadline(time.Now().Add(time.Second))
	}
	<-p.done
	p.running = false
	c.nc.SetReadDeadline(time.Time{})
	u.nc.SetWriteDeadline(time.Time{})
}
