package layer7

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// appendAnswer renders the head of an HTTP/1.1 answer as a header block.
func (x *exchange) appendAnswer() []byte {
	b := http2.AppendStatus(x.answer[:0], x.res.Status)
	for name, value := range x.res.Forwarded {
		b = http2.AppendField(b, name, value)
	}
	x.answer = b
	return b
}

// relayStream is relay for a stream.
func (x *exchange) relayStream() bool {
	res, u := &x.res, x.conn.link
	if x.body.held { // the upstream answered without taking them
		x.body.held, x.res.KeepAlive = false, false
		x.s.c.skip(x.body.first)
	}
	o := Outcome{Status: res.Status, Latency: time.Since(x.picked), RetryAfter: res.Status >= 400 && res.Get("retry-after") != nil}
	x.appendAnswer()
	u.r += res.Size
	x.trailers = x.trailers[:0]
	run, done, r := x.content()
	if r != http1.OK {
		return x.broken(r.String())
	}
	x.rec.Status = res.Status
	why := x.passRun(run, done)
	if why == reason.OK && !done {
		why = x.passRestOfStream()
	}
	o.Reason, x.rec.Reason = why, why
	x.finishStream(o)
	return true
}

// content is the next content of the answer that is there, in one piece, and whether it is the last.
func (x *exchange) content() (run []byte, done bool, r http1.Refusal) {
	u, b := x.conn.link, &x.res.Body
	for !done {
		more, n, ended, r := b.Content(u.bytes(), &x.trailers)
		if r != http1.OK {
			return nil, false, r
		}
		u.r += n
		if done = ended; len(run) == 0 {
			run = more
		} else { // the next chunk moves up to the last: what was between them has been handled
			to := run[:len(run)+len(more)]
			copy(to[len(run):], more)
			run = to
		}
		if u.r == u.w {
			break
		}
	}
	return run, done, http1.OK
}

// passRun sends what came of the answer, with its head when that was not sent before.
func (x *exchange) passRun(run []byte, done bool) reason.Reason {
	c, st := x.s.c, x.s.stream
	c.arm(x.idle())
	ends := done && len(x.trailers) <= len("\r\n")
	var n int
	var err error
	if !x.started {
		x.started = true
		n, err = st.WriteAll(x.answer, run, ends)
	} else if len(run) > 0 || ends {
		n, err = st.Write(run, ends)
	}
	x.rec.BytesOut += int64(n)
	if err == nil && done && !ends {
		err = st.WriteHead(x.appendTrailers(), true)
	}
	if err != nil {
		return reason.ClientAborted
	}
	return reason.OK
}

// appendTrailers renders the trailer section, which was checked line by line, as a header block.
func (x *exchange) appendTrailers() []byte {
	b := x.answer[:0]
	for line := range bytes.Lines(x.trailers) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			b = http2.AppendField(b, name, bytes.TrimSpace(value))
		}
	}
	x.answer = b
	return b
}

// passRestOfStream relays what comes after the first bytes.
func (x *exchange) passRestOfStream() (why reason.Reason) {
	c, u, b := x.s.c, x.conn.link, &x.res.Body
	x.e.streaming(1)
	defer x.e.streaming(-1)
	for done := false; why == reason.OK && !done; {
		u.large = b.Kind != http1.Length || b.Left() > bufferBytes
		u.arm(x.idle())
		c.waiting.Store(x.e.janitor.clock.Load())
		err := u.fill()
		c.waiting.Store(0)
		var run []byte
		var r http1.Refusal
		switch {
		case err == io.EOF && b.Kind == http1.UntilClose:
			done = true
		case err != nil:
			return x.late(u.disarm(), reason.UpstreamTruncated)
		default:
			if run, done, r = x.content(); r != http1.OK {
				x.rec.Detail = r.String()
				return reason.UpstreamBadResponse
			}
		}
		why = x.passRun(run, done)
		x.e.moved()
	}
	return why
}

// finishStream settles the upstream's connection after the answer.
func (x *exchange) finishStream(o Outcome) {
	u := x.conn.link
	x.pump.stop()
	x.now = time.Now()
	o.At = x.now
	whole := x.body.all && x.pump.fault == reason.OK
	x.giveBack(o.Reason == reason.OK && whole && x.res.KeepAlive && u.r == u.w)
	x.report(o)
	if o.Reason != reason.OK {
		x.s.stream.Reset(http2.InternalError) // a client must not take what it has for the whole
	}
}

// answerStream is answerError for a stream; a gRPC client gets a grpc-status, never a bare 503.
func (x *exchange) answerStream(why reason.Reason, detail string) bool {
	st := x.s.stream
	x.rec.Reason, x.rec.Detail, x.rec.Status = why, detail, why.Status()
	text := inWords(&x.rec, x.set)
	if isGRPC(x.fields.Get("content-type")) {
		b := http2.AppendField(http2.AppendStatus(x.answer[:0], 200), "content-type", "application/grpc")
		b = http2.AppendField(b, "x-ambassador-error", why.String())
		b = http2.AppendField(b, "grpc-status", strconv.Itoa(why.GRPC()))
		x.answer = http2.AppendField(b, "grpc-message", grpcMessage(strings.TrimSuffix(text, "\n")))
		return st.WriteHead(x.answer, true) == nil
	}
	b := http2.AppendField(http2.AppendStatus(x.answer[:0], why.Status()), "content-type", "text/plain; charset=utf-8")
	b = http2.AppendField(b, "content-length", strconv.Itoa(len(text)))
	x.answer = http2.AppendField(b, "x-ambassador-error", why.String())
	c := x.s.c
	c.nc.SetDeadline(time.Time{}) // the janitor may have stopped all writing
	c.arm(x.e.janitor.in(answerTime))
	defer c.disarm()
	if st.Head.Method == http.MethodHead {
		text = ""
	}
	_, err := st.WriteAll(x.answer, []byte(text), true)
	return err == nil
}
