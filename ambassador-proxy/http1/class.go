package http1

import "encoding/binary"

// Bits of class: what a byte may be part of.
const (
	tokenChar  = 1 << iota // of a token (RFC 9110 section 5.6.2)
	hostChar               // of a registered name (RFC 3986 section 3.2.2), without the comma that joins two Hosts
	targetChar             // of a request target: visible or above 0x7f, not '#'
	valueChar              // of a field value: tab, space, visible or above 0x7f (RFC 9110 section 5.5)
)

// class is indexed by a byte; one row is sixteen of them. A test compares it with the definitions above.
const class = "" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x08\x0f\x0c\x09\x0f\x0f\x0f\x0f\x0e\x0e\x0f\x0f\x0c\x0f\x0f\x0c" +
	"\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0c\x0e\x0c\x0e\x0c\x0c" +
	"\x0c\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f" +
	"\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0c\x0c\x0c\x0d\x0f" +
	"\x0d\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f" +
	"\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0c\x0d\x0c\x0f\x00" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c" +
	"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c"

// isValue reports whether b holds value characters only. It looks at eight bytes at a time.
func isValue(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ 0x7f*ones
		// The high bit of a byte that may be below 0x20 or equal to 0x7f; a false alarm (a tab, or a borrow from the
		// byte before) is settled byte by byte.
		if ((w-0x20*ones)&^w|(del-ones)&^del)&high != 0 && !isClass(b[:8], valueChar) {
			return false
		}
		b = b[8:]
	}
	return isClass(b, valueChar)
}

func isClass(b []byte, bit byte) bool {
	for _, c := range b {
		if class[c]&bit == 0 {
			return false
		}
	}
	return true
}

// is compares a token with a lower-case name without regard to case. Among token characters only letters of either case
// map onto a lower-case letter, a digit or '-' this way.
func is(token []byte, lower string) bool {
	if len(token) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if token[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// isLoose is is, taking '_' for '-': many servers fold the two (CGI), so a client could smuggle a name past a filter.
func isLoose(token []byte, lower string) bool {
	if len(token) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if c := token[i]; c|0x20 != lower[i] && (c != '_' || lower[i] != '-') {
			return false
		}
	}
	return true
}

// trim removes optional whitespace (RFC 9110 section 5.6.3) at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
