package http1

// Kind is how the end of a body is found.
type Kind uint8

const (
	None       Kind = iota
	Length          // Content-Length
	Chunked         // Transfer-Encoding: chunked
	UntilClose      // a response that ends with its connection
)

// Body follows the framing of one message body without decoding it. Its zero value is no body.
type Body struct {
	Kind Kind
	// Deny are lower-case names that a trailer field must not have, besides those that never may.
	Deny []string

	left   int64 // bytes left of the body, or of the current chunk
	state  chunkState
	digits uint8
	spent  int // bytes of chunk extensions and trailers so far
	name   [maxTrailerName]byte
	named  int
}

const (
	maxSizeDigits  = 15       // 2^60: no overflow
	maxOverhead    = 16 << 10 // bytes of chunk extensions and of trailers in one body (CVE-2023-39326)
	maxTrailerName = 64
)

type chunkState uint8

const (
	size chunkState = iota
	extName
	extValue
	extQuoted
	extEscape
	extAfter
	sizeLF
	data
	dataCR
	dataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	endLF
	ended
)

// Left is how many bytes are known to come: of the whole body with Length, of the current chunk with Chunked.
func (b *Body) Left() int64 { return b.left }

// Next follows p, the next bytes of the connection: n of them belong to this body and may be forwarded, done says that it
// has ended after them. With a refusal nothing after the n bytes may be forwarded.
func (b *Body) Next(p []byte) (n int, done bool, r Refusal) {
	switch b.Kind {
	case None:
		return 0, true, OK
	case Length:
		k := min(int64(len(p)), b.left)
		b.left -= k
		return int(k), b.left == 0, OK
	case UntilClose:
		return len(p), false, OK
	}
	for n < len(p) && b.state != ended {
		if b.state == data {
			k := min(int64(len(p)-n), b.left)
			b.left -= k
			n += int(k)
			if b.left == 0 {
				b.state = dataCR
			}
			continue
		}
		if r := b.step(p[n]); r != OK {
			return n, false, r
		}
		n++
	}
	return n, b.state == ended, OK
}

// Content is Next for who wants the content without its framing: run is the first of it in p, n is how much of p that was. The
// lines of a trailer section are appended to trailers.
func (b *Body) Content(p []byte, trailers *[]byte) (run []byte, n int, done bool, r Refusal) {
	if b.Kind != Chunked {
		n, done, r = b.Next(p)
		return p[:n], n, done, r
	}
	for n < len(p) && b.state != ended {
		if b.state == data {
			k := int(min(int64(len(p)-n), b.left))
			if b.left -= int64(k); b.left == 0 {
				b.state = dataCR
			}
			return p[n : n+k], n + k, false, OK
		}
		if b.state >= trailerStart {
			*trailers = append(*trailers, p[n])
		}
		if r := b.step(p[n]); r != OK {
			return nil, n, false, r
		}
		n++
	}
	return nil, n, b.state == ended, OK
}

// Skip follows n bytes that were forwarded unseen, at most Left of a body with Length.
func (b *Body) Skip(n int64) (done bool) {
	b.left -= n
	return b.left == 0
}

// step takes one byte of a chunked body's framing.
func (b *Body) step(c byte) Refusal {
	switch {
	case b.state == size:
		return b.sizeDigit(c)
	case b.state < sizeLF:
		return b.extension(c)
	case b.state < trailerStart:
		return b.lineEnd(c)
	}
	return b.trailer(c)
}

func (b *Body) sizeDigit(c byte) Refusal {
	var d byte
	switch {
	case c >= '0' && c <= '9':
		d = c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		d = c | 0x20 - 'a' + 10
	case b.digits > 0 && c == '\r':
		b.state = sizeLF
		return OK
	case b.digits > 0 && c == ';':
		b.state, b.named = extName, 0
		return b.spend()
	default:
		return BadChunkSize
	}
	if b.digits++; b.digits > maxSizeDigits {
		return BadChunkSize
	}
	b.left = b.left<<4 | int64(d)
	return OK
}

func (b *Body) spend() Refusal {
	if b.spent++; b.spent <= maxOverhead {
		return OK
	}
	if b.state >= trailerStart {
		return BadTrailer
	}
	return BadChunkExtension
}

// extension takes a byte of *( ";" name [ "=" ( token / quoted-string ) ] ), without whitespace (RFC 9112 section 7.1.1).
func (b *Body) extension(c byte) Refusal {
	token := class[c]&tokenChar != 0
	ok := true
	switch b.state {
	case extName:
		switch {
		case token:
			b.named++
		case b.named == 0:
			ok = false
		case c == '=':
			b.state, b.named = extValue, 0
		default:
			ok = b.endExtension(c)
		}
	case extValue:
		switch {
		case token:
			b.named++
		case c == '"' && b.named == 0:
			b.state = extQuoted
		default:
			ok = b.named > 0 && b.endExtension(c)
		}
	case extQuoted:
		switch c {
		case '"':
			b.state = extAfter
		case '\\':
			b.state = extEscape
		default:
			ok = class[c]&valueChar != 0
		}
	case extEscape:
		b.state, ok = extQuoted, class[c]&valueChar != 0
	case extAfter:
		ok = b.endExtension(c)
	}
	if !ok {
		return BadChunkExtension
	}
	return b.spend()
}

func (b *Body) endExtension(c byte) bool {
	switch c {
	case ';':
		b.state, b.named = extName, 0
	case '\r':
		b.state = sizeLF
	default:
		return false
	}
	return true
}

// lineEnd takes the fixed bytes around chunk data.
func (b *Body) lineEnd(c byte) Refusal {
	switch b.state {
	case sizeLF:
		if c != '\n' {
			return BadChunkSize
		}
		b.digits, b.state = 0, data
		if b.left == 0 {
			b.state = trailerStart
		}
	case dataCR:
		if c != '\r' {
			return BadChunkEnd
		}
		b.state = dataLF
	case dataLF:
		if c != '\n' {
			return BadChunkEnd
		}
		b.state = size
	}
	return OK
}

// trailer takes a byte of the trailer section: header lines and a blank one.
func (b *Body) trailer(c byte) Refusal {
	switch b.state {
	case trailerStart:
		if c == '\r' {
			b.state = endLF
			return OK
		}
		b.state, b.named = trailerName, 0
		return b.trailerName(c)
	case trailerName:
		return b.trailerName(c)
	case trailerValue:
		if c == '\r' {
			b.state = trailerLF
		} else if class[c]&valueChar == 0 {
			return BadTrailer
		}
	case trailerLF:
		if c != '\n' {
			return BadTrailer
		}
		b.state = trailerStart
	case endLF:
		if c != '\n' {
			return BadTrailer
		}
		b.state = ended
		return OK
	}
	return b.spend()
}

func (b *Body) trailerName(c byte) Refusal {
	if c == ':' && b.named > 0 {
		b.state = trailerValue
		if denied(b.name[:b.named], b.Deny) {
			return ForbiddenTrailer
		}
		return b.spend()
	}
	if class[c]&tokenChar == 0 || b.named == maxTrailerName {
		return BadTrailer
	}
	b.name[b.named] = c
	b.named++
	return b.spend()
}

// denied are names that decide framing, routing, identity or how the content is read, which come too late in a trailer
// (RFC 9110 section 6.5.1), and those in also.
func denied(name []byte, also []string) bool {
	for _, d := range also {
		if isLoose(name, d) {
			return true
		}
	}
	for _, d := range [...]string{
		"transfer-encoding", "content-length", "host", "connection", "keep-alive", "proxy-connection", "te", "trailer",
		"upgrade", "expect", "authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate", "cookie",
		"set-cookie", "content-encoding", "content-type", "content-range", "range", "cache-control", "max-forwards",
		"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "age", "date", "expires",
		"location", "retry-after", "vary", "pragma", "forwarded", "x-forwarded-for", "x-forwarded-host",
		"x-forwarded-proto", "idempotency-key",
	} {
		if isLoose(name, d) {
			return true
		}
	}
	return false
}
