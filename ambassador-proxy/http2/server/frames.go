package server

import (
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

func streamError(id uint32, code http2.Code, text string) *http2.Error {
	return &http2.Error{Stream: id, Code: code, Text: text}
}

func connError(code http2.Code, text string) *http2.Error {
	return &http2.Error{Code: code, Text: text}
}

// frame acts on a frame; fault is what is wrong with it as far as its stream is concerned.
func (c *Conn) frame(f *http2.Frame, fault *http2.Error) *http2.Error {
	if !c.told {
		if f.Type != http2.Settings || f.Acks() {
			return connError(http2.ProtocolError, "no SETTINGS first") // RFC 9113, 3.4
		}
		c.told = true
	}
	if f.Type == http2.Headers {
		return c.headers(f, fault)
	}
	if fault != nil {
		return c.onIdle(f, fault)
	}
	switch f.Type {
	case http2.Data:
		return c.data(f)
	case http2.RSTStream:
		return c.resetBy(f)
	case http2.Settings:
		return c.settings(f)
	case http2.Ping:
		return c.ping(f)
	case http2.WindowUpdate:
		return c.windowUpdate(f)
	}
	return c.useless() // PRIORITY, GOAWAY and what is not known
}

// onIdle makes the fault of a stream that was never opened one of the connection: it cannot be reset (RFC 9113, 5.1).
func (c *Conn) onIdle(f *http2.Frame, fault *http2.Error) *http2.Error {
	if f.Stream > c.last && f.Type != http2.Priority {
		return connError(http2.ProtocolError, "frame of an idle stream")
	}
	return fault
}

// headers opens a stream, or ends its body with trailers.
func (c *Conn) headers(f *http2.Frame, fault *http2.Error) *http2.Error {
	s := c.streams[f.Stream]
	fresh := s == nil && f.Stream > c.last && f.Stream%2 == 1
	if fresh {
		s = newStream()
	}
	into := []field(nil)
	if s != nil && fresh {
		into = s.fields[:0]
	}
	fields, large, err := c.decoder.Decode(into, f.Payload, maxFields)
	switch {
	case err != nil:
		return err
	case f.Stream%2 == 0:
		return connError(http2.ProtocolError, "stream of the server")
	case s == nil:
		return c.onClosed(f)
	case fresh:
		return c.open(s, f, fields, large, fault)
	case fault != nil:
		return fault
	case s.ended:
		return streamError(f.Stream, http2.StreamClosed, "HEADERS after the end")
	case !f.EndsStream():
		return streamError(f.Stream, http2.ProtocolError, "trailers without an end")
	}
	detail := http2.Trailers(fields)
	if large {
		detail = "too many trailers"
	}
	if detail != "" {
		return streamError(f.Stream, http2.ProtocolError, detail)
	}
	s.trailers = fields
	return s.endBody()
}

// open starts a stream with a request.
func (c *Conn) open(s *Stream, f *http2.Frame, fields []field, large bool, fault *http2.Error) *http2.Error {
	c.last = f.Stream
	s.init(c, f.Stream, fields)
	detail := ""
	s.Head, detail = http2.Request(fields)
	s.TooLarge = large
	switch {
	case fault != nil:
		return fault
	case len(c.streams) >= maxStreams:
		return streamError(f.Stream, http2.RefusedStream, "more streams than allowed")
	case detail != "" && !large:
		if c.cfg.Malformed != nil {
			c.cfg.Malformed(detail)
		}
		return streamError(f.Stream, http2.ProtocolError, detail)
	}
	if f.EndsStream() {
		s.NoBody = true
		if err := s.endBody(); err != nil {
			return err
		}
	}
	c.streams[f.Stream] = s
	c.quiet = time.Time{}
	c.watch()
	if c.running < maxStreams {
		c.running++
		c.cfg.Start(s)
		return nil
	}
	if len(c.waiting) >= maxWaiting {
		return connError(http2.EnhanceYourCalm, "streams opened and reset too fast") // CVE-2023-44487
	}
	c.waiting = append(c.waiting, s)
	return nil
}

// onClosed answers DATA or HEADERS of a stream that has ended.
func (c *Conn) onClosed(f *http2.Frame) *http2.Error {
	for i := range c.recent {
		switch r := &c.recent[i]; {
		case r.id != f.Stream:
		case r.reset:
			return c.useless()
		case f.Type == http2.Headers:
			return connError(http2.StreamClosed, "HEADERS of a closed stream")
		default:
			return streamError(f.Stream, http2.StreamClosed, "DATA of a closed stream")
		}
	}
	if f.Type == http2.Headers {
		return connError(http2.ProtocolError, "stream lower than another") // RFC 9113, 5.1.1
	}
	return streamError(f.Stream, http2.StreamClosed, "DATA of a closed stream")
}

func (c *Conn) data(f *http2.Frame) *http2.Error {
	if !c.inflow.Take(f.Flow) {
		return connError(http2.FlowControlError, "more DATA than the connection's window")
	}
	if f.Stream > c.last || f.Stream%2 == 0 {
		return connError(http2.ProtocolError, "DATA of an idle stream")
	}
	s := c.streams[f.Stream]
	if s == nil {
		c.giveConn(f.Flow)
		return c.onClosed(f)
	}
	if s.ended {
		c.giveConn(f.Flow)
		return streamError(f.Stream, http2.StreamClosed, "DATA after the end")
	}
	if !s.inflow.Take(f.Flow) {
		c.giveConn(f.Flow)
		return streamError(f.Stream, http2.FlowControlError, "more DATA than the stream's window")
	}
	if err := s.received(f.Payload); err != nil {
		c.giveConn(f.Flow)
		return err
	}
	if pad := f.Flow - len(f.Payload); pad > 0 {
		c.giveConn(pad)
		s.give(pad)
	}
	if f.EndsStream() {
		return s.endBody()
	}
	if len(f.Payload) == 0 {
		return c.useless()
	}
	c.moved()
	return nil
}

func (c *Conn) resetBy(f *http2.Frame) *http2.Error {
	if f.Stream > c.last || f.Stream%2 == 0 {
		return connError(http2.ProtocolError, "RST_STREAM of an idle stream")
	}
	if s := c.streams[f.Stream]; s != nil {
		c.remove(s, false)
		s.abort(&http2.Error{Stream: f.Stream, Code: http2.Code(f.Value), Text: "reset by the client"})
	}
	return c.useless()
}

func (c *Conn) settings(f *http2.Frame) *http2.Error {
	if f.Acks() {
		return c.useless()
	}
	before := c.allowed
	if err := c.allowed.Apply(f.Payload); err != nil {
		return err
	}
	c.shrunk = c.shrunk || c.allowed.HeaderTable < before.HeaderTable
	if moves := c.allowed.Window - before.Window; moves != 0 {
		for _, s := range c.streams {
			if !s.window.Add(moves) {
				return connError(http2.FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE overflows a window")
			}
			s.signal()
		}
	}
	c.out = http2.AppendSettingsAck(c.out)
	c.schedule()
	return c.useless()
}

func (c *Conn) ping(f *http2.Frame) *http2.Error {
	if !f.Acks() {
		c.out = http2.AppendPing(c.out, [8]byte(f.Payload), true)
		c.schedule()
	}
	return c.useless()
}

func (c *Conn) windowUpdate(f *http2.Frame) *http2.Error {
	if f.Stream == 0 {
		if !c.window.Add(int64(f.Value)) {
			return connError(http2.FlowControlError, "window of the connection overflows")
		}
		c.unblock()
		return nil
	}
	if f.Stream > c.last || f.Stream%2 == 0 {
		return connError(http2.ProtocolError, "WINDOW_UPDATE of an idle stream")
	}
	s := c.streams[f.Stream]
	if s == nil {
		return c.useless()
	}
	if !s.window.Add(int64(f.Value)) {
		return streamError(f.Stream, http2.FlowControlError, "window of the stream overflows")
	}
	s.signal()
	return nil
}
