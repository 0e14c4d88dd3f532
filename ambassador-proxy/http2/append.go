package http2

import "encoding/binary"

// AppendHeader appends the nine bytes in front of a payload.
func AppendHeader(dst []byte, size int, t Type, f Flags, stream uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(t), byte(f),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// AppendData appends a DATA frame, which must not be larger than the peer allows.
func AppendData(dst []byte, stream uint32, p []byte, end bool) []byte {
	return append(AppendHeader(dst, len(p), Data, endIf(end), stream), p...)
}

func endIf(end bool) Flags {
	if end {
		return EndStream
	}
	return 0
}

// BeginHeaders makes room for what FinishHeaders writes. The header block is appended behind it.
func BeginHeaders(dst []byte) []byte { return AppendHeader(dst, 0, 0, 0, 0) }

// FinishHeaders makes a HEADERS of the header block that was appended to dst since BeginHeaders got dst[:at], and CONTINUATIONs
// of what a frame of at most most bytes does not hold.
func FinishHeaders(dst []byte, at int, stream uint32, end bool, most int) []byte {
	size := len(dst) - at - HeaderBytes
	if size <= most {
		AppendHeader(dst[:at], size, Headers, EndHeaders|endIf(end), stream)
		return dst
	}
	rest := append([]byte(nil), dst[at+HeaderBytes+most:]...)
	AppendHeader(dst[:at], most, Headers, endIf(end), stream)
	dst = dst[:at+HeaderBytes+most]
	for len(rest) > 0 {
		part, flags := rest[:min(most, len(rest))], Flags(0)
		if rest = rest[len(part):]; len(rest) == 0 {
			flags = EndHeaders
		}
		dst = append(AppendHeader(dst, len(part), Continuation, flags, stream), part...)
	}
	return dst
}

// AppendReset appends a RST_STREAM.
func AppendReset(dst []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(AppendHeader(dst, 4, RSTStream, 0, stream), uint32(code))
}

// AppendWindowUpdate appends a WINDOW_UPDATE, of the connection with stream 0.
func AppendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	return binary.BigEndian.AppendUint32(AppendHeader(dst, 4, WindowUpdate, 0, stream), increment)
}

// AppendPing appends a PING, or the acknowledgement of one.
func AppendPing(dst []byte, payload [8]byte, ack bool) []byte {
	f := Flags(0)
	if ack {
		f = Ack
	}
	return append(AppendHeader(dst, len(payload), Ping, f, 0), payload[:]...)
}

// AppendGoAway appends a GOAWAY.
func AppendGoAway(dst []byte, last uint32, code Code, debug string) []byte {
	dst = AppendHeader(dst, 8+len(debug), GoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return append(binary.BigEndian.AppendUint32(dst, uint32(code)), debug...)
}

// AppendSettings appends a SETTINGS.
func AppendSettings(dst []byte, list ...Setting) []byte {
	dst = AppendHeader(dst, 6*len(list), Settings, 0, 0)
	for _, s := range list {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck acknowledges the peer's settings.
func AppendSettingsAck(dst []byte) []byte { return AppendHeader(dst, 0, Settings, Ack, 0) }
