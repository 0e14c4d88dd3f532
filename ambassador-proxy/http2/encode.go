package http2

// The functions of this file encode fields without a table of their own and without Huffman's code (RFC 7541, 6.1 and 6.2.2):
// nothing is to be kept in step, and what is saved on the wire would cost more than it does on a host.

// AppendStatus appends :status.
func AppendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0x88)
	case 204:
		return append(dst, 0x89)
	case 206:
		return append(dst, 0x8a)
	case 304:
		return append(dst, 0x8b)
	case 400:
		return append(dst, 0x8c)
	case 404:
		return append(dst, 0x8d)
	case 500:
		return append(dst, 0x8e)
	}
	return append(dst, 0x08, 3, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10))
}

// AppendNoTable tells at the start of a header block that the encoder has no table. The first block after the peer has made the
// table smaller must say how large it is now (RFC 7541, 4.2).
func AppendNoTable(dst []byte) []byte { return append(dst, 0x20) }

// AppendField appends a field. A name in upper case is made lower.
func AppendField[T, V ~string | ~[]byte](dst []byte, name T, value V) []byte {
	if i := staticIndex(name); i > 0 {
		dst = appendInteger(dst, 0, 4, i)
	} else {
		dst = appendInteger(append(dst, 0), 0, 7, len(name))
		for i := range len(name) {
			c := name[i]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			dst = append(dst, c)
		}
	}
	return append(appendInteger(dst, 0, 7, len(value)), value...)
}

// AppendSensitive is AppendField for a field that nobody on the way may put into a table (RFC 7541, 6.2.3).
func AppendSensitive[T, V ~string | ~[]byte](dst []byte, name T, value V) []byte {
	at := len(dst)
	dst = AppendField(dst, name, value)
	dst[at] |= 0x10
	return dst
}

// appendInteger appends n in a prefix of so many bits (RFC 7541, 5.1).
func appendInteger(dst []byte, first byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// longestStatic is the length of the longest name in the static table.
const longestStatic = len("access-control-allow-origin")

// staticIndex is where a name stands in the static table (RFC 7541, appendix A); 0 when it does not.
func staticIndex[T ~string | ~[]byte](name T) int {
	if len(name) > longestStatic {
		return 0
	}
	var lower [longestStatic]byte
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch string(lower[:len(name)]) {
	case ":authority":
		return 1
	case ":method":
		return 2
	case ":path":
		return 4
	case ":scheme":
		return 6
	case ":status":
		return 8
	case "accept-charset":
		return 15
	case "accept-encoding":
		return 16
	case "accept-language":
		return 17
	case "accept-ranges":
		return 18
	case "accept":
		return 19
	case "access-control-allow-origin":
		return 20
	case "age":
		return 21
	case "allow":
		return 22
	case "authorization":
		return 23
	case "cache-control":
		return 24
	case "content-disposition":
		return 25
	case "content-encoding":
		return 26
	case "content-language":
		return 27
	case "content-length":
		return 28
	case "content-location":
		return 29
	case "content-range":
		return 30
	case "content-type":
		return 31
	case "cookie":
		return 32
	case "date":
		return 33
	case "etag":
		return 34
	case "expect":
		return 35
	case "expires":
		return 36
	case "from":
		return 37
	case "host":
		return 38
	case "if-match":
		return 39
	case "if-modified-since":
		return 40
	case "if-none-match":
		return 41
	case "if-range":
		return 42
	case "if-unmodified-since":
		return 43
	case "last-modified":
		return 44
	case "link":
		return 45
	case "location":
		return 46
	case "max-forwards":
		return 47
	case "proxy-authenticate":
		return 48
	case "proxy-authorization":
		return 49
	case "range":
		return 50
	case "referer":
		return 51
	case "refresh":
		return 52
	case "retry-after":
		return 53
	case "server":
		return 54
	case "set-cookie":
		return 55
	case "strict-transport-security":
		return 56
	case "transfer-encoding":
		return 57
	case "user-agent":
		return 58
	case "vary":
		return 59
	case "via":
		return 60
	case "www-authenticate":
		return 61
	}
	return 0
}
