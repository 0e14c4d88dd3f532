package layer7

import (
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// statusOf the head of an answer, which is valid.
func statusOf(fields []hpack.HeaderField) int {
	v := fields[0].Value
	return int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
}

// appendFields encodes fields, of which the first may be :status.
func appendFields(b []byte, fields []hpack.HeaderField) []byte {
	if len(fields) > 0 && fields[0].Name == ":status" {
		b, fields = http2.AppendStatus(b, statusOf(fields)), fields[1:]
	}
	for i := range fields {
		if f := &fields[i]; f.Sensitive {
			b = http2.AppendSensitive(b, f.Name, f.Value)
		} else {
			b = http2.AppendField(b, f.Name, f.Value)
		}
	}
	return b
}

// relayJoined is relay between two streams of HTTP/2.
func (x *exchange) relayJoined() bool {
	st := x.s.stream
	o := Outcome{Status: x.res.Status, Latency: time.Since(x.picked), RetryAfter: x.res.Status >= 400 && x.said("retry-after") != nil}
	if string(x.said("grpc-status")) == "14" {
		o.Status = 503
	}
	x.rec.Status = statusOf(x.event.Head)
	x.answer = appendFields(x.answer[:0], x.event.Head)
	x.started = true
	bare := x.event.End && len(x.event.Data) == 0 && len(x.event.Trailers) == 0
	why := reason.OK
	if st.WriteHead(x.answer, bare) != nil {
		why = reason.ClientAborted
	} else if !bare {
		why = x.passJoined()
	}
	o.Reason, x.rec.Reason = why, why
	x.now = time.Now()
	o.At = x.now
	x.s.c.disarm()
	x.closeUpstream()
	x.report(o)
	if why != reason.OK {
		st.Reset(http2.InternalError) // a client must not take what it has for the whole
	}
	return true
}

// passJoined moves both directions until the answer has ended.
func (x *exchange) passJoined() reason.Reason {
	counted := false
	x.s.c.arm(x.idle())
	for passed := 0; ; {
		n, done, why := x.passEvent(passed)
		if done || why != reason.OK {
			if counted {
				x.e.streaming(-1)
			}
			return why
		}
		passed += n
		moved := n > 0
		if passed == len(x.event.Data) {
			x.event.Event = x.joined.Next(passed)
			moved = moved || len(x.event.Data) > 0 || x.event.End || x.event.Err != nil
			passed = 0
		}
		if moved {
			x.e.moved()
			x.s.c.arm(x.idle())
			continue
		}
		if !counted {
			counted = true
			x.e.streaming(1)
		}
		if f := x.exchangeMore(); f.why != reason.OK {
			x.e.streaming(-1)
			return f.why
		}
	}
}

// exchangeMore sends more of the request, and waits when there is nothing to do.
func (x *exchange) exchangeMore() failure {
	if !x.ends {
		before := x.body.read
		if f := x.upload(); f.why != reason.OK {
			return f
		}
		if x.body.read != before {
			x.s.c.arm(x.idle())
		}
	}
	f := x.waitJoined()
	switch f.why {
	case reason.UpstreamTimeoutHeaders, reason.ClientTimeout:
		f.why = reason.UpstreamTimeoutIdle
	}
	return f
}

// passEvent sends what is there of the answer behind the bytes that were passed: n more, or its end.
func (x *exchange) passEvent(passed int) (n int, done bool, why reason.Reason) {
	st, e := x.s.stream, &x.event
	rest := e.Data[passed:]
	last := e.End && len(e.Trailers) == 0
	if len(rest) > 0 || last {
		var err error
		if n, err = st.WriteNow(rest, last); err != nil {
			return n, false, reason.ClientAborted
		}
		x.rec.BytesOut += int64(n)
	}
	switch {
	case n < len(rest):
	case last:
		return n, true, reason.OK
	case e.End:
		x.answer = appendFields(x.answer[:0], e.Trailers)
		if st.WriteHead(x.answer, true) != nil {
			return n, false, reason.ClientAborted
		}
		return n, true, reason.OK
	case e.Err != nil:
		return n, false, reason.UpstreamTruncated
	}
	return n, false, reason.OK
}
