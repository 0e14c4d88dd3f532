// Package http2 is a codec of HTTP/2 (RFC 9113) for both sides of a proxy, sans-IO like http1: frames are parsed out of the
// bytes of a read and appended to the bytes of a write, header blocks become fields and are held against the rules of
// messages, windows and settings are kept. Package golang.org/x/net/http2/hpack does the compression.
//
// What breaks a rule is an *Error with the code to answer it with, of the connection or of one stream.
package http2

import "encoding/binary"

// Type of a frame.
type Type uint8

const (
	Data         Type = 0
	Headers      Type = 1
	Priority     Type = 2
	RSTStream    Type = 3
	Settings     Type = 4
	PushPromise  Type = 5
	Ping         Type = 6
	GoAway       Type = 7
	WindowUpdate Type = 8
	Continuation Type = 9

	// Nothing stands for a frame that asks for nothing: of an unknown type, or a part of a header block that goes on.
	Nothing Type = 0xff
)

// Flags of a frame.
type Flags uint8

const (
	EndStream    Flags = 0x01 // of DATA and HEADERS
	Ack          Flags = 0x01 // of SETTINGS and PING
	EndHeaders   Flags = 0x04
	Padded       Flags = 0x08
	HasPriority  Flags = 0x20
	HeaderBytes        = 9
	ClientPrefix       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // what a client sends first (RFC 9113, 3.4)

	MinFrameBytes   = 1 << 14 // the least and usual SETTINGS_MAX_FRAME_SIZE
	MaxFrameBytes   = 1<<24 - 1
	DefaultWindow   = 1<<16 - 1
	MaxWindow       = 1<<31 - 1
	MaxStream       = 1<<31 - 1
	MaxBlockBytes   = 64 << 10 // of a header block, as it comes
	maxContinuation = 64       // frames of a header block: many small ones cost more than they bring
)

// Frame is what a peer said. Payload is a view into the bytes that were parsed, or into the Parser: valid until the next call.
type Frame struct {
	Type    Type
	Flags   Flags
	Stream  uint32
	Payload []byte // DATA: less the padding. HEADERS: the whole header block. SETTINGS, PING: all. GOAWAY: its debug data
	Flow    int    // DATA: bytes of the windows that it took
	Value   uint32 // RST_STREAM, GOAWAY: the code. WINDOW_UPDATE: the increment
	Last    uint32 // GOAWAY: the last stream that the peer may have acted on
}

// EndsStream tells whether the peer has nothing more to say on the frame's stream.
func (f *Frame) EndsStream() bool {
	return f.Flags&EndStream != 0 && (f.Type == Data || f.Type == Headers)
}

// Acks tells whether a SETTINGS or PING acknowledges ours.
func (f *Frame) Acks() bool { return f.Flags&Ack != 0 }

// Parser takes the frames of one direction of a connection apart. Its zero value takes frames of the usual size.
type Parser struct {
	Max    int  // bytes of a frame's payload that we announced; 0: MinFrameBytes
	Server bool // the frames are a client's

	block  []byte // a header block that goes on
	parts  int
	within Frame // its HEADERS; Stream 0: none
	fault  *Error
}

// Next parses the frame at the start of b, which takes n bytes; 0 when it is not whole. An error of a stream comes with the
// frame all the same: a header block must be decoded whatever is wrong with its stream.
func (p *Parser) Next(b []byte) (f Frame, n int, err *Error) {
	if len(b) < HeaderBytes {
		return f, 0, nil
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	f = Frame{Type: Type(b[3]), Flags: Flags(b[4]), Stream: binary.BigEndian.Uint32(b[5:]) & MaxStream}
	most := p.Max
	if most == 0 {
		most = MinFrameBytes
	}
	if size > most {
		return f, 0, connection(FrameSizeError, "frame larger than announced")
	}
	if p.within.Stream != 0 && (f.Type != Continuation || f.Stream != p.within.Stream) {
		return f, 0, connection(ProtocolError, "header block interrupted")
	}
	if len(b) < HeaderBytes+size {
		return f, 0, nil
	}
	f.Payload = b[HeaderBytes : HeaderBytes+size]
	err = p.frame(&f)
	return f, HeaderBytes + size, err
}

// InBlock tells that a header block goes on.
func (p *Parser) InBlock() bool { return p.within.Stream != 0 }

func (p *Parser) frame(f *Frame) *Error {
	switch f.Type {
	case Data:
		return f.data()
	case Headers:
		return p.headers(f)
	case Continuation:
		return p.continuation(f)
	case Priority:
		return f.priority()
	case RSTStream:
		return f.reset()
	case Settings:
		return f.settings()
	case PushPromise:
		return connection(ProtocolError, "PUSH_PROMISE that was not allowed") // RFC 9113, 6.6 and 8.4
	case Ping:
		return f.ping()
	case GoAway:
		return f.goAway()
	case WindowUpdate:
		return f.windowUpdate()
	}
	f.Type = Nothing // RFC 9113, 4.1: ignored
	return nil
}

// unpad takes the padding off (RFC 9113, 6.1).
func (f *Frame) unpad() *Error {
	if f.Flags&Padded == 0 {
		return nil
	}
	if len(f.Payload) == 0 {
		return connection(FrameSizeError, "padding without its length")
	}
	pad := int(f.Payload[0])
	if f.Payload = f.Payload[1:]; pad > len(f.Payload) {
		return connection(ProtocolError, "more padding than payload")
	}
	f.Payload = f.Payload[:len(f.Payload)-pad]
	return nil
}

func (f *Frame) data() *Error {
	if f.Stream == 0 {
		return connection(ProtocolError, "DATA without a stream")
	}
	f.Flow = len(f.Payload)
	return f.unpad()
}

func (p *Parser) headers(f *Frame) *Error {
	if f.Stream == 0 {
		return connection(ProtocolError, "HEADERS without a stream")
	}
	if err := f.unpad(); err != nil {
		return err
	}
	var fault *Error
	if f.Flags&HasPriority != 0 {
		if len(f.Payload) < 5 {
			return connection(FrameSizeError, "HEADERS too short for a priority")
		}
		fault = f.dependency()
		f.Payload = f.Payload[5:]
	}
	if f.Flags&EndHeaders != 0 {
		return fault
	}
	p.within, p.fault, p.parts = *f, fault, 0
	p.block = append(p.block[:0], f.Payload...)
	f.Type = Nothing
	return nil
}

func (p *Parser) continuation(f *Frame) *Error {
	if p.within.Stream == 0 {
		return connection(ProtocolError, "CONTINUATION of nothing")
	}
	if p.parts++; p.parts > maxContinuation || len(p.block)+len(f.Payload) > MaxBlockBytes {
		return connection(EnhanceYourCalm, "header block too large")
	}
	p.block = append(p.block, f.Payload...)
	if f.Flags&EndHeaders == 0 {
		f.Type = Nothing
		return nil
	}
	*f = p.within
	f.Payload, f.Flags = p.block, f.Flags|EndHeaders
	p.within = Frame{}
	if cap(p.block) > MinFrameBytes {
		p.block = nil // rare: not kept for it
	}
	return p.fault
}

// dependency refuses a stream that depends on itself (RFC 7540, 5.3.1); RFC 9113 only knows of the fields.
func (f *Frame) dependency() *Error {
	if binary.BigEndian.Uint32(f.Payload)&MaxStream == f.Stream {
		return stream(f.Stream, ProtocolError, "stream depends on itself")
	}
	return nil
}

func (f *Frame) priority() *Error {
	switch {
	case f.Stream == 0:
		return connection(ProtocolError, "PRIORITY without a stream")
	case len(f.Payload) != 5:
		return stream(f.Stream, FrameSizeError, "bad length of a PRIORITY")
	}
	return f.dependency()
}

func (f *Frame) reset() *Error {
	switch {
	case f.Stream == 0:
		return connection(ProtocolError, "RST_STREAM without a stream")
	case len(f.Payload) != 4:
		return connection(FrameSizeError, "bad length of a RST_STREAM")
	}
	f.Value = binary.BigEndian.Uint32(f.Payload)
	return nil
}

func (f *Frame) settings() *Error {
	switch {
	case f.Stream != 0:
		return connection(ProtocolError, "SETTINGS of a stream")
	case f.Acks() && len(f.Payload) > 0, len(f.Payload)%6 != 0:
		return connection(FrameSizeError, "bad length of a SETTINGS")
	}
	return nil
}

func (f *Frame) ping() *Error {
	switch {
	case f.Stream != 0:
		return connection(ProtocolError, "PING of a stream")
	case len(f.Payload) != 8:
		return connection(FrameSizeError, "bad length of a PING")
	}
	return nil
}

func (f *Frame) goAway() *Error {
	switch {
	case f.Stream != 0:
		return connection(ProtocolError, "GOAWAY of a stream")
	case len(f.Payload) < 8:
		return connection(FrameSizeError, "bad length of a GOAWAY")
	}
	f.Last = binary.BigEndian.Uint32(f.Payload) & MaxStream
	f.Value = binary.BigEndian.Uint32(f.Payload[4:])
	f.Payload = f.Payload[8:]
	return nil
}

func (f *Frame) windowUpdate() *Error {
	if len(f.Payload) != 4 {
		return connection(FrameSizeError, "bad length of a WINDOW_UPDATE")
	}
	f.Value = binary.BigEndian.Uint32(f.Payload) & MaxWindow
	switch {
	case f.Value > 0:
		return nil
	case f.Stream == 0:
		return connection(ProtocolError, "WINDOW_UPDATE of nothing")
	}
	return stream(f.Stream, ProtocolError, "WINDOW_UPDATE of nothing")
}
