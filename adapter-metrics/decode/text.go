package decode

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// errForeign says that a document has nothing of its format in it, such as the login page of a proxy.
var errForeign = errors.New("decode document: nothing of the expected format in it (is the url right?)")

// leaf yields one value below segments. Text that is no number is yielded too: a rule may map it, or label
// something with it.
func leaf(to Walker, text []byte, fields sample.Fields, segments ...[]byte) {
	for _, s := range segments {
		to.Push(s)
	}
	s := sample.Sample{Text: text, Fields: fields}
	s.Value, s.Numeric = textNumber(text)
	to.Leaf(&s)
	for range segments {
		to.Pop()
	}
}

// textNumber reads a number as these formats write it; NaN and infinities are texts.
func textNumber(text []byte) (float64, bool) {
	if v, ok := integer(text); ok {
		return v, true
	}
	if len(text) == 0 || text[0] > '9' || text[0] == '0' && len(text) > 1 && text[1]|0x20 == 'x' {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil && !math.IsInf(v, 0)
}

// around finds values anywhere in a document of lines: section and separator do not matter, as names are unique
// in these formats.
type around struct {
	doc       []byte
	separator byte
}

// Lookup implements sample.Fields.
func (a around) Lookup(_ int, name string) ([]byte, bool) {
	for line := range bytes.Lines(a.doc) {
		key, value, ok := bytes.Cut(line, []byte{a.separator})
		if ok && string(bytes.TrimSpace(key)) == name {
			return bytes.TrimSpace(value), true
		}
	}
	return nil, false
}

// KeyValue decodes lines of "key: value" or "key=value". A key is one segment; lines with neither are skipped.
func KeyValue(doc []byte, to Walker) error {
	found := false
	for line := range bytes.Lines(doc) {
		at := bytes.IndexAny(line, ":=")
		if at <= 0 || line[0] == '#' {
			continue
		}
		found = true
		leaf(to, bytes.TrimSpace(line[at+1:]), around{doc, line[at]}, bytes.TrimSpace(line[:at]))
	}
	if !found {
		return errForeign
	}
	return nil
}

// JSONOrText decodes what PHP-FPM says, as JSON (?json) or as text.
func JSONOrText(doc []byte, to Walker) error {
	if doc = bytes.TrimSpace(doc); len(doc) > 0 && doc[0] == '{' {
		return JSON(doc, to)
	}
	return KeyValue(doc, to)
}
