package layer7

import (
	"io"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/server"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

const (
	quietTime = 10 * time.Second // of a client with streams, after which it is asked whether it lives
	pongTime  = 5 * time.Second
)

// serveHTTP2 serves a client that speaks HTTP/2 with prior knowledge (RFC 9113, 3.3), until it ends.
func (s *session) serveHTTP2() { server.Serve(wire{s.c}, &s.e.http2) }

// http2Config is how an engine serves HTTP/2.
func (e *H1) http2Config() server.Config {
	return server.Config{Start: e.start, Malformed: e.malformed, Head: e.cfg.HeadTimeout, Idle: e.cfg.ClientIdle,
		Quiet: quietTime, Pong: pongTime}
}

// malformed counts a request that never got a stream.
func (e *H1) malformed(detail string) {
	if e.cfg.Observer != nil {
		now := time.Now()
		e.cfg.Observer.Request(&Record{Start: now, Reason: reason.ClientBadRequest, Detail: detail})
	}
}

// wire is a client's link as HTTP/2 reads and writes it.
type wire struct{ *link }

func (w wire) Bytes() []byte { return w.bytes() }
func (w wire) Skip(n int)    { w.skip(n) }
func (w wire) Close() error  { return w.nc.Close() }

func (w wire) SetWriteDeadline(t time.Time) error { return w.nc.SetWriteDeadline(t) }

func (w wire) More() error {
	if w.r == w.w {
		return w.fill()
	}
	ok, err := w.more()
	if err == nil && !ok {
		err = io.ErrShortBuffer // a frame fits always
	}
	return err
}

func (w wire) Write(p []byte) (int, error) {
	err := w.write(p)
	return w.sent, err
}

// worker handles one stream after another, on the stack that it has got for the first. To its session a stream is a connection
// with one request, in HTTP/1.1: what is sent to an HTTP/1.1 upstream was read by the same strict parser as all else.
type worker struct {
	session
	conn streamConn
}

const idleWorkers = 64 // that wait for a stream

// start has a stream handled by a worker that waits for one, or by a new one.
func (e *H1) start(st *server.Stream) {
	select {
	case e.tasks <- st:
	default:
		go e.work(st)
	}
}

func (e *H1) work(st *server.Stream) {
	w := &worker{}
	w.e = e
	w.c = newLink(&w.conn)
	w.c.pool, w.c.virtual = e.buffers, &w.conn
	if !e.janitor.add(w.c, &e.running) {
		st.Finish(false)
		return
	}
	defer e.running.Done()
	defer e.janitor.remove(w.c)
	for st != nil && w.handle(st) {
		st = w.next()
	}
}

// next waits for a stream; nil: the worker is not wanted any more.
func (w *worker) next() *server.Stream {
	defer w.e.idle.Add(-1)
	if w.e.idle.Add(1) > idleWorkers {
		return nil
	}
	select {
	case st := <-w.e.tasks:
		return st
	case <-w.e.ctx.Done():
		return nil
	}
}

// handle handles a stream; false when the worker must not handle another: the janitor may still interrupt it for this one.
func (w *worker) handle(st *server.Stream) bool {
	w.stream = st
	w.conn.begin(st)
	x := w.begin()
	reuse := x.serveStream()
	w.session.end(x, true)
	w.c.release()
	w.c.disarm()
	w.c.waiting.Store(0)
	reuse = reuse && !w.c.fired.Load()
	w.conn.end()
	w.stream = nil
	st.Finish(reuse)
	return !w.c.fired.Load()
}

// serveStream answers the request of a stream, and tells whether that is in nobody's hands afterwards.
func (x *exchange) serveStream() (free bool) {
	st := x.s.stream
	m := &st.Head
	x.fields = m.Fields
	x.request = Request{Method: bytesOf(m.Method), Host: bytesOf(m.Authority), Fields: &x.fields}
	x.request.Path, x.request.Query = splitPath(m.Path)
	x.rec.Method, x.rec.Host, x.rec.Target = x.request.Method, x.request.Host, bytesOf(m.Path)
	switch {
	case st.TooLarge:
		x.rec = Record{Start: x.rec.Start}
		x.answerStream(reason.ClientHeadTooLarge, "")
		return true
	case m.Method == "CONNECT":
		x.answerStream(reason.ClientNotImplemented, "CONNECT is for a forward proxy")
		return true
	}
	x.decision = x.e.cfg.Route.Match(&x.request)
	if x.decision.Extra && x.e.cfg.Streams != nil {
		x.e.requests.Add(-1) // it is counted there
		defer x.e.requests.Add(1)
		x.e.cfg.Streams(st)
		return false
	}
	x.up = x.decision.Upstream
	if x.up == nil {
		x.answerStream(reason.NoRoute, "")
		return true
	}
	x.limitByGRPC()
	if x.up.Settings().HTTP2 != "" {
		x.forwardJoined()
		return true
	}
	if r := x.translate(); r != http1.OK {
		x.answerStream(r.Reason(), r.String())
		return true
	}
	x.forward()
	return true
}

// limitByGRPC makes the deadline of a gRPC call the one of the exchange, if that is sooner.
func (x *exchange) limitByGRPC() {
	x.grpc = isGRPC(x.fields.Get("content-type"))
	if !x.grpc {
		return
	}
	limit := x.decision.Timeout
	if limit == 0 {
		limit = x.up.Settings().Total
	}
	if d, ok := grpcTimeout(string(x.fields.Get("grpc-timeout"))); ok && (limit == 0 || d < limit) {
		x.decision.Timeout = max(d, 1)
	}
}
