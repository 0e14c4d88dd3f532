package decode

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// A lineParser takes a line apart.
type lineParser interface {
	// parse sets values[i] to what the line has for the field i, nil for none, and reports whether the line fits. The
	// values are slices of the line, or valid until the next call.
	parse(line []byte, values [][]byte) bool
	// why says for a line that parse has just refused what does not fit.
	why(line []byte) string
}

// A field of a line.
type field struct {
	name    string
	scale   float64 // to the base unit
	integer bool
}

// fieldTypes are what can stand behind the colon in {rt:ms}.
func fieldType(name string) (field, bool) {
	scales := map[string]float64{"": 1, "string": 1, "int": 1, "float": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "percent": 0.01, "kb": 1024, "mb": 1 << 20}
	scale, ok := scales[name]
	return field{scale: scale, integer: name == "int"}, ok
}

// dissect is a pattern of literals with fields between: a field ends where the literal after it begins. One
// pass over the bytes, no backtracking.
type dissect struct {
	prefix []byte
	steps  []step
}

// step is a field and the literal behind it; an empty one only at the end, where the field takes the rest.
type step struct {
	name    string
	field   int // or -1: nobody wants it
	integer bool
	literal []byte
	first   byte
}

// parsePattern compiles '{client} [{time}] "{method} {path} {}" {status} {bytes:int} {rt:s}'. {{ is a brace.
func parsePattern(pattern string) (*dissect, []field, error) {
	d, fields := &dissect{}, []field(nil)
	literal, rest := literalOf(pattern)
	d.prefix = []byte(literal)
	for rest != "" {
		inner, after, ok := strings.Cut(rest[1:], "}")
		if !ok {
			return nil, nil, fmt.Errorf("{ without } at %q", rest)
		}
		name, kind, _ := strings.Cut(inner, ":")
		f, known := fieldType(kind)
		if f.name = name; !known {
			return nil, nil, fmt.Errorf("{%s}: unknown type (int, float, s, ms, us, ns, percent, kb, mb)", inner)
		}
		s := step{name: name, field: -1, integer: f.integer}
		if name != "" {
			for _, other := range fields {
				if other.name == name {
					return nil, nil, fmt.Errorf("{%s} stands there twice", name)
				}
			}
			s.field = len(fields)
			fields = append(fields, f)
		}
		literal, rest = literalOf(after)
		if s.literal = []byte(literal); literal == "" && rest != "" {
			return nil, nil, fmt.Errorf("nothing stands between {%s} and the next field", inner)
		}
		if literal != "" {
			s.first = literal[0]
		}
		d.steps = append(d.steps, s)
	}
	if len(d.steps) == 0 {
		return nil, nil, fmt.Errorf("%q has no {field}", pattern)
	}
	return d, fields, nil
}

// literalOf cuts the text in front of the next field.
func literalOf(p string) (literal, rest string) {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '{' && i+1 < len(p) && p[i+1] == '{':
			i++
		case p[i] == '{':
			return b.String(), p[i:]
		}
		b.WriteByte(p[i])
	}
	return b.String(), ""
}

func (d *dissect) parse(line []byte, values [][]byte) bool {
	if len(d.prefix) > 0 {
		if !bytes.HasPrefix(line, d.prefix) {
			return false
		}
		line = line[len(d.prefix):]
	}
	for i := range d.steps {
		s := &d.steps[i]
		end := len(line)
		switch len(s.literal) {
		case 0:
		case 1:
			end = bytes.IndexByte(line, s.first)
		default:
			end = bytes.Index(line, s.literal)
		}
		if end < 0 {
			return false
		}
		if s.field >= 0 {
			if s.integer && !digits(line[:end]) {
				return false
			}
			values[s.field] = line[:end]
		}
		line = line[end+len(s.literal):]
	}
	return len(line) == 0
}

// digits accepts a whole number, and the - that web servers write for none.
func digits(b []byte) bool {
	if len(b) == 1 && b[0] == '-' {
		return true
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// expression is a regular expression with named groups: the escape for lines that no pattern describes.
type expression struct {
	re     *regexp.Regexp
	groups []int // of each field
}

func parseExpression(text string) (*expression, []field, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, nil, err
	}
	x, fields := &expression{re: re}, []field(nil)
	for i, name := range re.SubexpNames() {
		if name != "" {
			x.groups = append(x.groups, i)
			fields = append(fields, field{name: name, scale: 1})
		}
	}
	return x, fields, nil
}

func (x *expression) parse(line []byte, values [][]byte) bool {
	at := x.re.FindSubmatchIndex(line)
	if at == nil {
		return false
	}
	for i, g := range x.groups {
		values[i] = nil
		if at[2*g] >= 0 {
			values[i] = line[at[2*g]:at[2*g+1]]
		}
	}
	return true
}

// jsonLine reads one JSON object a line; a nested field is called request.method.
type jsonLine struct {
	index  map[string]int
	path   []byte
	marks  []int
	values [][]byte
}

func (j *jsonLine) parse(line []byte, values [][]byte) bool {
	clear(values)
	j.values, j.path, j.marks = values, j.path[:0], j.marks[:0]
	return len(line) > 0 && line[0] == '{' && JSON(line, j) == nil
}

// Push implements Walker.
func (j *jsonLine) Push(segment []byte) {
	j.marks = append(j.marks, len(j.path))
	if len(j.path) > 0 {
		j.path = append(j.path, '.')
	}
	j.path = append(j.path, segment...)
}

// Pop implements Walker.
func (j *jsonLine) Pop() {
	last := len(j.marks) - 1
	j.path, j.marks = j.path[:j.marks[last]], j.marks[:last]
}

// Leaf implements Walker.
func (j *jsonLine) Leaf(s *sample.Sample) {
	if i, ok := j.index[string(j.path)]; ok {
		j.values[i] = s.Text
	}
}

// logfmtLine reads key=value pairs; a value may be quoted.
type logfmtLine struct{ index map[string]int }

func (l *logfmtLine) parse(line []byte, values [][]byte) bool {
	clear(values)
	found := false
	for line = bytes.TrimLeft(line, " "); len(line) > 0; line = bytes.TrimLeft(line, " ") {
		end := bytes.IndexAny(line, "= ")
		if end < 0 || line[end] == ' ' {
			if end < 0 {
				break
			}
			line = line[end:] // a word without a value
			continue
		}
		key, rest := line[:end], line[end+1:]
		var value []byte
		if len(rest) > 0 && rest[0] == '"' {
			var ok bool
			if value, line, ok = quoted(rest[1:]); !ok {
				return false
			}
		} else if space := bytes.IndexByte(rest, ' '); space >= 0 {
			value, line = rest[:space], rest[space:]
		} else {
			value, line = rest, nil
		}
		found = true
		if i, ok := l.index[string(key)]; ok {
			values[i] = value
		}
	}
	return found
}
