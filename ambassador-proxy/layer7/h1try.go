package layer7

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

const (
	defaultHeader = 60 * time.Second
	defaultIdle   = 5 * time.Minute
	defaultTries  = 2
	defaultReplay = 64 << 10
	maxInterim    = 16 // 1xx answers before the final one
)

// proxy tries until there is an answer to relay, or a failure to tell.
func (x *exchange) proxy() bool {
	most := cmp.Or(x.decision.Tries, x.set.Tries, defaultTries)
	for x.rec.Tries = 1; ; x.rec.Tries++ {
		f := x.try()
		if f.why == reason.OK {
			why := x.unavailable()
			if why == reason.OK || x.rec.Tries >= most {
				return x.relay()
			}
			if again, _ := x.again(why); !again {
				return x.relay()
			}
			x.drop(Outcome{Status: x.res.Status, Reason: why, RetryAfter: x.said("retry-after") != nil})
			continue
		}
		if x.rec.Tries >= most || !f.safe && !x.replayable() || f.final {
			return x.fail(f.why, f.detail)
		}
		switch again, granted := x.again(f.why); {
		case !granted:
			return x.fail(reason.RetryBudgetExhausted, f.why.Text())
		case !again:
			return x.fail(f.why, f.detail)
		}
	}
}

// failure is why a try brought no answer.
type failure struct {
	why    reason.Reason
	detail string
	safe   bool // nothing reached the upstream: any method may be sent again
	final  bool // another try makes no sense
}

// unavailable tells whether the answer is one that another endpoint may do better than.
func (x *exchange) unavailable() reason.Reason {
	if s := x.res.Status; s >= 502 && s <= 504 && x.replayable() && !asksToWait(x.up, x.said("retry-after")) {
		return reason.UpstreamUnavailable
	}
	return reason.OK
}

// said is a field of the answer's head.
func (x *exchange) said(lower string) []byte {
	if x.joined != nil {
		return x.event.said(lower)
	}
	return x.res.Get(lower)
}

// replayable tells whether the request may be sent again after it was sent, and can be.
func (x *exchange) replayable() bool {
	if x.pump.running && x.pump.all.Load() {
		x.pump.stop() // the answer was quicker than its goroutine, which has nothing left to do
	}
	return x.idempotent && !x.pump.running && x.body.keeps
}

// again asks the retry budget, and waits as it says.
func (x *exchange) again(why reason.Reason) (ok, granted bool) {
	wait, granted := x.up.Retry(why, x.rec.Tries)
	if !granted || x.due > 0 && time.Now().UnixNano()+int64(wait) > x.due {
		return false, granted
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-x.e.ctx.Done():
			return false, true
		}
	}
	return true, true
}

// try picks an endpoint, sends the request and waits for the head of the answer: it is in x.res then, and x.conn is the
// connection. A reused connection that turns out dead is replaced without anybody noticing.
func (x *exchange) try() failure {
	x.picked = x.rec.Start
	if x.rec.Tries > 1 || x.e.janitor.in(-tickEvery) > x.picked.UnixNano() { // or it has waited for its place
		x.picked = time.Now()
	}
	ep, err := x.up.Pick(x.e.ctx, Pick{Hash: x.decision.Hash, Hashed: x.decision.Hashed, Tried: x.tried, Now: x.picked})
	if err != nil {
		return failure{why: reason.OfDial(err), detail: cause(err), safe: true, final: true}
	}
	x.endpoint, x.rec.Endpoint = ep, ep
	fresh := false
	for {
		f, stale := x.once(fresh)
		if f.why == reason.OK {
			return f
		}
		if stale && !f.final && (f.safe || x.replayable()) {
			x.stale, fresh = true, true
			continue
		}
		x.tried = append(x.tried, ep)
		x.report(Outcome{Reason: f.why})
		return f
	}
}

// once sends the request on one connection of the endpoint. stale says that the failure is that of an idle connection
// which the upstream had closed.
func (x *exchange) once(fresh bool) (f failure, stale bool) {
	if x.set.HTTP2 != "" {
		return x.onceJoined(fresh)
	}
	conn, err := x.endpoint.Acquire(x.e.ctx, x.picked, fresh)
	if err != nil {
		return failure{why: reason.OfDial(err), detail: cause(err), safe: true}, false
	}
	u := conn.link
	u.pool = x.e.buffers
	x.conn = conn
	if conn.Reused && u.dead(true) { // or what came behind the last answer would be taken for this one
		x.closeUpstream()
		return failure{why: reason.UpstreamReset, safe: true}, true
	}
	x.s.c.peer.Store(u)
	if x.e.ctx.Err() != nil { // Close may have looked for it before
		x.closeUpstream()
		return failure{why: reason.Stopped, safe: true, final: true}, false
	}
	err = x.send(u)
	if err != nil && u.sent == 0 && x.body.held {
		fired := u.disarm()
		x.closeUpstream()
		return failure{why: x.late(fired, reason.UpstreamReset), safe: true, final: fired != 0}, conn.Reused
	}
	if err == nil {
		if f := x.stream(u); f.why != reason.OK {
			x.closeUpstream()
			return f, false
		}
	}
	f, unanswered := x.await(u)
	if f.why != reason.OK {
		x.closeUpstream()
	}
	return f, unanswered && conn.Reused
}

// send sends the head and what is there of the body: in one write when possible.
func (x *exchange) send(u *link) error {
	c, b := x.s.c, &x.body
	u.arm(x.at(x.picked.UnixNano(), cmp.Or(x.set.Header, defaultHeader)))
	switch {
	case !b.held:
		if err := u.write(x.out); err != nil || len(b.saved) == 0 {
			return err
		}
		return u.write(b.saved)
	case b.first == 0:
		if err := x.sendBody(u, x.out); err != nil {
			return err
		}
	case c.r >= len(x.out):
		at := c.r - len(x.out)
		copy(c.buf.b[at:], x.out)
		if err := x.sendBody(u, c.buf.b[at:c.r+b.first]); err != nil {
			return err
		}
	default:
		if err := u.write(x.out); err != nil {
			return err
		}
		if err := u.write(c.bytes()[:b.first]); err != nil {
			b.held = false // something was sent
			b.keeps = false
			return err
		}
	}
	b.held = false
	x.save(c.bytes()[:b.first])
	c.skip(b.first)
	return nil
}

// sendBody sends a head with what is there of the body; when that is all, nothing but the answer is left to wait for.
func (x *exchange) sendBody(u *link, p []byte) error {
	if !x.body.all {
		return u.write(p)
	}
	x.s.c.waiting.Store(x.e.janitor.clock.Load())
	defer x.s.c.waiting.Store(0)
	return u.ask(p)
}

// save keeps a part of the body for another try, as long as it is not too long.
func (x *exchange) save(p []byte) {
	b := &x.body
	if !b.keeps || len(p) == 0 {
		return
	}
	if len(b.saved)+len(p) > cmp.Or(x.set.Replay, defaultReplay) {
		b.keeps, b.saved = false, b.saved[:0]
		return
	}
	b.saved = append(b.saved, p...)
}

// at is the time d from now in Unix nanoseconds, or the end of the whole exchange if that is sooner.
func (x *exchange) at(now int64, d time.Duration) int64 {
	t := now + int64(d)
	if x.due > 0 && x.due < t {
		return x.due
	}
	return t
}

// idle is when a stream on which nothing moves from now on has ended.
func (x *exchange) idle() int64 {
	return x.at(x.e.janitor.clock.Load(), cmp.Or(x.set.Idle, defaultIdle))
}

// late names what fired, or is otherwise when nothing did.
func (x *exchange) late(fired int64, otherwise reason.Reason) reason.Reason {
	switch fired {
	case firedClientGone:
		return reason.ClientAborted
	case firedTimeout:
		if x.due > 0 && time.Now().UnixNano() >= x.due {
			return reason.RequestTimeout
		}
		if otherwise == reason.UpstreamReset {
			return reason.UpstreamTimeoutHeaders
		}
		return reason.UpstreamTimeoutIdle
	}
	return otherwise
}

// await waits for the head of the final answer and relays interim ones. unanswered says that not a byte came.
func (x *exchange) await(u *link) (f failure, unanswered bool) {
	c := x.s.c
	if !x.pump.running && x.body.all {
		c.waiting.Store(x.e.janitor.clock.Load())
		defer c.waiting.Store(0)
	}
	x.res.Reset()
	for interim := 0; ; {
		var err error
		if u.r == u.w {
			err = u.fill()
		}
		r := http1.More
		if err == nil {
			r = x.res.Response(u.bytes(), x.isHead())
		}
		switch {
		case r == http1.OK && x.res.Status < 200 && x.res.Status != 101:
			if interim++; interim > maxInterim {
				return x.noAnswer(u, errInterim), false
			}
			if err := x.interim(); err != nil {
				return failure{why: reason.ClientAborted, final: true}, false
			}
			u.skip(x.res.Size)
			x.res.Reset()
			continue
		case r == http1.OK && x.res.Status == 101 && !x.switched():
			return failure{why: reason.UpstreamBadResponse, detail: "upgrade that was not asked for", final: true}, false
		case r == http1.OK:
			return failure{}, false
		case r != http1.More:
			return failure{why: reason.UpstreamBadResponse, detail: r.String(), final: true}, false
		}
		if err == nil {
			var ok bool
			if ok, err = u.more(); !ok {
				return failure{why: reason.UpstreamBadResponse, detail: http1.HeadTooLarge.String(), final: true}, false
			}
		}
		if err != nil {
			return x.noAnswer(u, err), u.r == u.w && interim == 0
		}
	}
}

var errInterim = errors.New("too many interim answers")

// noAnswer finds out why there is no head: the client's fault comes first.
func (x *exchange) noAnswer(u *link, err error) failure {
	x.pump.stop()
	if x.pump.fault != reason.OK {
		return failure{why: x.pump.fault, detail: x.pump.detail, final: true}
	}
	if err == errInterim {
		return failure{why: reason.UpstreamBadResponse, detail: err.Error(), final: true}
	}
	fired := u.disarm()
	f := failure{why: x.late(fired, reason.UpstreamReset), final: fired != 0}
	if err == io.EOF && u.r != u.w {
		f.detail = "in the middle of the head"
	}
	return f
}

// interim relays a 1xx answer; HTTP/1.0 knows none (RFC 9110 section 15.2).
func (x *exchange) interim() error {
	if x.req.Minor == 0 {
		return nil
	}
	if st := x.s.stream; st != nil {
		return st.WriteHead(x.appendAnswer(), false)
	}
	x.answer = append(x.res.AppendResponse(x.answer[:0], false), "\r\n"...)
	return x.s.c.write(x.answer)
}

func (x *exchange) isHead() bool { return string(x.rec.Method) == "HEAD" }

// switched tells whether a 101 is to what was asked for.
func (x *exchange) switched() bool {
	return x.upgrade && bytes.EqualFold(x.res.Upgrade(), x.protocol)
}

// report ends the try on the endpoint.
func (x *exchange) report(o Outcome) {
	if x.endpoint == nil {
		return
	}
	o.StaleReuse = x.stale
	if o.Latency == 0 {
		o.Latency = time.Since(x.picked)
	}
	x.endpoint.Report(o)
	x.endpoint, x.stale = nil, false
}

// drop gives an answer up for another try.
func (x *exchange) drop(o Outcome) {
	x.tried = append(x.tried, x.endpoint)
	x.closeUpstream()
	x.report(o)
}

// closeUpstream ends the connection of the current try: what goes on on it is aborted by that.
func (x *exchange) closeUpstream() { x.giveBack(false) }

func (x *exchange) giveBack(reusable bool) {
	if x.joined != nil {
		x.joined.Release()
		x.joined = nil
		return
	}
	x.pump.stop()
	u := x.conn.link
	if u.disarm() != 0 {
		reusable = false
	}
	x.s.c.peer.Store(nil)
	u.large = false
	u.release()
	x.conn.Since = x.now
	x.endpoint.Release(x.conn, reusable, x.res.Timeout)
	x.conn = nil
}
