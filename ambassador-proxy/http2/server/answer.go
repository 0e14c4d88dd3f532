package server

import "github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"

// WriteHead sends the fields of a head or of trailers, encoded without a table.
func (s *Stream) WriteHead(block []byte, end bool) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.head(block, end)
	c.settle(end)
	return nil
}

func (s *Stream) head(block []byte, end bool) {
	c := s.c
	at := len(c.out)
	c.out = http2.BeginHeaders(c.out)
	if c.shrunk {
		c.out, c.shrunk = http2.AppendNoTable(c.out), false
	}
	c.out = http2.FinishHeaders(append(c.out, block...), at, s.id, end, c.allowed.Frame)
	s.sent(end)
}

// sent notes the end of the answer.
func (s *Stream) sent(end bool) {
	s.c.moved()
	if end {
		s.closed = true
	}
}

// settle has what was appended written. What ends an answer waits for Finish: the handler has nothing more to wait for.
func (c *Conn) settle(end bool) {
	switch {
	case len(c.out) >= outAlone:
		c.now()
	case !end:
		c.schedule()
	}
}

// Write sends a part of the body, the last with end; it waits for the client to take it.
func (s *Stream) Write(p []byte, end bool) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		k, err := s.append(p[n:], end)
		if n += k; err != nil {
			return n, err
		}
		if n == len(p) && (!end || s.closed) {
			c.settle(end)
			return n, nil
		}
		if s.cutWrite {
			return n, ErrCut
		}
		if s.window > 0 {
			c.blockStream(s)
		}
		c.now() // without the lock: what is waited for may have come, and the stream may have ended
		if s.err == nil && !s.cutWrite && (s.window <= 0 || s.isBlocked) {
			s.cond.Wait()
		}
	}
}

// WriteAll sends a head and the first bytes of a body.
func (s *Stream) WriteAll(block, p []byte, end bool) (n int, err error) {
	c := s.c
	c.mu.Lock()
	if s.err != nil {
		defer c.mu.Unlock()
		return 0, s.err
	}
	s.head(block, end && len(p) == 0)
	if s.closed || len(p) == 0 {
		c.settle(end)
		c.mu.Unlock()
		return 0, nil
	}
	n, err = s.append(p, end)
	if err == nil && n == len(p) && (!end || s.closed) {
		c.settle(end)
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	if err != nil {
		return n, err
	}
	more, err := s.Write(p[n:], end)
	return n + more, err
}

// WriteNow is Write without waiting: it tells how much was taken. An end counts when all was.
func (s *Stream) WriteNow(p []byte, end bool) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err = s.append(p, end)
	if n < len(p) && s.window > 0 {
		c.blockStream(s)
	}
	c.settle(end)
	return n, err
}

// append takes what the windows and the connection's buffer allow.
func (s *Stream) append(p []byte, end bool) (n int, err error) {
	c := s.c
	for {
		if s.err != nil {
			return n, s.err
		}
		rest := p[n:]
		room := max(0, min(int64(len(rest)), int64(s.window), int64(c.window), int64(c.allowed.Frame), int64(outMost-len(c.out))))
		if len(rest) > 0 && room == 0 || len(rest) == 0 && (!end || s.closed) {
			return n, nil
		}
		last := end && room == int64(len(rest))
		c.out = http2.AppendData(c.out, s.id, rest[:room], last)
		s.window -= http2.Window(room)
		c.window -= http2.Window(room)
		n += int(room)
		s.sent(last)
		if n == len(p) {
			return n, nil
		}
	}
}
