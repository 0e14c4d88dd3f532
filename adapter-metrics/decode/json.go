package decode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// maxDepth of a JSON document; the stack of a deeper one would only serve an attacker.
const maxDepth = 128

// JSON walks a document and yields each scalar but null. No tree is built: strings are slices of
// the document unless they have escapes, and numbers keep their source text. An error names the
// offset; what stood before it has been yielded.
func JSON(doc []byte, to Walker) error {
	d := jsonWalk{doc: withoutMark(doc), to: to}
	d.sample.Fields = &d
	d.space()
	if err := d.value(0); err != nil {
		return err
	}
	if d.space(); d.at < len(d.doc) {
		return d.fail("more after the document")
	}
	return nil
}

// withoutMark is the document without a byte order mark, which RFC 8259 section 8.1 lets a reader ignore.
func withoutMark(doc []byte) []byte { return bytes.TrimPrefix(doc, []byte("\uFEFF")) }

type jsonWalk struct {
	doc    []byte
	at     int
	to     Walker
	frames []frame
	sample sample.Sample
}

// frame is an object or array around the value.
type frame struct {
	start int // of its first byte behind the bracket
	found []found
	index []byte
}

func (d *jsonWalk) fail(what string) error {
	return fmt.Errorf("decode JSON: %s at offset %d", what, d.at)
}

func (d *jsonWalk) space() {
	for d.at < len(d.doc) && (d.doc[d.at] == ' ' || d.doc[d.at] == '\n' || d.doc[d.at] == '\r' || d.doc[d.at] == '\t') {
		d.at++
	}
}

func (d *jsonWalk) value(depth int) error {
	if d.at >= len(d.doc) {
		return d.fail("the document ends early")
	}
	switch c := d.doc[d.at]; {
	case depth > maxDepth:
		return d.fail("nested too deeply")
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		s, err := d.text()
		if err == nil {
			d.yield(s, 0, false)
		}
		return err
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	for _, w := range [...]struct {
		word  string
		value float64
	}{{"true", 1}, {"false", 0}, {"null", -1}} {
		if bytes.HasPrefix(d.doc[d.at:], []byte(w.word)) {
			text := d.doc[d.at : d.at+len(w.word)]
			if d.at += len(w.word); w.value >= 0 {
				d.yield(text, w.value, true)
			}
			return nil
		}
	}
	return d.fail("no value")
}

// yield fills the one sample in: most of it is the same for all values, and copying it would take longer than many a value.
func (d *jsonWalk) yield(text []byte, v float64, numeric bool) {
	d.sample.Path, d.sample.Text, d.sample.Value, d.sample.Numeric = nil, text, v, numeric
	d.to.Leaf(&d.sample)
}

func (d *jsonWalk) number() error {
	from := d.at
	if n, v := shortNumber(d.doc[from:]); n > 0 {
		d.at += n
		d.yield(d.doc[from:d.at], v, true)
		return nil
	}
	for d.at < len(d.doc) && numeric(d.doc[d.at]) {
		d.at++
	}
	text := d.doc[from:d.at]
	if !wellFormed(text) {
		d.at = from
		return d.fail("no number")
	}
	v, err := strconv.ParseFloat(string(text), 64)
	d.yield(text, v, err == nil) // out of range is no number
	return nil
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c|0x20 == 'e'
}

// shortNumber reads a number of up to fifteen digits without an exponent, which most are, in one pass, and returns its length. The
// value is exact: both the digits and the power of ten fit a float64. Length 0 leaves it to others to say what it is.
func shortNumber(b []byte) (n int, v float64) {
	if b[0] == '-' {
		n = 1
	}
	from, digits := n, uint64(0)
	for ; n < len(b) && b[n]-'0' <= 9; n++ {
		digits = digits*10 + uint64(b[n]-'0')
	}
	count := n - from
	if count == 0 || count > 1 && b[from] == '0' {
		return 0, 0
	}
	behind := 0
	if n < len(b) && b[n] == '.' {
		from = n + 1
		for n++; n < len(b) && b[n]-'0' <= 9; n++ {
			digits = digits*10 + uint64(b[n]-'0')
		}
		if behind = n - from; behind == 0 {
			return 0, 0
		}
	}
	if count+behind > 15 || n < len(b) && numeric(b[n]) {
		return 0, 0
	}
	if v = float64(digits); behind > 0 {
		v /= powerOfTen(behind)
	}
	if b[0] == '-' {
		v = -v
	}
	return n, v
}

// wellFormed follows the grammar of RFC 8259 section 6: no leading zeros, digits around a dot and behind an e.
func wellFormed(b []byte) bool {
	digits := func() bool {
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		b = b[n:]
		return n > 0
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && b[1] >= '0' && b[1] <= '9' || !digits() {
		return false
	}
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; !digits() {
			return false
		}
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(b) == 0
}

// integer reads short whole numbers, which most are, without a conversion.
func integer(b []byte) (float64, bool) {
	digits, sign := b, 1.0
	if len(b) > 0 && b[0] == '-' {
		digits, sign = b[1:], -1
	}
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return sign * float64(n), true
}

func (d *jsonWalk) open() {
	d.at++
	if len(d.frames) < cap(d.frames) {
		d.frames = d.frames[:len(d.frames)+1]
		f := &d.frames[len(d.frames)-1]
		f.start = d.at
		f.found = f.found[:0]
		return
	}
	d.frames = append(d.frames, frame{start: d.at})
}

// more goes to the nth member of an object or array. At its end it leaves it and reports false.
func (d *jsonWalk) more(n int, end byte) (bool, error) {
	d.space()
	if d.skip(end) {
		d.frames = d.frames[:len(d.frames)-1]
		return false, nil
	}
	if n > 0 {
		if !d.skip(',') {
			return false, d.fail("no comma")
		}
		if d.space(); d.at < len(d.doc) && d.doc[d.at] == end {
			return false, d.fail("a comma before the end")
		}
	}
	return true, nil
}

func (d *jsonWalk) object(depth int) error {
	d.open()
	for n := 0; ; n++ {
		if more, err := d.more(n, '}'); !more {
			return err
		}
		if d.at >= len(d.doc) || d.doc[d.at] != '"' {
			return d.fail("no key")
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		if d.space(); !d.skip(':') {
			return d.fail("no colon")
		}
		d.space()
		d.to.Push(key)
		err = d.value(depth + 1)
		d.to.Pop()
		if err != nil {
			return err
		}
	}
}

func (d *jsonWalk) array(depth int) error {
	d.open()
	for n := 0; ; n++ {
		if more, err := d.more(n, ']'); !more {
			return err
		}
		f := &d.frames[len(d.frames)-1]
		f.index = strconv.AppendInt(f.index[:0], int64(n), 10)
		d.to.Push(f.index)
		err := d.value(depth + 1)
		d.to.Pop()
		if err != nil {
			return err
		}
	}
}

func (d *jsonWalk) skip(c byte) bool {
	if d.at < len(d.doc) && d.doc[d.at] == c {
		d.at++
		return true
	}
	return false
}

// text reads a string. It is a slice of the document unless it has escapes.
func (d *jsonWalk) text() ([]byte, error) {
	d.at++
	from := d.at
	for escaped := false; ; d.at++ {
		if d.at += plain(d.doc[min(d.at, len(d.doc)):]); d.at >= len(d.doc) {
			break
		}
		switch c := d.doc[d.at]; {
		case c == '"':
			s := d.doc[from:d.at]
			d.at++
			if escaped {
				return unescape(s), nil
			}
			return s, nil
		case c == '\\':
			escaped = true
			if !d.escape() {
				return nil, d.fail("an unknown escape")
			}
		case c < ' ':
			return nil, d.fail("a control character in a string")
		}
	}
	d.at = from
	return nil, d.fail("a string without an end")
}

// plain is how many bytes of a string are neither quote, backslash nor control character, eight at a time: a word's byte is below
// n when subtracting n borrows, and is x when their difference is below 1. With bit 1 turned over the quote stands next to the
// control characters, so that both are below '!'.
func plain(s []byte) (n int) {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(s[n:])
		turned, backslash := w^ones*2, w^ones*'\\'
		if found := ((turned-ones*'!')&^turned | (backslash-ones)&^backslash) & high; found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	return n
}

// escape goes to the last byte of an escape.
func (d *jsonWalk) escape() bool {
	if d.at++; d.at >= len(d.doc) {
		return true // the string has no end, which is found next
	}
	if d.doc[d.at] != 'u' {
		return strings.IndexByte(`"\/bfnrt`, d.doc[d.at]) >= 0
	}
	for range 4 {
		if d.at++; d.at >= len(d.doc) {
			return true
		}
		if _, err := strconv.ParseUint(string(d.doc[d.at]), 16, 8); err != nil {
			return false
		}
	}
	return true
}

func unescape(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		if at := bytes.IndexByte([]byte("bfnrt"), s[i]); at >= 0 {
			out = append(out, "\b\f\n\r\t"[at])
			continue
		}
		if s[i] != 'u' {
			out = append(out, s[i])
			continue
		}
		r := hex4(s[i+1:])
		i += min(4, len(s)-i-1)
		if utf16.IsSurrogate(r) && i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(s[i+3:])); pair != utf8.RuneError {
				r, i = pair, i+min(6, len(s)-i-1)
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

func hex4(s []byte) rune {
	v, err := strconv.ParseUint(string(s[:min(4, len(s))]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(v)
}
