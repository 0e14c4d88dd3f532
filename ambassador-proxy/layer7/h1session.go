package layer7

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/server"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// session is one client connection. Between requests it holds nothing but itself.
type session struct {
	e       *H1
	c       *link
	serveFn func(uintptr) bool
	begun   *exchange // its request has begun to arrive and is not answered yet
	over    bool
	lingers bool
	http2   bool           // it speaks that
	stream  *server.Stream // of HTTP/2, which is all there is to this session; nil: a connection
	handed  net.Conn       // not nil: the connection, which belongs to Config.Other now
}

// run serves request after request.
func (s *session) run() {
	for !s.over && s.e.ctx.Err() == nil {
		if s.c.r == s.c.w && s.begun == nil {
			s.wait()
			continue
		}
		x := s.begun
		if s.begun = nil; x == nil {
			x = s.begin()
		}
		s.end(x, x.run())
	}
	if s.http2 {
		s.serveHTTP2()
	}
	if s.lingers {
		s.linger()
	}
}

// begin takes an exchange for a request whose first bytes are there.
func (s *session) begin() *exchange {
	x := s.e.exchanges.Get().(*exchange)
	x.s = s
	s.e.requests.Add(1)
	x.req.Reset()
	x.rec = Record{Start: time.Now()}
	return x
}

// end settles an exchange; keep says that the connection may carry another.
func (s *session) end(x *exchange, keep bool) {
	x.end()
	s.e.moved()
	s.e.requests.Add(-1)
	s.e.exchanges.Put(x)
	s.over = !keep
}

// handover gives the connection away, with what was read of it.
func (s *session) handover() bool {
	if s.c.disarm() != 0 {
		return false
	}
	s.handed = &replayed{Conn: s.c.nc, read: bytes.Clone(s.c.bytes())}
	return false
}

// replayed is a connection some bytes of which were read already.
type replayed struct {
	net.Conn
	read []byte
}

func (c *replayed) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	c.read = c.read[n:]
	return n, nil
}

// exchange is one request with its answer. Exchanges are pooled: an idle connection has none.
type exchange struct {
	e *H1
	s *session

	req, res http1.Head
	out      []byte // the head sent upstream; method and target are read from it when the buffer has gone
	answer   []byte // the head sent to the client
	host     []byte
	protocol []byte // of the upgrade that was asked for

	request  Request
	fields   streamFields // of a stream
	grpc     bool
	trailers []byte // lines of an answer to a stream
	join            // with a stream of HTTP/2
	decision Decision
	up       Upstream
	set      *Settings
	endpoint Endpoint
	conn     *Conn
	tried    []Endpoint
	picked   time.Time
	now      time.Time // when the answer had been passed on; zero before
	stale    bool      // a reused connection had died

	due        int64 // when the whole exchange must have ended, Unix nanoseconds; 0 never
	parsed     bool  // the head is complete
	idempotent bool
	upgrade    bool
	keep       bool // the client's connection
	admits     bool // Leave is owed
	started    bool // bytes of an answer have been sent to the client

	body body
	pump pump
	part io.LimitedReader // of an answer that is spliced

	rec Record
}

// body is what is known of the request's body.
type body struct {
	all   bool   // everything was read from the client
	held  bool   // the first bytes of it, as many as first, are still in the client's buffer
	first int    //
	keeps bool   // saved holds all that was read and is not held
	saved []byte // for another try
	read  int64
}

func newExchange(e *H1) *exchange {
	x := &exchange{e: e}
	x.req.Limits, x.res.Limits = e.cfg.Limits, http1.Limits{Bytes: http1.MaxHead, Fields: 1000}
	x.pump.init(x)
	return x
}

// run handles one request and reports whether the connection may carry another.
func (x *exchange) run() bool {
	c := x.s.c
	c.arm(x.rec.Start.UnixNano() + int64(x.e.cfg.HeadTimeout))
	for !x.parsed {
		if isPreface(c.bytes()) {
			return x.speaksHTTP2()
		}
		r := x.req.Request(c.bytes(), x.e.cfg.Forward)
		if r == http1.OK {
			break
		}
		if r != http1.More {
			return x.refuse(r.Reason(), r.String())
		}
		ok, err := c.more()
		if err != nil {
			if c.disarm() == firedTimeout {
				return x.refuse(reason.ClientTimeout, "no complete head in time")
			}
			x.rec.Reason = reason.ClientAborted
			return false
		}
		if !ok {
			return x.refuse(reason.ClientHeadTooLarge, "")
		}
	}
	if c.disarm() != 0 {
		return false
	}
	return x.route()
}

// speaksHTTP2 has the session go on in HTTP/2, or refuses that.
func (x *exchange) speaksHTTP2() bool {
	if x.e.cfg.Streams == nil {
		return x.refuse(reason.ClientBadVersion, "HTTP/2 is not served here")
	}
	x.s.http2 = x.s.c.disarm() == 0
	return false
}

// isPreface recognises HTTP/2 with prior knowledge (RFC 9113 section 3.4).
func isPreface(b []byte) bool { return len(b) >= 4 && string(b[:4]) == "PRI " }

// route decides where the request goes, and admits it there.
func (x *exchange) route() bool {
	q := &x.req
	path, query := q.PathQuery()
	x.request = Request{Method: q.Method(), Host: q.Host(), Path: path, Query: query, Fields: q, Scheme: q.Scheme()}
	x.rec.Method, x.rec.Host, x.rec.Target = x.request.Method, x.request.Host, q.Target()
	if x.e.cfg.Forward && string(x.request.Method) == "CONNECT" && x.e.cfg.Other != nil {
		return x.s.handover()
	}
	x.decision = x.e.cfg.Route.Match(&x.request)
	if x.decision.Handover && x.e.cfg.Other != nil {
		return x.s.handover()
	}
	x.up = x.decision.Upstream
	if x.up == nil {
		return x.decline(reason.NoRoute)
	}
	return x.forward()
}

// forward admits the request to its upstream.
func (x *exchange) forward() bool {
	q := &x.req
	x.rec.Upstream, x.set = x.up, x.up.Settings()
	if limit := x.e.cfg.Body; limit > 0 && q.Body.Kind == http1.Length && q.Body.Left() > limit {
		return x.refuse(reason.ClientBodyTooLarge, "")
	}
	if err := x.up.Admit(x.e.ctx); err != nil {
		return x.decline(reason.OfDial(err))
	}
	x.admits = true
	if r := x.prepare(); r != http1.OK {
		return x.refuse(r.Reason(), r.String())
	}
	return x.proxy()
}

// prepare renders the head to send and takes the bytes of the body that came with it. From here on the client's buffer
// holds what is to be sent first, at its start the head when there is a body.
func (x *exchange) prepare() http1.Refusal {
	q, c := &x.req, x.s.c
	x.upgrade = x.wantsUpgrade()
	x.keep = q.KeepAlive
	x.out = q.AppendRequest(x.out[:0], http1.Forward{Host: x.set.Host, Drop: x.set.Drop, Upgrade: x.upgrade})
	x.out = x.up.AppendFields(x.out, &x.request)
	x.out = append(x.out, "\r\n"...)
	// The views into the buffer are about to be overwritten.
	m := len(x.request.Method)
	x.host = append(x.host[:0], x.request.Host...)
	x.rec.Host, x.rec.Method = x.host, x.out[:m]
	x.rec.Target = x.out[m+1 : m+1+bytes.IndexByte(x.out[m+1:], ' ')]
	x.idempotent = q.Idempotent()
	x.setDue()
	c.r += q.Size
	q.Body.Deny = x.set.Drop
	n, all, r := q.Body.Next(c.bytes())
	x.body = body{all: all, first: n, held: true, read: int64(n), saved: x.body.saved[:0], keeps: x.idempotent}
	return r
}

// setDue settles when the whole exchange must have ended.
func (x *exchange) setDue() {
	x.due = 0
	if d := cmp.Or(x.decision.Timeout, x.set.Total); d > 0 {
		x.due = x.rec.Start.UnixNano() + int64(d)
	}
}

// wantsUpgrade tells whether the request asks for an upgrade that is allowed. Another one is forwarded without.
func (x *exchange) wantsUpgrade() bool {
	p := x.req.Upgrade()
	x.protocol = append(x.protocol[:0], p...)
	if p == nil || x.req.Minor == 0 || x.req.Body.Kind != http1.None || string(x.request.Method) != "GET" {
		return false
	}
	if bytes.EqualFold(p, []byte("websocket")) {
		return true
	}
	for _, u := range x.set.Upgrade {
		if string(bytes.ToLower(p)) == u {
			return true
		}
	}
	return false
}

// end reports the exchange and forgets everything that belongs to it.
func (x *exchange) end() {
	if x.admits {
		x.up.Leave()
	}
	if o := x.e.cfg.Observer; o != nil && x.s.handed == nil && (x.rec.Status != 0 || x.rec.Reason != reason.OK) {
		if x.now.IsZero() {
			x.now = time.Now()
		}
		x.rec.Duration = x.now.Sub(x.rec.Start)
		x.rec.BytesIn = x.body.read
		o.Request(&x.rec)
	}
	clear(x.tried)
	x.tried = x.tried[:0]
	x.body = body{saved: x.body.saved[:0]}
	x.fields, x.grpc = nil, false
	x.join.reset()
	x.s, x.up, x.set, x.endpoint, x.conn = nil, nil, nil, nil, nil
	x.decision, x.request, x.rec, x.now = Decision{}, Request{}, Record{}, time.Time{}
	x.due, x.parsed, x.idempotent, x.upgrade, x.keep, x.admits, x.started, x.stale = 0, false, false, false, false, false, false, false
}
