package client

import (
	"slices"
	"sync"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

var streams = sync.Pool{New: func() any { return &Stream{} }}

// Stream is one request and its answer. One goroutine at a time calls Next, and one Write and Trailers; Cancel is for all.
// Release ends its use.
type Stream struct {
	conn        *Conn
	id          uint32
	at          int64 // of the first byte of its head in all that the connection writes
	event, room chan struct{}

	// The request.
	window  http2.Window
	sent    bool // END_STREAM, or nobody wants more of it
	blocked bool // it is in the connection's list of those

	// The answer.
	incoming http2.Inflow
	bodiless bool
	headed   bool
	told     bool // Next has given head away
	ended    bool // END_STREAM has come
	dropped  bool // what is unread is lost
	length   int64
	interims int
	interim  [][]hpack.HeaderField
	head     []hpack.HeaderField
	trailers []hpack.HeaderField
	body     chunks
	unread   int // bytes of body
	err      *Error
}

// Event is what has come of an answer, in this order. All of it is valid until the next call.
type Event struct {
	Interim  []hpack.HeaderField // an interim answer; then there is nothing else
	Head     []hpack.HeaderField // the head, once
	Data     []byte              // a piece of the body
	End      bool                // nothing comes any more
	Trailers []hpack.HeaderField // at the End
	Err      error               // an *Error: the answer has been cut here
}

// Next is what has come, and taken how many bytes of the Data of the last Event are not needed any more: the upstream may
// send as many more.
func (s *Stream) Next(taken int) (e Event) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.take(taken)
	if len(s.interim) > 0 {
		e.Interim = s.interim[0]
		s.interim = s.interim[1:]
		return e
	}
	if s.headed && !s.told {
		s.told = true
		e.Head = s.head
	}
	if s.dropped {
		e.Err = &errCanceled
		return e
	}
	e.Data = s.body.first()
	switch {
	case len(e.Data) < s.unread:
	case s.ended:
		e.End, e.Trailers = true, s.trailers
	case s.err != nil:
		e.Err = s.err
	}
	return e
}

// take gives n bytes back to the upstream.
func (s *Stream) take(n int) {
	if n == 0 || s.dropped {
		return
	}
	s.body.skip(n)
	s.unread -= n
	s.conn.unread -= n
	s.conn.giveBack(n)
	s.giveBack(n)
}

// Write sends what the windows allow of a body, and its end behind it when all of p was taken. When it was not, Room is
// signalled as soon as there may be more. What nobody wants any more is taken and forgotten.
func (s *Stream) Write(p []byte, end bool) (n int) {
	if n, wanted := s.offer(p, end); wanted {
		return n
	}
	return len(p)
}

func (s *Stream) offer(p []byte, end bool) (n int, wanted bool) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sent || s.err != nil || c.streams[s.id] != s {
		return 0, false
	}
	for {
		piece, last := p[n:], true
		if room := max(0, min(int(s.window), int(c.window), c.frameBytes(), outBytes-len(c.out))); len(piece) > room {
			piece, last = piece[:room], false
		}
		if len(piece) == 0 && !(last && end) {
			if !last && s.window > 0 && !s.blocked {
				s.blocked = true
				c.blocked = append(c.blocked, s)
			}
			return n, true
		}
		c.out = http2.AppendData(c.out, s.id, piece, last && end)
		s.window -= http2.Window(len(piece))
		c.window -= http2.Window(len(piece))
		n += len(piece)
		c.flushSoon()
		if last {
			if end {
				s.finished()
			}
			return n, true
		}
	}
}

// Trailers sends the end of a body with fields.
func (s *Stream) Trailers(fields []hpack.HeaderField) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sent || s.err != nil || c.streams[s.id] != s {
		return
	}
	c.writeHead(s.id, fields, true)
	s.finished()
}

func (s *Stream) finished() {
	s.sent = true
	if s.ended {
		s.conn.forget(s)
	}
}

// Cancel ends the stream on both sides unless it has ended; what has come and was not taken is lost.
func (s *Stream) Cancel(code http2.Code) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.cancel(code)
}

func (s *Stream) cancel(code http2.Code) {
	c := s.conn
	if c.streams[s.id] == s {
		c.sendReset(s, code)
	}
	if s.dropped {
		return
	}
	s.failed(&errCanceled)
	s.dropped = true // the bytes are still there: somebody may look at them
	c.unread -= s.unread
	c.giveBack(s.unread)
	s.signalEvent()
	s.signalRoom()
}

// Release gives up what is left of the stream. Nobody touches it afterwards.
func (s *Stream) Release() {
	c := s.conn
	c.mu.Lock()
	s.event, s.room = nil, nil
	code := http2.Cancel
	if s.ended { // what is left is the body of the request, which is not wanted (RFC 9113, 8.1)
		code = http2.NoError
	}
	s.cancel(code)
	if s.blocked {
		c.blocked = slices.DeleteFunc(c.blocked, func(b *Stream) bool { return b == s })
	}
	c.mu.Unlock()
	s.body.reset()
	clear(s.head)
	clear(s.trailers)
	*s = Stream{head: s.head[:0], trailers: s.trailers[:0], body: s.body}
	streams.Put(s)
}

// data takes a piece of the body.
func (s *Stream) data(p []byte) *http2.Error {
	switch {
	case s.ended:
		return s.wrong(http2.StreamClosed, "DATA after the end")
	case !s.headed:
		return s.wrong(http2.ProtocolError, "DATA before the head")
	case s.bodiless && len(p) > 0:
		return s.wrong(http2.ProtocolError, "DATA of an answer that has no body")
	case s.length >= 0 && int64(len(p)) > s.length:
		return s.wrong(http2.ProtocolError, "body longer than its content-length")
	}
	if s.length > 0 {
		s.length -= int64(len(p))
	}
	s.body.add(p)
	s.unread += len(p)
	s.conn.asks = 0
	return nil
}

func (s *Stream) wrong(code http2.Code, text string) *http2.Error {
	return &http2.Error{Stream: s.id, Code: code, Text: text}
}

// failed ends an answer before its end. The caller holds mu.
func (s *Stream) failed(e *Error) {
	if s.err != nil || s.ended {
		return
	}
	if s.headed && e.Safe {
		e = &Error{Reason: e.Reason, Err: e.Err}
	}
	s.err = e
	s.signalEvent()
	s.signalRoom()
}

func (s *Stream) signalEvent() { s.conn.signal(s.event) }
func (s *Stream) signalRoom()  { s.conn.signal(s.room) }

// signal is called with mu held; the reader signals when it has given that back.
func (c *Conn) signal(w chan struct{}) {
	switch {
	case w == nil:
	case c.handling:
		c.woken = append(c.woken, w)
	default:
		signal(w)
	}
}

func signal(w chan struct{}) {
	select {
	case w <- struct{}{}:
	default:
	}
}
