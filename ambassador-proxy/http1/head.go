// Package http1 is a strict, byte-transparent HTTP/1.1 codec for a proxy (RFC 9112). It is sans-IO: pure functions over
// buffers. A Head is parsed from the bytes as they came; what is forwarded are those same bytes, in their order, less the
// lines that belong to one connection only. A Body follows the framing without decoding it.
//
// Whatever could be read in two ways is refused: the next parser must never see another message than this one did.
// Nothing allocates in steady state.
package http1

import (
	"bytes"
	"time"
)

// Limits bound a head. The zero value of a field takes the default.
type Limits struct {
	Bytes  int // of the whole head; 64 KiB
	Fields int // 100
}

// MaxHead is the default of Limits.Bytes.
const MaxHead = 64 << 10

const (
	maxFields    = 100
	maxNominated = 16 // field names in Connection: each is compared with each field
)

// Head is a parsed request or response head. Its methods give views into the bytes it was parsed from, valid until those
// change. A Head is reused: Reset, then Request or Response, again and again as bytes arrive.
type Head struct {
	Limits Limits

	Size      int  // bytes of the head, the blank line included, and a line end that preceded it
	Minor     byte // 0 or 1: HTTP/1.Minor
	Status    int  // of a response
	Body      Body // the framing that follows
	KeepAlive bool // the connection may carry another message after this one
	Expect    bool // 100-continue
	// Timeout is what a response's `Keep-Alive: timeout=N` said, else 0.
	Timeout time.Duration

	src    []byte
	fields []field
	at     int // everything before it has been parsed
	begin  int // of the first line
	inHead bool

	method, target, authority, phrase span
	host, upgrade                     int32 // indexes into fields, -1 when absent, -2 when ambiguous
	length                            int64
	hasLength, chunked, te            bool
	close, persist, upgrades          bool // options of Connection
	nominated                         [maxNominated]span
	nominees                          int
}

type span struct{ from, to int32 }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// kind is what a field means to a proxy.
type kind uint8

const (
	ordinary  kind = iota
	hop            // of this connection only: never forwarded
	framing        // Content-Length, Transfer-Encoding: forwarded as they came
	hostField      //
	trailers       // `TE: trailers`: forwarded, with a Connection of our own
	upgrade        // forwarded only when the upgrade is wanted
	nominated      // named by Connection: not forwarded
)

// field is one header line: src[start:end] with its line end, the name up to colon, the trimmed value.
type field struct {
	start, colon int32
	value        span
	end          int32
	kind         kind
}

// Reset makes h ready for another message. Limits are kept.
func (h *Head) Reset() {
	*h = Head{Limits: h.Limits, fields: h.fields[:0], host: -1, upgrade: -1}
}

// Get returns the value of the first field with that lower-case name, nil when there is none.
func (h *Head) Get(lower string) []byte {
	for i := range h.fields {
		f := &h.fields[i]
		if int(f.colon-f.start) == len(lower) && is(h.src[f.start:f.colon], lower) {
			return f.value.of(h.src)
		}
	}
	return nil
}

// Upgrade is the protocol that the message wants to, or does, switch to: nil unless Connection names Upgrade too.
func (h *Head) Upgrade() []byte {
	if h.upgrade < 0 || !h.upgrades {
		return nil
	}
	return h.fields[h.upgrade].value.of(h.src)
}

// Forwarded are the names and values of a response that go on to a client of another version: none of the connection or of the
// framing but Content-Length.
func (h *Head) Forwarded(yield func(name, value []byte) bool) {
	for i := range h.fields {
		f := &h.fields[i]
		name := h.src[f.start:f.colon]
		if (f.kind == ordinary || f.kind == framing && is(name, "content-length")) && !yield(name, f.value.of(h.src)) {
			return
		}
	}
}

// parseFields parses header lines from h.at on, up to and including the blank line.
func (h *Head) parseFields(request bool) Refusal {
	src, i := h.src, h.at
	maxCount := h.Limits.Fields
	if maxCount == 0 {
		maxCount = maxFields
	}
	for {
		if i == len(src) {
			return More
		}
		if src[i] == '\r' {
			if i+1 == len(src) {
				return More
			}
			if src[i+1] != '\n' {
				return BadFieldName
			}
			h.Size = i + 2
			return OK
		}
		j := i
		for j < len(src) && class[src[j]]&tokenChar != 0 {
			j++
		}
		if j == len(src) {
			return More
		}
		if src[j] != ':' || j == i {
			return badName(src[i:], j-i)
		}
		k := bytes.IndexByte(src[j:], '\n')
		if k < 0 {
			return More
		}
		if src[j+k-1] != '\r' {
			return BareLF
		}
		if len(h.fields) >= maxCount {
			return TooManyFields
		}
		from, to := j+1, j+k-1
		for from < to && (src[from] == ' ' || src[from] == '\t') {
			from++
		}
		for from < to && (src[to-1] == ' ' || src[to-1] == '\t') {
			to--
		}
		if !isValue(src[from:to]) {
			return BadFieldValue
		}
		f := field{start: int32(i), colon: int32(j), value: span{int32(from), int32(to)}, end: int32(j + k + 1)}
		if r := h.classify(&f, src[i:j], src[from:to], request); r != OK {
			return r
		}
		h.fields = append(h.fields, f)
		i = j + k + 1
		h.at = i
	}
}

// badName says what is wrong with a line whose name of n token characters is not followed by a colon.
func badName(line []byte, n int) Refusal {
	switch line[n] {
	case ' ', '\t':
		if n == 0 {
			return FoldedField
		}
		return SpaceBeforeColon
	case '\n':
		return BareLF
	}
	return BadFieldName
}

// finish settles what only the whole head can tell.
func (h *Head) finish() {
	if h.Minor == 1 {
		h.KeepAlive = !h.close
	} else {
		h.KeepAlive = h.persist && !h.close
	}
	for _, n := range h.nominated[:h.nominees] {
		name := n.of(h.src)
		for i := range h.fields {
			f := &h.fields[i]
			if f.kind == ordinary && int(f.colon-f.start) == len(name) && bytes.EqualFold(h.src[f.start:f.colon], name) {
				f.kind = nominated
			}
		}
	}
}
