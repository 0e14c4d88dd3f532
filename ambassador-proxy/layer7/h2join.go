package layer7

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/client"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/retry"
)

// join is what an exchange needs whose client and upstream both speak HTTP/2: one goroutine moves both directions, and waits when
// nothing moves in either.
type join struct {
	joined  *client.Stream // of the current try; nil: none
	opening client.Request
	wake    chan struct{} // something has changed on either side
	event   event         // what has come of the answer and is not passed on
	replay  []byte        // of the request's body, to be sent again
	ends    bool          // this try has sent the end of the request
	lines   []byte        // injected fields
}

// event is a client.Event.
type event struct{ client.Event }

func (e *event) said(lower string) []byte {
	for i := range e.Head {
		if e.Head[i].Name == lower {
			return bytesOf(e.Head[i].Value)
		}
	}
	return nil
}

func (j *join) reset() {
	clear(j.opening.Fields)
	*j = join{wake: j.wake, lines: j.lines[:0], opening: client.Request{Fields: j.opening.Fields[:0]}}
}

// forwardJoined answers the request of a stream by an upstream that speaks HTTP/2.
func (x *exchange) forwardJoined() {
	st := x.s.stream
	x.rec.Upstream, x.set = x.up, x.up.Settings()
	if limit := x.e.cfg.Body; limit > 0 && st.Head.Length > limit {
		x.answerStream(reason.ClientBodyTooLarge, "")
		return
	}
	if err := x.up.Admit(x.e.ctx); err != nil {
		x.answerStream(reason.OfDial(err), "")
		return
	}
	x.admits = true
	x.idempotent = retry.Idempotent(st.Head.Method, x.fields.Get("idempotency-key") != nil)
	x.setDue()
	x.body = body{all: st.NoBody, keeps: true, saved: x.body.saved[:0]}
	x.openingFields()
	if x.wake == nil {
		x.wake = make(chan struct{}, 1)
	}
	x.opening.End, x.opening.Head = st.NoBody, st.Head.Method == "HEAD"
	x.opening.Event, x.opening.Room = x.wake, x.wake
	st.Notify(x.wake)
	defer st.Notify(nil)
	x.proxy()
}

// openingFields renders the head to send.
func (x *exchange) openingFields() {
	m := &x.s.stream.Head
	list := append(x.opening.Fields[:0],
		hpack.HeaderField{Name: ":method", Value: m.Method},
		hpack.HeaderField{Name: ":scheme", Value: x.set.HTTP2},
		hpack.HeaderField{Name: ":authority", Value: cmp.Or(x.set.Host, m.Authority)},
		hpack.HeaderField{Name: ":path", Value: m.Path})
	for i := range m.Fields {
		if f := &m.Fields[i]; !x.dropped(f.Name) {
			list = append(list, *f)
		}
	}
	x.lines = x.up.AppendFields(x.lines[:0], &x.request)
	for line := range bytes.Lines(x.lines) {
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok {
			list = append(list, hpack.HeaderField{Name: string(bytes.ToLower(name)), Value: string(bytes.TrimSpace(value))})
		}
	}
	x.opening.Fields = list
}

// dropped tells the client's fields that do not go on.
func (x *exchange) dropped(name string) bool {
	switch name {
	case "host", "http2-settings", "proxy-authorization", "proxy-authenticate":
		return true
	}
	return len(x.set.Drop) > 0 && slices.Contains(x.set.Drop, strings.ReplaceAll(name, "_", "-"))
}

// onceJoined is once for an upstream that speaks HTTP/2: it sends what there is of the request until the head of the answer is
// in x.event.
func (x *exchange) onceJoined(fresh bool) (f failure, stale bool) {
	s, conn, reused, err := x.endpoint.(Streamer).Stream(x.e.ctx, &x.opening, x.picked, fresh)
	if err != nil {
		return failure{why: reason.OfDial(err), detail: cause(err), safe: x.body.keeps}, false
	}
	if s == nil {
		x.endpoint.Release(conn, false, 0)
		return failure{why: reason.UpstreamBadResponse, detail: "HTTP/1.1 where HTTP/2 is spoken", final: true}, false
	}
	x.joined, x.replay, x.ends = s, x.body.saved, x.opening.End
	x.s.c.release() // what was read and not sent is among what is kept
	x.event = event{}
	f = x.awaitJoined()
	x.s.c.disarm()
	if f.why == reason.OK {
		return f, false
	}
	x.closeUpstream()
	return f, reused && f.safe
}

// awaitJoined waits for the head of the final answer.
func (x *exchange) awaitJoined() failure {
	st, c := x.s.stream, x.s.c
	c.arm(x.at(x.picked.UnixNano(), cmp.Or(x.set.Header, defaultHeader)))
	for {
		if !x.ends {
			if f := x.upload(); f.why != reason.OK {
				return f
			}
			if x.ends {
				c.arm(x.at(time.Now().UnixNano(), cmp.Or(x.set.Header, defaultHeader)))
			} else {
				c.arm(x.idle())
			}
		}
		switch x.event.Event = x.joined.Next(0); {
		case x.event.Interim != nil:
			x.answer = appendFields(x.answer[:0], x.event.Interim)
			if st.WriteHead(x.answer, false) != nil {
				return failure{why: reason.ClientAborted, final: true}
			}
			continue
		case x.event.Head != nil:
			x.res.Reset()
			x.res.Status = statusOf(x.event.Head)
			if string(x.said("grpc-status")) == "14" && x.idempotent {
				x.res.Status = 503
			}
			return failure{}
		case x.event.Err != nil:
			return x.failedJoined(x.event.Err)
		}
		if f := x.waitJoined(); f.why != reason.OK {
			return f
		}
	}
}

// waitJoined waits until something has changed.
func (x *exchange) waitJoined() failure {
	c, st := x.s.c, x.s.stream
	select {
	case <-x.wake:
	case <-x.e.ctx.Done():
		return failure{why: reason.ClientAborted, final: true}
	}
	if st.Err() != nil {
		return failure{why: reason.ClientAborted, final: true}
	}
	if c.until.Load() >= 0 {
		return failure{}
	}
	c.disarm()
	c.nc.SetDeadline(time.Time{})
	why := x.late(firedTimeout, reason.UpstreamReset)
	if why == reason.UpstreamTimeoutHeaders && !x.ends && c.r == c.w { // nothing was there to be sent
		why = reason.ClientTimeout
	}
	return failure{why: why, final: true}
}

// failedJoined is what the end of a stream before its time means.
func (x *exchange) failedJoined(err error) failure {
	f := failure{why: reason.UpstreamReset, detail: err.Error()}
	if e, ok := errors.AsType[*client.Error](err); ok {
		f.why, f.safe = e.Reason, e.Safe && x.body.keeps
	}
	return f
}

// upload sends what has come of the request's body, as far as the upstream takes it.
func (x *exchange) upload() failure {
	c, st, b := x.s.c, x.s.stream, &x.body
	for !x.ends {
		p := x.replay
		if len(p) == 0 {
			if c.r == c.w {
				if f := x.take(); f.why != reason.OK || c.r == c.w && !b.all {
					return f
				}
			}
			p = c.bytes()
		}
		last := b.all && (len(x.replay) == 0 || c.r == c.w)
		trailers := last && len(st.Trailers()) > 0
		n := x.joined.Write(p, last && !trailers)
		if len(x.replay) > 0 {
			x.replay = x.replay[n:]
		} else {
			c.skip(n)
		}
		if n < len(p) {
			return failure{}
		}
		if trailers {
			x.joined.Trailers(st.Trailers())
		}
		x.ends = last
	}
	return failure{}
}

// take reads what has come of the request's body into the session's buffer.
func (x *exchange) take() failure {
	c, b := x.s.c, &x.body
	if b.all {
		return failure{}
	}
	c.lease()
	n, end, err := x.s.stream.ReadNow(c.buf.b[room:])
	if err != nil {
		c.release()
		return failure{why: reason.ClientAborted, final: true}
	}
	b.read, b.all = b.read+int64(n), end
	if c.r, c.w = room, room+n; n == 0 {
		c.release()
		return failure{}
	}
	if limit := x.e.cfg.Body; limit > 0 && b.read > limit {
		c.release()
		return failure{why: reason.ClientBodyTooLarge, final: true}
	}
	x.save(c.bytes())
	x.e.moved()
	return failure{}
}
