package server

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

type field = hpack.HeaderField

// Stream is a request with its answer. One goroutine reads it and one writes.
type Stream struct {
	Head     http2.Message
	NoBody   bool // the request ends with its head
	TooLarge bool // the head is not whole: it is larger than allowed

	c      *Conn
	id     uint32
	fields []field
	cond   sync.Cond
	wake   chan struct{} // nil: nobody wants to know

	// The request's body.
	in       []byte // in[off:] is not read yet
	off      int
	got      int64 // bytes of it that have come
	ended    bool  // all of it has come
	trailers []field
	inflow   http2.Inflow

	// The answer.
	window    http2.Window
	isBlocked bool // it is in c.blocked
	closed    bool // END_STREAM was sent

	err      error // why the stream has ended before
	onAbort  func()
	cutRead  bool // reads are not to wait
	cutWrite bool
}

var (
	// ErrCut is what a read or a write ends with that was interrupted.
	ErrCut = errors.New("interrupted")

	streams = sync.Pool{New: func() any { return &Stream{} }}
)

func newStream() *Stream { return streams.Get().(*Stream) }

const keptBytes = 16 << 10 // of a stream's buffer, for another

func (s *Stream) init(c *Conn, id uint32, fields []field) {
	in := s.in[:0]
	if cap(in) > keptBytes {
		in = nil
	}
	*s = Stream{c: c, id: id, fields: fields, in: in, inflow: http2.NewInflow(streamWindow), window: http2.Window(c.allowed.Window)}
	s.cond.L = &c.mu
}

// signal wakes who waits for something of the stream. The caller holds the connection.
func (s *Stream) signal() {
	s.cond.Broadcast()
	if s.wake != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// abort ends a stream that is not in the connection's list any more.
func (s *Stream) abort(err error) {
	if s.err == nil {
		s.err = err
	}
	s.c.giveConn(len(s.in) - s.off)
	s.in, s.off = s.in[:0], 0
	if s.onAbort != nil {
		s.onAbort()
	}
	s.signal()
}

// received takes a part of the request's body.
func (s *Stream) received(p []byte) *http2.Error {
	s.got += int64(len(p))
	if s.Head.Length >= 0 && s.got > s.Head.Length {
		return streamError(s.id, http2.ProtocolError, "more DATA than content-length")
	}
	if s.off > 0 && len(s.in)+len(p) > cap(s.in) {
		s.in, s.off = s.in[:copy(s.in, s.in[s.off:])], 0
	}
	s.in = append(s.in, p...)
	if len(p) > 0 {
		s.signal()
	}
	return nil
}

// endBody notes that the request is whole.
func (s *Stream) endBody() *http2.Error {
	if s.Head.Length >= 0 && s.got != s.Head.Length {
		return streamError(s.id, http2.ProtocolError, "less DATA than content-length")
	}
	s.ended = true
	s.signal()
	return nil
}

// give opens the stream's window again by n bytes that were handled.
func (s *Stream) give(n int) {
	if more := s.inflow.Give(n); more > 0 && !s.ended && s.err == nil {
		s.c.out = http2.AppendWindowUpdate(s.c.out, s.id, more)
		s.c.schedule()
	}
}

// Read reads the request's body.
func (s *Stream) Read(p []byte) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return 0, s.err
		case s.cutRead:
			return 0, ErrCut
		case s.off < len(s.in):
			return s.take(p), nil
		case s.ended:
			return 0, io.EOF
		}
		s.cond.Wait()
	}
}

func (s *Stream) take(p []byte) int {
	n := copy(p, s.in[s.off:])
	if s.off += n; s.off == len(s.in) {
		s.in, s.off = s.in[:0], 0
	}
	s.c.giveConn(n)
	s.give(n)
	return n
}

// ReadNow is Read without waiting: 0 and no error when there is nothing. end tells that nothing follows.
func (s *Stream) ReadNow(p []byte) (n int, end bool, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.err != nil {
		return 0, false, s.err
	}
	if s.off < len(s.in) {
		n = s.take(p)
	}
	return n, s.ended && s.off == len(s.in), nil
}

// Trailers of the request, once it has been read to its end.
func (s *Stream) Trailers() []hpack.HeaderField {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers
}

// Notify has wake signalled, without waiting, when there is more to read, or room to write, or when the stream has ended; nil
// ends it.
func (s *Stream) Notify(wake chan struct{}) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.wake = wake
}

// Err is why the stream has ended before its time, nil while it has not.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// OnAbort has f called, with the connection locked, when the stream ends before its time.
func (s *Stream) OnAbort(f func()) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.onAbort = f
	if s.err != nil {
		f()
	}
}

// CutRead and CutWrite interrupt who reads or writes, and further reads and writes, until they are taken back.
func (s *Stream) CutRead(cut bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.cutRead = cut
	s.signal()
}

// CutWrite is CutRead for writes.
func (s *Stream) CutWrite(cut bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.cutWrite = cut
	s.signal()
}

// Reset ends the stream with a code, unless it has ended.
func (s *Stream) Reset(code http2.Code) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err == nil && !(s.closed && s.ended) {
		c.reset(s.id, code, &http2.Error{Stream: s.id, Code: code, Text: "reset"})
	}
}

// Finish ends the handling: what has not ended is reset. With reuse nobody touches the stream afterwards.
func (s *Stream) Finish(reuse bool) {
	c := s.c
	c.mu.Lock()
	if s.err == nil {
		switch {
		case s.closed && s.ended:
			c.remove(s, false)
		case s.closed: // the client need not send the rest (RFC 9113, 8.1)
			c.reset(s.id, http2.NoError, io.ErrClosedPipe)
		default:
			c.reset(s.id, http2.InternalError, io.ErrClosedPipe)
		}
	}
	if s.off < len(s.in) {
		c.giveConn(len(s.in) - s.off)
		s.in, s.off = s.in[:0], 0
	}
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	if s.isBlocked {
		c.unblock()
	}
	c.running--
	c.startWaiting()
	switch {
	case len(c.out) == 0:
	case c.running == 0: // nobody else has something to say
		c.now()
	default:
		c.schedule()
	}
	c.mu.Unlock()
	if reuse {
		streams.Put(s)
	}
}

// startWaiting starts the next request that waits for a handler, if its client has not given it up.
func (c *Conn) startWaiting() {
	for len(c.waiting) > 0 && c.running < maxStreams {
		s := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		if s.err == nil {
			c.running++
			c.cfg.Start(s)
		}
	}
}
