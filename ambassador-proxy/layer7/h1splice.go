package layer7

import (
	"cmp"
	"io"
	"net"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

const (
	spliceFrom = 64 << 10 // bytes left of a body for which setting a pipe up pays
	// A step must be done within the idle timeout: what is in the pipe when time runs out is lost, so that a step cannot be
	// taken up again. With a timeout below spliceIdle, a slow client could be taken for an idle one; then nothing is spliced.
	spliceStep = 256 << 10
	spliceIdle = time.Minute
)

// splices tells whether the kernel can move the rest of the answer: its length is known, and both sides are plain TCP.
func (x *exchange) splices() (to, from *net.TCPConn, ok bool) {
	c, u, b := x.s.c, x.conn.link, &x.res.Body
	if b.Kind != http1.Length || b.Left() < spliceFrom || u.r != u.w || cmp.Or(x.set.Idle, defaultIdle) < spliceIdle {
		return nil, nil, false
	}
	to, okTo := c.nc.(*net.TCPConn)
	from, okFrom := u.nc.(*net.TCPConn)
	return to, from, okTo && okFrom
}

// splice relays the next step of the answer without looking at it.
func (x *exchange) splice(to, from *net.TCPConn) (done bool, why reason.Reason) {
	c, u, b := x.s.c, x.conn.link, &x.res.Body
	u.release()
	idle := x.idle()
	c.arm(idle)
	u.arm(idle)
	c.waiting.Store(x.e.janitor.clock.Load())
	x.part = io.LimitedReader{R: from, N: min(b.Left(), spliceStep)}
	n, err := to.ReadFrom(&x.part)
	c.waiting.Store(0)
	x.rec.BytesOut += n
	done = b.Skip(n)
	if err == nil && n > 0 {
		return done, reason.OK
	}
	fired := c.disarm()
	if f := u.disarm(); f != 0 {
		fired = f
	}
	if err != nil && fired == 0 && c.dead(false) {
		return true, reason.ClientAborted
	}
	return true, x.late(fired, reason.UpstreamTruncated)
}
