package http1

import "bytes"

// Response parses the response head at the start of src, which answers a HEAD request or another. After More, call it
// again with the same bytes and some more.
func (h *Head) Response(src []byte, head bool) Refusal {
	h.src = src
	r := OK
	if !h.inHead {
		r = h.statusLine()
	}
	if r == OK {
		r = h.parseFields(false)
	}
	if limit := h.limit(); r == More && len(src) >= limit || r == OK && h.Size > limit {
		return HeadTooLarge
	}
	if r != OK {
		return r
	}
	return h.finishResponse(head)
}

// statusLine parses HTTP/1.x SP 3DIGIT [SP phrase] CRLF. The space before an empty phrase is often forgotten.
func (h *Head) statusLine() Refusal {
	n := bytes.IndexByte(h.src, '\n')
	if n < 0 {
		return More
	}
	if n == 0 || h.src[n-1] != '\r' {
		return BareLF
	}
	line := h.src[:n-1]
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return BadStatusLine
	}
	minor, r := version(line[:8])
	if r != OK {
		return r
	}
	status := 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return BadStatusLine
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return BadStatus
	}
	if len(line) > 13 {
		h.phrase = span{13, int32(len(line))}
		if !isValue(h.phrase.of(h.src)) {
			return BadStatusLine
		}
	}
	h.Minor, h.Status, h.at, h.inHead = minor, status, n+1, true
	return OK
}

func (h *Head) finishResponse(head bool) Refusal {
	if h.chunked && h.hasLength {
		return LengthAndEncoding
	}
	h.finish()
	switch {
	case h.Status < 200 || h.Status == 204:
		// Such a message ends with its head; lines that say otherwise must not reach another parser.
		for i := range h.fields {
			if f := &h.fields[i]; f.kind == framing {
				f.kind = hop
			}
		}
	case head || h.Status == 304:
	case h.chunked:
		h.Body = Body{Kind: Chunked}
	case h.hasLength && h.length == 0:
	case h.hasLength:
		h.Body = Body{Kind: Length, left: h.length}
	default:
		h.Body = Body{Kind: UntilClose}
		h.KeepAlive = false
	}
	return OK
}

// Phrase is the reason phrase of a response, as received.
func (h *Head) Phrase() []byte { return h.phrase.of(h.src) }

// AppendResponse appends the head to send to the client to dst, all but the blank line, so that fields can be added. The
// version becomes HTTP/1.1.
func (h *Head) AppendResponse(dst []byte, upgrade bool) []byte {
	dst = append(dst, "HTTP/1.1"...)
	dst = append(dst, h.src[8:12]...)
	dst = append(dst, ' ')
	dst = append(dst, h.Phrase()...)
	dst = append(dst, "\r\n"...)
	dst = h.appendFields(dst, &Forward{Upgrade: upgrade}, nil)
	if upgrade {
		dst = append(dst, "Connection: upgrade\r\n"...)
	}
	return dst
}
