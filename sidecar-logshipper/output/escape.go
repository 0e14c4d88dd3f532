package output

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

const (
	ones = 0x0101010101010101 // one in each byte of a word
	tops = 0x8080808080808080 // the top bit of each byte
)

const hexDigits = "0123456789abcdef"

// escapeMask has the top bit set in each byte of w that a JSON string must escape (RFC 8259, 7): a control byte, '"' or '\'.
// The lowest bit is exact, which is the one that is used: a subtraction borrows from the next byte only where it found
// something itself. Exchanging bit 1 puts '"' below 0x21 and the space above, so that one subtraction finds control bytes
// and quotes. A newline is a control byte, so the end of a line and what must be escaped are found by the same test.
func escapeMask(w uint64) uint64 {
	controlOrQuote := (w ^ 0x02*ones) - 0x21*ones
	backslash := (w ^ '\\'*ones) - ones
	return tops & (controlOrQuote | backslash) &^ w
}

// mustEscape is escapeMask for one byte.
func mustEscape(c byte) bool { return c < 0x20 || c == '"' || c == '\\' }

// putByte writes c, or its escape, to d, which has room for 6 bytes, and returns the length.
func putByte(d []byte, c byte) int {
	if !mustEscape(c) {
		d[0] = c
		return 1
	}
	short := byte(0)
	switch c {
	case '"', '\\':
		short = c
	case '\n':
		short = 'n'
	case '\r':
		short = 'r'
	case '\t':
		short = 't'
	default:
		return copy(d, []byte{'\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15]})
	}
	d[0], d[1] = '\\', short
	return 2
}

// stride is how many bytes are looked at together.
const stride = 16

// escapeRun copies s to d, with a backslash in front of each quote and backslash, until there is a control byte, or s ends, or
// d is full. It returns how much of s it took and how much of d that became; d may be overwritten beyond that.
func escapeRun(d, s []byte) (from, to int) {
	for len(s)-from >= stride && len(d)-to >= stride+2 {
		in, out := (*[stride]byte)(s[from:]), (*[stride + 2]byte)(d[to:])
		low, high := binary.LittleEndian.Uint64(in[:8]), binary.LittleEndian.Uint64(in[8:])
		binary.LittleEndian.PutUint64(out[:8], low)
		binary.LittleEndian.PutUint64(out[8:], high)
		m, n := escapeMask(low), escapeMask(high)
		if m|n == 0 {
			from, to = from+stride, to+stride
			continue
		}
		k := bits.TrailingZeros64(m) >> 3
		if m == 0 {
			k += bits.TrailingZeros64(n) >> 3
		}
		k &= stride - 1
		c := in[k]
		if c < 0x20 {
			return from + k, to + k
		}
		out[k], out[k+1] = '\\', c
		from, to = from+k+1, to+k+2
	}
	for from < len(s) && to < len(d) && !mustEscape(s[from]) {
		d[to] = s[from]
		from, to = from+1, to+1
	}
	return from, to
}

// appendEscaped appends s as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendEscaped(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		s = bytes.ToValidUTF8(s, []byte(string(utf8.RuneError)))
	}
	for len(s) > 0 {
		dst = slices.Grow(dst, len(s)+2*stride)
		at := len(dst)
		from, n := escapeRun(dst[at:cap(dst)-len(`\u0000`)], s)
		if s = s[from:]; len(s) > 0 {
			n += putByte(dst[at+n:cap(dst)], s[0])
			s = s[1:]
		}
		dst = dst[:at+n]
	}
	return dst
}

// appendQuoted appends s as a JSON string.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), []byte(s)), '"')
}

// putHex writes v as 16 hexadecimal digits.
func putHex(d []byte, v uint64) {
	binary.BigEndian.PutUint64(d[:8], eightHex(uint32(v>>32)))
	binary.BigEndian.PutUint64(d[8:16], eightHex(uint32(v)))
}

// eightHex is v as eight hexadecimal digits, the first one in the highest byte: each half byte moves to a byte of its own,
// and the ones above 9 are lifted from behind '9' to 'a'.
func eightHex(v uint32) uint64 {
	w := uint64(v)
	w = (w | w<<16) & 0x0000ffff0000ffff
	w = (w | w<<8) & 0x00ff00ff00ff00ff
	w = (w | w<<4) & 0x0f0f0f0f0f0f0f0f
	letters := (w + 6*ones) >> 4 & ones
	return w + '0'*ones + letters*('a'-'9'-1)
}
