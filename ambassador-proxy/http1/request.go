package http1

import "bytes"

// Request parses the request head at the start of src. After More, call it again with the same bytes and some more (at
// any address): it goes on where it stopped. forward says that the listener is a forward proxy: CONNECT is allowed.
func (h *Head) Request(src []byte, forward bool) Refusal {
	h.src = src
	r := OK
	if !h.inHead {
		r = h.requestLine(forward)
	}
	if r == OK {
		r = h.parseFields(true)
	}
	if limit := h.limit(); r == More && len(src) >= limit || r == OK && h.Size > limit {
		// RFC 9110 section 15.5.15: the same answer whether the line came in parts or all at once.
		if !h.inHead || int(h.target.to)+len(" HTTP/1.1\r\n") > limit {
			return TargetTooLong
		}
		return HeadTooLarge
	}
	if r != OK {
		return r
	}
	return h.finishRequest()
}

func (h *Head) limit() int {
	if h.Limits.Bytes == 0 {
		return MaxHead
	}
	return h.Limits.Bytes
}

// requestLine parses METHOD SP TARGET SP HTTP/1.x CRLF. One empty line before it is skipped (RFC 9112 section 2.2).
func (h *Head) requestLine(forward bool) Refusal {
	src, i := h.src, 0
	if len(src) > 0 && src[0] == '\r' {
		if len(src) < 2 {
			return More
		}
		if src[1] != '\n' {
			return BadRequestLine
		}
		i = 2
	}
	n := bytes.IndexByte(src[i:], '\n')
	if n < 0 {
		return More
	}
	line := src[i : i+n]
	if n == 0 || line[n-1] != '\r' {
		if src[0] == 0x16 { // a record with a ClientHello
			return Encrypted
		}
		return BareLF
	}
	line = line[:n-1]
	sp := 0
	for sp < len(line) && class[line[sp]]&tokenChar != 0 {
		sp++
	}
	if sp == 0 || sp == len(line) || line[sp] != ' ' {
		return BadRequestLine
	}
	last := bytes.LastIndexByte(line, ' ')
	if last == sp {
		return BadRequestLine // HTTP/0.9
	}
	minor, r := version(line[last+1:])
	if r != OK {
		return r
	}
	if target := line[sp+1 : last]; len(target) == 0 || !isClass(target, targetChar) {
		return BadTarget
	}
	h.begin, h.at, h.inHead = i, i+n+1, true
	h.Minor = minor
	h.method = span{int32(i), int32(i + sp)}
	h.target = span{int32(i + sp + 1), int32(i + last)}
	return h.splitTarget(forward)
}

// version takes HTTP/1.0 and HTTP/1.1; another well-formed version is unknown, all else is bad.
func version(v []byte) (minor byte, r Refusal) {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' || v[7] > '9' {
		return 0, BadVersion
	}
	if v[5] != '1' || v[7] > '1' {
		return 0, UnknownVersion
	}
	return v[7] - '0', OK
}

// splitTarget checks the form of the target (RFC 9112 section 3.2) and moves the authority of an absolute one aside.
func (h *Head) splitTarget(forward bool) Refusal {
	t := h.target.of(h.src)
	method := h.method.of(h.src)
	switch {
	case string(method) == "CONNECT":
		if !forward {
			return ConnectRefused
		}
		if !isHost(t) || bytes.IndexByte(t, ':') < 0 {
			return BadTarget
		}
		h.authority = h.target
		return OK
	case t[0] == '/':
		return OK
	case string(t) == "*":
		if string(method) != "OPTIONS" {
			return BadTarget
		}
		return OK
	}
	scheme := bytes.Index(t, []byte("://"))
	if scheme < 0 || !is(t[:scheme], "http") && !is(t[:scheme], "https") {
		return BadTarget
	}
	from := h.target.from + int32(scheme) + 3
	rest := h.src[from:h.target.to]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if !isHost(rest[:end]) {
		return BadTarget
	}
	h.authority = span{from, from + int32(end)}
	h.target.from = from + int32(end)
	return OK
}

func (h *Head) finishRequest() Refusal {
	if h.host < 0 && h.Minor == 1 {
		return MissingHost
	}
	switch {
	case h.chunked && h.hasLength:
		return LengthAndEncoding
	case h.chunked:
		h.Body = Body{Kind: Chunked}
	case h.length > 0:
		h.Body = Body{Kind: Length, left: h.length}
	}
	if h.Body.Kind != None && string(h.Method()) == "CONNECT" {
		return ConnectBody // or is it the first bytes of the tunnel?
	}
	h.finish()
	return OK
}

// Method of a request.
func (h *Head) Method() []byte { return h.method.of(h.src) }

// IsHead tells whether the answer has no body whatever it says.
func (h *Head) IsHead() bool { return string(h.Method()) == "HEAD" }

// Idempotent tells whether the request may be sent again after it may have been acted on (RFC 9110 section 9.2.2), by
// its method or because it carries an Idempotency-Key.
func (h *Head) Idempotent() bool {
	switch string(h.Method()) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return h.Get("idempotency-key") != nil
}

// Host is the host asked for: the authority of an absolute target wins over the Host field (RFC 9112 section 3.2.2).
// Nil in HTTP/1.0 without one.
func (h *Head) Host() []byte {
	if h.authority.to > 0 {
		return h.authority.of(h.src)
	}
	if h.host < 0 {
		return nil
	}
	return h.fields[h.host].value.of(h.src)
}

// Scheme is that of an absolute target, as it came; nil for another form.
func (h *Head) Scheme() []byte {
	from, to := h.method.to+1, h.authority.from-int32(len("://"))
	if h.authority.to == 0 || to <= from {
		return nil
	}
	return h.src[from:to]
}

// Target is the origin form of the target, "*" or the authority of a CONNECT. It may lack the leading '/' when an
// absolute target had no path: AppendRequest adds it.
func (h *Head) Target() []byte { return h.target.of(h.src) }

// PathQuery splits Target at the first '?'. An empty path is "/". A nil query means that there is no '?'.
func (h *Head) PathQuery() (path, query []byte) {
	t := h.Target()
	path = t
	if q := bytes.IndexByte(t, '?'); q >= 0 {
		path, query = t[:q], t[q+1:]
	}
	if len(path) == 0 {
		path = []byte("/")
	}
	return path, query
}

// Forward says how a head is changed on its way.
type Forward struct {
	Host    string   // replaces the value of Host; "" keeps it
	Drop    []string // lower-case names that are not forwarded, in any case and with '_' for '-'
	Upgrade bool     // forward the upgrade
}

// AppendRequest appends the head to send upstream to dst, all but the blank line, so that fields can be added.
func (h *Head) AppendRequest(dst []byte, f Forward) []byte {
	if f.Host == "" && h.authority.to > 0 && string(h.Method()) != "CONNECT" {
		// The target that is sent is relative: its authority goes where an origin server reads it.
		return h.appendRequest(dst, f, h.authority.of(h.src))
	}
	return h.appendRequest(dst, f, nil)
}

func (h *Head) appendRequest(dst []byte, f Forward, authority []byte) []byte {
	t := h.Target()
	if h.authority.to > 0 && (len(t) == 0 || t[0] == '?') {
		dst = append(append(dst, h.Method()...), ' ')
		if len(t) == 0 && string(h.Method()) == "OPTIONS" {
			dst = append(dst, '*') // RFC 9112 section 3.2.4
		} else {
			dst = append(dst, '/')
		}
		dst = append(dst, h.src[h.target.from:h.firstLineEnd()]...)
	} else if h.authority.to > 0 {
		dst = append(append(dst, h.Method()...), ' ')
		dst = append(dst, h.src[h.target.from:h.firstLineEnd()]...)
	} else {
		dst = append(dst, h.src[h.begin:h.firstLineEnd()]...)
	}
	if h.host < 0 && (f.Host != "" || authority != nil) {
		dst = appendHost(append(dst, "Host:"...), f.Host, authority)
	}
	dst = h.appendFields(dst, &f, authority)
	switch {
	case f.Upgrade && h.te:
		dst = append(dst, "Connection: upgrade, te\r\n"...)
	case f.Upgrade:
		dst = append(dst, "Connection: upgrade\r\n"...)
	case h.te:
		dst = append(dst, "Connection: te\r\n"...)
	}
	return dst
}

// firstLineEnd is where the header lines begin.
func (h *Head) firstLineEnd() int32 {
	if len(h.fields) > 0 {
		return h.fields[0].start
	}
	return int32(h.Size - 2)
}

// appendHost appends the value of a Host line whose name and colon are there already.
func appendHost(dst []byte, host string, authority []byte) []byte {
	dst = append(dst, ' ')
	if host != "" {
		dst = append(dst, host...)
	} else {
		dst = append(dst, authority...)
	}
	return append(dst, "\r\n"...)
}

// appendFields copies the header lines that go on, in runs as long as possible.
func (h *Head) appendFields(dst []byte, f *Forward, authority []byte) []byte {
	run := h.firstLineEnd()
	for i := range h.fields {
		l := &h.fields[i]
		switch l.kind {
		case ordinary:
			if len(f.Drop) == 0 || !h.dropped(l, f.Drop) {
				continue
			}
		case framing, trailers:
			continue
		case upgrade:
			if f.Upgrade {
				continue
			}
		case hostField:
			if f.Host == "" && authority == nil {
				continue
			}
			dst = appendHost(append(dst, h.src[run:l.colon+1]...), f.Host, authority)
			run = l.end
			continue
		}
		dst = append(dst, h.src[run:l.start]...)
		run = l.end
	}
	return append(dst, h.src[run:h.Size-2]...)
}

func (h *Head) dropped(l *field, names []string) bool {
	name := h.src[l.start:l.colon]
	for _, d := range names {
		if isLoose(name, d) {
			return true
		}
	}
	return false
}
