package series

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// scratch is what building one key needs.
type scratch struct {
	key    []byte
	labels []sample.Label
}

// key renders the name and the sorted, cleaned labels of a series.
func (f *Family) key(s *scratch, src *Source, labels []sample.Label) ([]byte, error) {
	if n := f.store.limits.Labels; len(labels) > n {
		src.limit("labels")
		return nil, &LimitError{Name: f.desc.Name, Limit: "labels", Value: n}
	}
	s.labels = s.labels[:0]
	for _, l := range labels {
		if len(l.Value) == 0 || l.Name == "" {
			continue
		}
		l.Name = f.labelName(l.Name)
		if n := f.store.limits.LabelBytes; len(l.Value) > n {
			src.limit("label_bytes")
			l.Value = cut(l.Value, n)
		}
		s.labels = insert(s.labels, l)
	}
	if f.desc.Type == StateSet && !slices.ContainsFunc(s.labels, func(l sample.Label) bool { return l.Name == f.desc.Name }) {
		err := &NameError{Name: f.desc.Name, Why: "is a state set, whose series have a label of that name"}
		f.store.conflicts.add(f.desc.Name, err)
		return nil, err
	}
	s.key = f.appendKey(s.key[:0], s.labels)
	return s.key, nil
}

// insert keeps labels sorted and unique by name. Series have few labels, so this is
// cheaper than sorting.
func insert(labels []sample.Label, l sample.Label) []sample.Label {
	i := len(labels)
	for i > 0 && labels[i-1].Name > l.Name {
		i--
	}
	if i > 0 && labels[i-1].Name == l.Name {
		return labels
	}
	labels = append(labels, sample.Label{})
	copy(labels[i+1:], labels[i:])
	labels[i] = l
	return labels
}

// labelName gives a name that the format reserves for itself the prefix exported_, as
// Prometheus does with labels that clash with the target's.
func (f *Family) labelName(n string) string {
	switch f.desc.Type {
	case Histogram:
		if n == "le" {
			return "exported_le"
		}
	case Summary:
		if n == "quantile" {
			return "exported_quantile"
		}
	}
	if strings.HasPrefix(n, "__") {
		n = "exported_" + strings.TrimLeft(n, "_")
	}
	if len(n) > maxNameBytes {
		n = string(cut([]byte(n), maxNameBytes))
	}
	return strings.ToValidUTF8(n, "\uFFFD")
}

// cut shortens b to at most n bytes without splitting a rune.
func cut(b []byte, n int) []byte {
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// appendKey appends name{labels} and a space. A name outside the classic characters
// goes, quoted, between the braces.
func (f *Family) appendKey(b []byte, labels []sample.Label) []byte {
	if plainName(f.desc.Name) {
		b = append(b, f.desc.Name...)
		if len(labels) == 0 {
			return append(b, ' ')
		}
		b = append(b, '{')
	} else {
		b = append(b, '{', '"')
		b = append(AppendEscaped(b, f.desc.Name), '"')
		if len(labels) > 0 {
			b = append(b, ',')
		}
	}
	for i, l := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		if plainLabel(l.Name) {
			b = append(b, l.Name...)
		} else {
			b = append(AppendEscaped(append(b, '"'), l.Name), '"')
		}
		b = append(b, '=', '"')
		b = append(AppendEscaped(b, l.Value), '"')
	}
	return append(b, '}', ' ')
}

// AppendEscaped appends a label value, or a quoted name, as the text formats write it: backslash,
// quote and line feed escaped, what is no UTF-8 replaced.
func AppendEscaped[T string | []byte](b []byte, v T) []byte {
	from := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\\' || c == '"':
			b = append(append(b, v[from:i]...), '\\', c)
		case c == '\n':
			b = append(append(b, v[from:i]...), '\\', 'n')
		case c < utf8.RuneSelf:
			continue
		default:
			if r, n := utf8.DecodeRuneInString(string(v[i:min(len(v), i+utf8.UTFMax)])); r != utf8.RuneError || n > 1 {
				i += n - 1
				continue
			}
			b = append(append(b, v[from:i]...), "\uFFFD"...)
		}
		from = i + 1
	}
	return append(b, v[from:]...)
}

// labelPart cuts the labels out of a key.
func labelPart(key string, nameBytes int) string {
	if key[0] != '{' {
		if len(key) == nameBytes+1 {
			return ""
		}
		return key[nameBytes+1 : len(key)-2]
	}
	rest := key[quoted(key[1:])+1:]
	if rest[0] == ',' {
		return rest[1 : len(rest)-2]
	}
	return ""
}

// quoted returns how many bytes the quoted string takes that s starts with.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// EachLabel calls yield with the name and value of each label in the form that
// Series.Labels returns, unescaped.
func EachLabel(labels string, yield func(name, value string)) {
	for len(labels) > 0 {
		var name string
		if labels[0] == '"' {
			n := quoted(labels)
			name, labels = unescape(labels[1:n-1]), labels[n+1:]
		} else {
			i := strings.IndexByte(labels, '=')
			name, labels = labels[:i], labels[i+1:]
		}
		n := quoted(labels)
		yield(name, unescape(labels[1:n-1]))
		if labels = labels[n:]; labels != "" {
			labels = labels[1:]
		}
	}
}

func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(s)
}

// plainKey reports whether no label name in a key is quoted. The metric's own name is
// the family's business.
func plainKey(key string) bool {
	i := strings.IndexByte(key, '{') + 1
	if i == 0 {
		return true
	}
	for i < len(key) && key[i] != '}' {
		if key[i] == '"' {
			return false
		}
		i += strings.IndexByte(key[i:], '=') + 1
		if i += quoted(key[i:]); key[i] == ',' {
			i++
		}
	}
	return true
}
