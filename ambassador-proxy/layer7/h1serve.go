package layer7

import "github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"

// wait waits for a request. Those that are complete when they come are answered before it returns.
func (s *session) wait() {
	c := s.c
	c.arm(s.e.janitor.in(s.e.cfg.ClientIdle))
	if c.raw == nil {
		s.over = c.fill() != nil
		return
	}
	c.release()
	if c.raw.Read(s.serveFn) != nil {
		s.over = true
	}
	c.within = 0
	c.waiting.Store(0)
}

// serve runs inside RawConn.Read: first, and again whenever the client has sent something or left. To answer in here saves
// the read that finds nothing: what happens meanwhile is kept by the poller, which forgets it when Read begins. Only one thing
// is not told of, that a client has ended its side right behind its request; the janitor looks for that.
func (s *session) serve(fd uintptr) bool {
	c := s.c
	c.waiting.Store(0)
	c.within = fd
	for c.rawRead(fd) {
		if c.rerr != 0 || c.got == 0 {
			c.release()
			s.over = true
			return true
		}
		c.r, c.w = room, room+c.got
		all := c.got < bufferBytes // of what there was
		if !s.quick() {
			return true
		}
		c.arm(s.e.janitor.in(s.e.cfg.ClientIdle))
		if all {
			c.waiting.Store(s.e.janitor.clock.Load())
			return false
		}
	}
	return false
}

// quick answers the requests in the buffer that need nothing more from the client; false when there is another, or when the
// connection must not go on.
func (s *session) quick() bool {
	for s.c.r < s.c.w {
		x := s.begin()
		if !x.whole() {
			s.begun = x
			return false
		}
		if s.c.disarm() != 0 {
			s.end(x, false)
			return false
		}
		if s.end(x, x.route()); s.over {
			return false
		}
	}
	return true
}

// whole tells whether the buffer holds the whole request, after which the client is silent until it has its answer.
func (x *exchange) whole() bool {
	b, q := x.s.c.bytes(), &x.req
	if isPreface(b) || q.Request(b, x.e.cfg.Forward) != http1.OK {
		q.Reset()
		return false
	}
	x.parsed = true
	return (q.Body.Kind == http1.None || q.Body.Kind == http1.Length && q.Body.Left() <= int64(len(b)-q.Size)) && q.Upgrade() == nil
}
