package http1

import (
	"bytes"
	"time"
)

// classify finds out what a field means to a proxy and checks those that frame the message. Most names are settled by
// their length alone.
func (h *Head) classify(f *field, name, value []byte, request bool) Refusal {
	switch len(name) {
	case 2:
		if is(name, "te") {
			f.kind = hop
			if request && is(value, "trailers") {
				f.kind, h.te = trailers, true
			}
		}
	case 4:
		if is(name, "host") {
			return h.hostField(f, value, request)
		}
	case 6:
		if request && is(name, "expect") {
			if !is(value, "100-continue") {
				return BadExpectation
			}
			h.Expect = h.Minor == 1
		}
	case 7:
		if is(name, "upgrade") {
			f.kind = hop
			switch h.upgrade {
			case -1:
				f.kind, h.upgrade = upgrade, int32(len(h.fields))
			case -2:
			default: // a second one: none is understood
				h.fields[h.upgrade].kind, h.upgrade = hop, -2
			}
		}
	case 10:
		if is(name, "connection") {
			f.kind = hop
			return h.connection(f.value)
		}
		if is(name, "keep-alive") {
			f.kind = hop
			h.Timeout = timeout(value)
		}
	case 14:
		if is(name, "content-length") {
			f.kind = framing
			return h.contentLength(value)
		}
		if is(name, "http2-settings") {
			f.kind = hop
		}
	case 16:
		if is(name, "proxy-connection") {
			f.kind = hop
		}
	case 17:
		if is(name, "transfer-encoding") {
			f.kind = framing
			return h.transferEncoding(value)
		}
	case 18, 19, 25:
		if is(name, "proxy-authenticate") || is(name, "proxy-authorization") || is(name, "proxy-authentication-info") {
			f.kind = hop
		}
	}
	return OK
}

func (h *Head) hostField(f *field, value []byte, request bool) Refusal {
	if !request {
		return OK
	}
	if h.host >= 0 {
		return DuplicateHost
	}
	if !isHost(value) {
		return BadHost
	}
	f.kind, h.host = hostField, int32(len(h.fields))
	return OK
}

// contentLength takes digits only (RFC 9112 section 6.3): no sign, no list, no second one even if equal.
func (h *Head) contentLength(value []byte) Refusal {
	if h.hasLength {
		return DuplicateContentLength
	}
	if len(value) == 0 || len(value) > 18 {
		return BadContentLength
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return BadContentLength
		}
		n = n*10 + int64(c-'0')
	}
	h.hasLength, h.length = true, n
	return OK
}

func (h *Head) transferEncoding(value []byte) Refusal {
	switch {
	case h.chunked:
		return DuplicateEncoding
	case !is(value, "chunked"):
		return UnknownEncoding
	case h.Minor == 0:
		return EncodingIn10
	}
	h.chunked = true
	return OK
}

// connection reads the options; those that it does not know are names of fields to remove (RFC 9110 section 7.6.1).
func (h *Head) connection(s span) Refusal {
	for s.from < s.to {
		rest := s.of(h.src)
		option, next := rest, s.to
		if c := bytes.IndexByte(rest, ','); c >= 0 {
			option, next = rest[:c], s.from+int32(c)+1
		}
		lead := int32(len(option) - len(bytes.TrimLeft(option, " \t")))
		option = trim(option)
		at := span{s.from + lead, s.from + lead + int32(len(option))}
		s.from = next
		switch {
		case len(option) == 0: // an empty list element is to be ignored (RFC 9110 section 5.6.1)
		case is(option, "close"):
			h.close = true
		case is(option, "keep-alive"):
			h.persist = true
		case is(option, "upgrade"):
			h.upgrades = true
		case is(option, "te"):
		case !isClass(option, tokenChar) || h.nominees == maxNominated:
			return BadConnection
		default:
			h.nominated[h.nominees] = at
			h.nominees++
		}
	}
	return OK
}

// timeout reads `timeout=N` of a Keep-Alive field; what it does not understand is 0.
func timeout(value []byte) time.Duration {
	for len(value) > 0 {
		p, rest, _ := bytes.Cut(value, []byte{','})
		value = rest
		name, number, _ := bytes.Cut(trim(p), []byte{'='})
		if !is(name, "timeout") || len(number) == 0 || len(number) > 6 {
			continue
		}
		n := 0
		for _, c := range number {
			if c < '0' || c > '9' {
				return 0
			}
			n = n*10 + int(c-'0')
		}
		return time.Duration(n) * time.Second
	}
	return 0
}

// isHost reports whether b is a host with an optional port: a registered name, an IPv4 address or a bracketed IPv6 one
// (RFC 3986 section 3.2.2). User information, an empty host and an empty port are refused.
func isHost(b []byte) bool {
	if len(b) == 0 || len(b) > 261 { // 255 bytes of name, ':' and five digits
		return false
	}
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		return end > 2 && isAddress6(b[1:end]) && isPort(b[end+1:])
	}
	n := bytes.IndexByte(b, ':')
	if n < 0 {
		n = len(b)
	}
	return n > 0 && isClass(b[:n], hostChar) && isPort(b[n:])
}

func isAddress6(b []byte) bool {
	for _, c := range b {
		if c != ':' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

func isPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' || len(b) < 2 || len(b) > 6 {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
