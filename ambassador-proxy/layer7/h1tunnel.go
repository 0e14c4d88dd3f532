package layer7

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// tunnel relays a 101 and then bytes both ways until both sides have ended, without a timeout.
func (x *exchange) tunnel(latency time.Duration) bool {
	c, u := x.s.c, x.conn.link
	x.answer = append(x.res.AppendResponse(x.answer[:0], true), "\r\n"...)
	x.rec.Status, x.started = 101, true
	err := c.write(x.answer)
	c.disarm()
	u.disarm()
	u.skip(x.res.Size)
	o := Outcome{Status: 101, Latency: latency}
	if err == nil {
		x.e.streaming(1)
		defer x.e.streaming(-1)
		var up atomic.Int64
		sent := make(chan struct{})
		x.e.running.Go(func() {
			defer close(sent)
			up.Store(x.e.carry(u, c))
		})
		x.rec.BytesOut = x.e.carry(c, u)
		<-sent
		x.body.read = up.Load()
	} else {
		x.rec.Reason = reason.ClientAborted
	}
	x.giveBack(false)
	x.report(o)
	return false
}

// carry copies from one link to another until its end, which it passes on. An error ends both directions.
func (e *H1) carry(to, from *link) (n int64) {
	for {
		if from.r == from.w {
			err := from.fill()
			if err == io.EOF {
				to.closeWrite()
				return n
			}
			if err != nil {
				break
			}
		}
		p := from.bytes()
		if to.write(p) != nil {
			break
		}
		n += int64(len(p))
		e.moved()
		from.skip(len(p))
	}
	past := time.Unix(1, 0)
	to.nc.SetDeadline(past)
	from.nc.SetDeadline(past)
	return n
}
