package client

import (
	"bytes"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// handle handles all whole frames that were read.
func (c *Conn) handle() error {
	now := time.Now()
	c.mu.Lock()
	c.handling, c.heard = true, now
	err := c.frames()
	c.handling = false
	c.mu.Unlock()
	for i, w := range c.woken {
		signal(w)
		c.woken[i] = nil
	}
	c.woken = c.woken[:0]
	return err
}

func (c *Conn) frames() error {
	for c.err == nil {
		f, n, err := c.parser.Next(c.buf[c.r:c.w])
		if !c.begun && (err != nil || n > 0) {
			if c.begun = err == nil && f.Type == http2.Settings && !f.Acks(); !c.begun {
				return c.stranger()
			}
		}
		if n == 0 && err == nil {
			break
		}
		c.r += n
		if err == nil || err.Stream != 0 && f.Type == http2.Headers {
			if fault := c.frame(&f); fault != nil {
				err = fault
			}
		}
		if err == nil {
			continue
		}
		if err.Stream == 0 {
			return err
		}
		if s := c.streams[err.Stream]; s != nil {
			c.malformed(s, err)
		}
	}
	if len(c.out) > outFlood {
		return &http2.Error{Code: http2.EnhanceYourCalm, Text: "the upstream asks and does not listen"}
	}
	return c.err
}

// stranger says who it may be that does not begin as a server of HTTP/2 does (RFC 9113, 3.4).
func (c *Conn) stranger() error {
	why := "the upstream does not begin with SETTINGS"
	if bytes.HasPrefix(c.buf[c.r:c.w], []byte("HTTP/1")) {
		why = "the upstream speaks HTTP/1.1"
	}
	return &http2.Error{Code: http2.ProtocolError, Text: why}
}

func (c *Conn) frame(f *http2.Frame) *http2.Error {
	switch f.Type {
	case http2.Data:
		return c.data(f)
	case http2.Headers:
		return c.headers(f)
	case http2.RSTStream:
		return c.reset(f)
	case http2.WindowUpdate:
		return c.windowUpdate(f)
	case http2.Settings:
		return c.settings(f)
	case http2.GoAway:
		c.leave(f)
	case http2.Ping:
		if !f.Acks() {
			c.out = http2.AppendPing(c.out, [8]byte(f.Payload), true)
			c.flushSoon()
		}
	}
	return nil
}

// stream is the open stream of a frame; nil with no error: one that has ended here (RFC 9113, 5.1).
func (c *Conn) stream(f *http2.Frame) (*Stream, *http2.Error) {
	if s := c.streams[f.Stream]; s != nil {
		return s, nil
	}
	if f.Stream%2 == 0 || f.Stream >= c.next {
		return nil, &http2.Error{Code: http2.ProtocolError, Text: "frame of a stream that was not opened"}
	}
	return nil, nil
}

func (c *Conn) data(f *http2.Frame) *http2.Error {
	s, err := c.stream(f)
	if err != nil {
		return err
	}
	if !c.incoming.Take(f.Flow) {
		return &http2.Error{Code: http2.FlowControlError, Text: "more than the window of the connection"}
	}
	if s == nil {
		c.giveBack(f.Flow)
		return nil
	}
	if !s.incoming.Take(f.Flow) {
		c.giveBack(f.Flow)
		return s.wrong(http2.FlowControlError, "more than the window of the stream")
	}
	if err := s.data(f.Payload); err != nil {
		c.giveBack(f.Flow)
		return err
	}
	c.unread += len(f.Payload)
	c.giveBack(f.Flow - len(f.Payload))
	if f.EndsStream() {
		err = s.end()
	} else {
		s.giveBack(f.Flow - len(f.Payload))
	}
	s.signalEvent()
	return err
}

// end notes the end of an answer.
func (s *Stream) end() *http2.Error {
	if s.length > 0 {
		return s.wrong(http2.ProtocolError, "body shorter than its content-length")
	}
	if s.ended = true; s.sent {
		s.conn.forget(s)
	}
	return nil
}

// malformed ends a stream whose answer cannot be passed on (RFC 9113, 8.1.1).
func (c *Conn) malformed(s *Stream, why *http2.Error) {
	s.failed(malformed(why))
	c.sendReset(s, why.Code)
}

func (c *Conn) sendReset(s *Stream, code http2.Code) {
	s.sent = true
	c.out = http2.AppendReset(c.out, s.id, code)
	c.flushSoon()
	c.forget(s)
}

func (c *Conn) reset(f *http2.Frame) *http2.Error {
	s, err := c.stream(f)
	if s == nil {
		return err
	}
	s.sent = true // what is still to come of a body is not wanted
	s.failed(resetBy(http2.Code(f.Value)))
	s.signalRoom()
	c.forget(s)
	return nil
}

func (c *Conn) windowUpdate(f *http2.Frame) *http2.Error {
	if f.Stream == 0 {
		if !c.window.Add(int64(f.Value)) {
			return &http2.Error{Code: http2.FlowControlError, Text: "window too large"}
		}
		c.unblock()
		return nil
	}
	s, err := c.stream(f)
	if s == nil {
		return err
	}
	if !s.window.Add(int64(f.Value)) {
		return s.wrong(http2.FlowControlError, "window too large")
	}
	s.signalRoom()
	return nil
}

func (c *Conn) settings(f *http2.Frame) *http2.Error {
	if f.Acks() {
		return nil
	}
	before := c.allowed
	select {
	case <-c.settled:
	default:
		c.allowed.Streams = mostStreams // unless it says something else
	}
	if err := c.allowed.Apply(f.Payload); err != nil {
		return err
	}
	if table := c.allowed.HeaderTable; table != before.HeaderTable {
		c.encoder.SetMaxDynamicTableSize(table) // at most the encoder's 4096
	}
	if more := c.allowed.Window - before.Window; more != 0 {
		for _, s := range c.streams { // RFC 9113, 6.9.2
			if !s.window.Add(more) {
				return &http2.Error{Code: http2.FlowControlError, Text: "window too large"}
			}
			s.signalRoom()
		}
	}
	c.out = http2.AppendSettingsAck(c.out)
	c.flushSoon()
	c.settle()
	return nil
}

// leave follows a GOAWAY: what the upstream does not promise to answer may be asked elsewhere, the rest finishes.
func (c *Conn) leave(f *http2.Frame) {
	c.goAway = goneAway(http2.Code(f.Value), f.Payload)
	for id, s := range c.streams {
		if id > f.Last {
			s.failed(unprocessed(c.goAway))
			delete(c.streams, id)
		}
	}
	c.retire()
}
