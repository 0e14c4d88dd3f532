package layer7

import (
	"net/http"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// refuse answers a request that goes nowhere and closes the connection: the end of the message is not known.
func (x *exchange) refuse(why reason.Reason, detail string) bool {
	x.keepViews()
	x.answerError(why, detail, false)
	x.s.lingers = true
	return false
}

// keepViews copies what the record shows of the request before its buffer goes.
func (x *exchange) keepViews() {
	r := &x.rec
	m, t := len(r.Method), len(r.Target)
	x.out = append(append(append(x.out[:0], r.Method...), r.Target...), r.Host...)
	r.Method, r.Target, r.Host = x.out[:m], x.out[m:m+t], x.out[m+t:]
}

// decline answers a well-formed request that goes nowhere, and keeps the connection if it has no body.
func (x *exchange) decline(why reason.Reason) bool {
	x.keepViews()
	if x.e.ctx.Err() != nil {
		why = reason.Stopped
	}
	_, none, _ := x.req.Body.Next(nil)
	keep := none && x.req.KeepAlive && why != reason.Stopped
	x.answerError(why, "", keep)
	if !keep {
		x.s.lingers = true
		return false
	}
	x.s.c.skip(x.req.Size)
	return true
}

// fail answers a request that was tried.
func (x *exchange) fail(why reason.Reason, detail string) bool {
	c := x.s.c
	if x.body.held {
		x.body.held = false
		c.skip(x.body.first)
	}
	if x.e.ctx.Err() != nil { // whatever that looked like
		why, detail = reason.Stopped, ""
	}
	if why == reason.ClientAborted {
		x.rec.Reason = why
		return false
	}
	keep := x.keep && x.body.all && !why.Client() && why != reason.Stopped
	if !x.answerError(why, detail, keep) {
		return false
	}
	if !keep {
		x.s.lingers = true
	}
	return keep
}

// answerError sends what went wrong in words: 502 upstream api (10.0.0.7:8443): connection refused, 3 tries.
func (x *exchange) answerError(why reason.Reason, detail string, keep bool) bool {
	if x.s.stream != nil {
		return x.answerStream(why, detail)
	}
	x.rec.Reason, x.rec.Detail, x.rec.Status = why, detail, why.Status()
	text := inWords(&x.rec, x.set)
	b := append(x.answer[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(why.Status()), 10)
	b = append(append(b, ' '), http.StatusText(why.Status())...)
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(append(b, "\r\nX-Ambassador-Error: "...), why.String()...)
	switch {
	case !keep:
		b = append(b, "\r\nConnection: close"...)
	case x.req.Minor == 0:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	if !x.isHead() {
		b = append(b, text...)
	}
	x.answer = b
	c := x.s.c
	switch why { // after which the janitor has stopped all writing
	case reason.ClientTimeout:
		c.nc.SetDeadline(time.Now().Add(answerTime))
	case reason.Stopped:
		c.nc.SetDeadline(time.Now().Add(lingerTime))
	}
	c.arm(x.e.janitor.in(answerTime))
	err := c.write(b)
	return c.disarm() == 0 && err == nil
}

const (
	answerTime  = 5 * time.Second // for a client to take an error
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// linger ends our side and reads what the client is still sending, for a while: closing with unread bytes would reset
// the connection, and the client would lose the answer with it.
func (s *session) linger() {
	c := s.c
	c.release()
	c.closeWrite()
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	if s.e.ctx.Err() != nil {
		return
	}
	for left := lingerBytes; left > 0; {
		if c.fill() != nil {
			return
		}
		left -= len(c.bytes())
		c.release()
	}
}
