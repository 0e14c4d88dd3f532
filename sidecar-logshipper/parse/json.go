package parse

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// parseJSON reads the members of one object (RFC 8259). Nested objects and arrays stay as they are written. The message is then
// nothing: members say it all, and repeating the line beside them would double the record.
func parseJSON(r *record.Record, _ *clock) bool {
	s := scanner{b: r.Message}
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return s.atEnd()
	}
	for {
		name, _, ok := s.value(r)
		if !ok || s.kind != record.String || !s.take(':') {
			return false
		}
		value, kind, ok := s.value(r)
		if !ok {
			return false
		}
		r.AddNamed(name, value, kind)
		switch {
		case s.take(','):
		case s.take('}'):
			if !s.atEnd() {
				return false
			}
			r.Message = nil
			return true
		default:
			return false
		}
	}
}

// scanner walks over JSON text.
type scanner struct {
	b    []byte
	i    int
	kind record.Kind // of the last value
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) atEnd() bool { s.space(); return s.i == len(s.b) }

// value reads one value; a string is unescaped.
func (s *scanner) value(r *record.Record) (v []byte, kind record.Kind, ok bool) {
	s.space()
	if s.i >= len(s.b) {
		return nil, 0, false
	}
	start := s.i
	switch s.b[s.i] {
	case '"':
		v, ok = s.text(r)
		s.kind = record.String
		return v, record.String, ok
	case '{', '[':
		s.kind = record.JSON
		if !s.skipNested() {
			return nil, 0, false
		}
		v = s.b[start:s.i]
		return v, record.JSON, json.Valid(v)
	default:
		s.skipLiteral()
		v = s.b[start:s.i]
		s.kind, ok = literal(v)
		return v, s.kind, ok
	}
}

// skipLiteral goes behind what may be a number, true, false or null.
func (s *scanner) skipLiteral() {
	for ; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
	}
}

// literal says what v is, if it is one.
func literal(v []byte) (kind record.Kind, ok bool) {
	switch string(v) {
	case "true", "false":
		return record.Bool, true
	case "null":
		return record.Null, true
	}
	return record.Number, isNumber(v)
}

// isNumber says that v is a number (RFC 8259, 6).
func isNumber(v []byte) bool {
	v = bytes.TrimPrefix(v, []byte{'-'})
	n := digits(v)
	if n == 0 || n > 1 && v[0] == '0' {
		return false
	}
	if v = v[n:]; len(v) > 0 && v[0] == '.' {
		if n = digits(v[1:]); n == 0 {
			return false
		}
		v = v[1+n:]
	}
	if len(v) == 0 {
		return true
	}
	if v[0]|0x20 != 'e' {
		return false
	}
	if v = v[1:]; len(v) > 0 && (v[0] == '+' || v[0] == '-') {
		v = v[1:]
	}
	return len(v) > 0 && digits(v) == len(v)
}

// digits is how many v begins with.
func digits(v []byte) (n int) {
	for n < len(v) && v[n] >= '0' && v[n] <= '9' {
		n++
	}
	return n
}

// skipNested goes behind the bracket that closes the one at i.
func (s *scanner) skipNested() bool {
	for depth := 0; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.i++
				return true
			}
		case '"':
			end, _, _ := stringEnd(s.b, s.i+1)
			if end < 0 {
				return false
			}
			s.i = end
		}
	}
	return false
}

// stringEnd is the index of the quote that closes a string whose text starts at i, -1 when none does, and whether there are
// backslashes and control bytes before it.
func stringEnd(b []byte, i int) (end int, escaped, control bool) {
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i, escaped, control
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			control = true
		}
	}
	return -1, escaped, control
}

func (s *scanner) text(r *record.Record) ([]byte, bool) {
	start := s.i + 1
	end, escaped, control := stringEnd(s.b, start)
	if end < 0 || control {
		return nil, false
	}
	s.i = end + 1
	raw := s.b[start:end]
	if !escaped {
		return raw, true
	}
	ok := true
	v := r.Scratch(func(dst []byte) []byte { dst, ok = unescape(dst, raw); return dst })
	return v, ok
}

// unescape appends the text that raw, the inside of a JSON string, stands for. Half a surrogate pair becomes U+FFFD.
func unescape(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		if i++; i >= len(raw) {
			return dst, false
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b', 'f', 'n', 'r', 't':
			dst = append(dst, map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c])
		case 'u':
			unit, ok := hex4(raw[i+1:])
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(unit) {
				low, pair := rune(0), false
				if bytes.HasPrefix(raw[i+1:], []byte(`\u`)) {
					low, pair = hex4(raw[i+3:])
				}
				unit = utf16.DecodeRune(unit, low)
				if pair && unit != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, unit)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(b []byte) (v rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
