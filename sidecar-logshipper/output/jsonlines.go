package output

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// jsonLines encodes records as JSON objects, each followed by a newline: the body of every output that speaks JSON. They
// differ in what stands around a record, which layout renders once for each source, and in how a shaped record is written.
type jsonLines struct {
	layout func(*record.Source) layout
	shaped func(dst []byte, r *record.Record) []byte
	filled bool // the destination refuses an empty text, so it is sent as a shaped record

	source  *record.Source
	current layout
}

// layout is what stands around the records of one source. A line of text becomes text + escaped line + textEnd. A line
// that is a JSON object itself becomes, where verbatim, object + line[skip:] + objectEnd, and is not parsed: what the
// pipeline knows stands in front of the members that the app wrote.
type layout struct {
	text      heading
	textEnd   []byte
	verbatim  bool
	object    heading
	skip      int
	objectEnd []byte
}

// AppendChunk encodes the records of c as they stand.
func (j *jsonLines) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	if c.Source != j.source {
		j.source, j.current = c.Source, j.layout(c.Source)
	}
	if c.Ends == nil && utf8.Valid(c.Data) && !c.Truncated && !(j.filled && hasEmptyLine(c.Data)) {
		return j.current.appendLines(dst, c)
	}
	records := 0
	for start, end := range c.Records() {
		if c.Truncated || j.filled && len(trimNewline(c.Data[start:end])) == 0 { // an object that lost its end is none
			var r record.Record
			r.Reset(c, start, end)
			dst = j.shaped(dst, &r)
		} else {
			dst = j.current.appendOne(dst, c, start, end)
		}
		records++
	}
	return dst, records
}

func hasEmptyLine(data []byte) bool {
	return bytes.HasPrefix(data, []byte{'\n'}) || bytes.HasPrefix(data, []byte("\r\n")) || bytes.Contains(data, []byte("\n\n")) || bytes.Contains(data, []byte("\n\r\n"))
}

// AppendRecord encodes one parsed record.
func (j *jsonLines) AppendRecord(dst []byte, r *record.Record) []byte { return j.shaped(dst, r) }

// appendLines is the hot path: one scan over the chunk finds the ends of lines and what must be escaped together, and
// copies on its way. At the start and the end of each line d has room for what is fixed and the rest of the chunk.
func (l *layout) appendLines(dst []byte, c *record.Chunk) ([]byte, int) {
	s, lines, n := c.Data, 0, len(dst)
	fixed := len(l.text.text) + len(l.textEnd) + len(l.object.text) + len(l.objectEnd) + 2*stride
	d := dst[:cap(dst)]
	for i := 0; i < len(s); lines++ {
		d = roomFor(d, n, len(s)-i+fixed)
		if l.verbatim && s[i] == '{' {
			if end := lineEnd(s, i); isObject(s[i:end]) {
				n = l.putVerbatim(d, n, c, i, end)
				i = end
				continue
			}
		}
		n += l.text.put(d[n:], c.Time+int64(i), c.Offset+int64(i))
		for {
			from, to := escapeRun(d[n:], s[i:])
			n, i = n+to, i+from
			if i == len(s) {
				break
			}
			if s[i] == '\n' {
				if i > 0 && s[i-1] == '\r' {
					n -= len(`\r`)
				}
				i++
				break
			}
			d = roomFor(d, n, len(s)-i+fixed)
			n += putByte(d[n:], s[i])
			i++
		}
		d = roomFor(d, n, len(s)-i+fixed)
		n += copy(d[n:], l.textEnd)
	}
	return d[:n], lines
}

// appendOne encodes a record that appendLines cannot: one of several lines, or with bytes to repair.
func (l *layout) appendOne(dst []byte, c *record.Chunk, start, end int) []byte {
	line := trimNewline(c.Data[start:end])
	if l.verbatim && isObject(line) && utf8.Valid(line) && bytes.IndexByte(line, '\n') < 0 {
		dst = l.object.append(dst, c.Time+int64(start), c.Offset+int64(start))
		return append(append(dst, line[l.skip:]...), l.objectEnd...)
	}
	dst = l.text.append(dst, c.Time+int64(start), c.Offset+int64(start))
	return append(appendEscaped(dst, line), l.textEnd...)
}

func (l *layout) putVerbatim(d []byte, n int, c *record.Chunk, start, end int) int {
	n += l.object.put(d[n:], c.Time+int64(start), c.Offset+int64(start))
	n += copy(d[n:], trimNewline(c.Data[start:end])[l.skip:])
	return n + copy(d[n:], l.objectEnd)
}

// isObject says by its shape whether line is a JSON object with members. It does not parse: the destination does, and a
// line at fault costs its batch a bisection.
func isObject(line []byte) bool {
	line = bytes.TrimRight(line, " \t\r\n")
	n := len(line)
	if n < len(`{"":0}`) || line[0] != '{' || line[1] != '"' || line[n-1] != '}' {
		return false
	}
	switch c := line[n-2]; c {
	case '"', '}', ']', 'e', 'l', ' ': // a string, an object, an array, true or false, null
		return true
	default:
		return c >= '0' && c <= '9'
	}
}

// lineEnd is the end of the line that holds s[start], its newline included.
func lineEnd(s []byte, start int) int {
	if i := bytes.IndexByte(s[start:], '\n'); i >= 0 {
		return start + i + 1
	}
	return len(s)
}

// roomFor returns d, or a copy of its first n bytes, with at least want bytes behind n.
func roomFor(d []byte, n, want int) []byte {
	if len(d)-n >= want {
		return d
	}
	d = slices.Grow(d[:n], want+want/4)
	return d[:cap(d)]
}

// trimNewline cuts "\n" or "\r\n" off the end.
func trimNewline(b []byte) []byte {
	n := len(b)
	if n == 0 || b[n-1] != '\n' {
		return b
	}
	if n > 1 && b[n-2] == '\r' {
		return b[:n-2]
	}
	return b[:n-1]
}
