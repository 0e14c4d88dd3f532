package layer7

import (
	"io"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// relay sends the answer whose head is in x.res to the client and reports whether the client's connection may carry
// another request.
func (x *exchange) relay() bool {
	switch {
	case x.joined != nil:
		return x.relayJoined()
	case x.s.stream != nil:
		return x.relayStream()
	}
	res, u := &x.res, x.conn.link
	if x.body.held { // the upstream answered without taking them
		x.body.held, x.res.KeepAlive = false, false
		x.s.c.skip(x.body.first)
	}
	latency := time.Since(x.picked)
	if res.Status == 101 {
		return x.tunnel(latency)
	}
	if res.Body.Kind == http1.Chunked && x.req.Minor == 0 {
		return x.broken("chunked answer to an HTTP/1.0 request")
	}
	o := Outcome{Status: res.Status, Latency: latency, RetryAfter: res.Status >= 400 && res.Get("retry-after") != nil}
	x.keep = x.keep && res.Body.Kind != http1.UntilClose && x.bodyRead()
	head := x.renderAnswer()
	u.r += res.Size
	n, done, r := res.Body.Next(u.bytes())
	if r != http1.OK {
		return x.broken(r.String())
	}
	x.rec.Status = res.Status
	why := x.pass(head, n)
	if why == reason.OK && !done {
		why = x.passRest()
	}
	o.Reason, x.rec.Reason = why, why
	return x.finish(o)
}

// bodyRead tells whether the client has sent its whole request.
func (x *exchange) bodyRead() bool {
	if x.pump.running {
		return x.pump.all.Load()
	}
	return x.body.all
}

// broken answers 502 for an answer that must not be relayed.
func (x *exchange) broken(detail string) bool {
	x.closeUpstream()
	x.report(Outcome{Reason: reason.UpstreamBadResponse})
	return x.fail(reason.UpstreamBadResponse, detail)
}

func (x *exchange) renderAnswer() []byte {
	x.answer = x.res.AppendResponse(x.answer[:0], false)
	switch {
	case !x.keep:
		x.answer = append(x.answer, "Connection: close\r\n"...)
	case x.req.Minor == 0:
		x.answer = append(x.answer, "Connection: keep-alive\r\n"...)
	}
	x.answer = append(x.answer, "\r\n"...)
	return x.answer
}

// pass sends the head and the n bytes of the body that came with it: in one write when possible.
func (x *exchange) pass(head []byte, n int) reason.Reason {
	c, u := x.s.c, x.conn.link
	c.arm(x.idle())
	x.started = true
	var err error
	if n > 0 && u.r >= len(head) {
		at := u.r - len(head)
		copy(u.buf.b[at:], head)
		err = c.write(u.buf.b[at : u.r+n])
	} else if err = c.write(head); err == nil && n > 0 {
		err = c.write(u.bytes()[:n])
	}
	if err != nil {
		return reason.ClientAborted
	}
	u.r += n
	x.rec.BytesOut += int64(n)
	return reason.OK
}

// passRest relays what comes after the first bytes.
func (x *exchange) passRest() (why reason.Reason) {
	x.e.streaming(1)
	defer x.e.streaming(-1)
	for done := false; why == reason.OK && !done; {
		if to, from, ok := x.splices(); ok {
			done, why = x.splice(to, from)
		} else {
			done, why = x.passMore()
		}
		x.e.moved()
	}
	return why
}

// passMore relays the next bytes of the body.
func (x *exchange) passMore() (done bool, why reason.Reason) {
	c, u, b := x.s.c, x.conn.link, &x.res.Body
	u.large = b.Kind != http1.Length || b.Left() > bufferBytes
	idle := x.idle()
	u.arm(idle)
	c.waiting.Store(x.e.janitor.clock.Load())
	err := u.fill()
	c.waiting.Store(0)
	if err == io.EOF && b.Kind == http1.UntilClose {
		return true, reason.OK
	}
	if err != nil {
		return true, x.late(u.disarm(), reason.UpstreamTruncated)
	}
	n, done, r := b.Next(u.bytes())
	if r != http1.OK {
		x.rec.Detail = r.String()
		return true, reason.UpstreamBadResponse
	}
	c.arm(idle)
	if c.write(u.bytes()[:n]) != nil {
		return true, reason.ClientAborted
	}
	u.r += n
	x.rec.BytesOut += int64(n)
	return done, reason.OK
}

// finish settles both connections after the answer.
func (x *exchange) finish(o Outcome) bool {
	c, u := x.s.c, x.conn.link
	x.pump.stop()
	x.now = time.Now()
	o.At = x.now
	whole := x.body.all && x.pump.fault == reason.OK
	reusable := o.Reason == reason.OK && whole && x.res.KeepAlive && x.req.Minor == 1 && u.r == u.w
	x.giveBack(reusable)
	x.report(o)
	if o.Reason != reason.OK {
		c.resets() // a client must not take what it has for the whole
		return false
	}
	if c.disarm() != 0 || x.e.ctx.Err() != nil {
		return false
	}
	if !whole {
		x.s.lingers = true
		return false
	}
	return x.keep
}
