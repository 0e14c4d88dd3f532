package http2

import "strconv"

// Code is why a stream or a connection ends (RFC 9113, 7).
type Code uint32

const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)

// String is the code's name in the RFC.
func (c Code) String() string {
	names := [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
		"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
		"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}
	if int(c) < len(names) {
		return names[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// Error is what a peer did wrong. Stream is 0 for one that ends the connection.
type Error struct {
	Stream uint32
	Code   Code
	Text   string
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

func connection(code Code, text string) *Error { return &Error{Code: code, Text: text} }

func stream(id uint32, code Code, text string) *Error {
	return &Error{Stream: id, Code: code, Text: text}
}
