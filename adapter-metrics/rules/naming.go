package rules

import (
	"fmt"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// nameOf makes a name of a path: snake case with the prefix in front. Array positions and keys
// that are no identifiers become labels, called after what they stand under.
func nameOf(prefix string, path [][]byte) (string, []sample.Label) {
	var b strings.Builder
	b.WriteString(prefix)
	var labels []sample.Label
	above := "key"
	for _, seg := range path {
		if identifier(seg) {
			part := snake(string(seg))
			if b.Len() > 0 {
				b.WriteByte('_')
			}
			b.WriteString(part)
			above = singular(part)
			continue
		}
		labels = append(labels, sample.Label{Name: free(labels, above), Value: seg})
	}
	return b.String(), labels
}

func free(labels []sample.Label, name string) string {
	n := name
	for i := 0; i < len(labels); i++ {
		if labels[i].Name == n {
			n, i = fmt.Sprintf("%s_%d", name, len(labels)+1), -1
		}
	}
	return n
}

// identifier reports whether a key reads like a name that a programmer gave, not like data.
func identifier(seg []byte) bool {
	if len(seg) == 0 || len(seg) > 100 || !letter(seg[0]) && seg[0] != '_' {
		return false
	}
	for _, c := range seg {
		if !letter(c) && (c < '0' || c > '9') && c != '_' && c != '-' && c != ' ' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// singular names one of several: pools gives pool, entries entry, status status.
func singular(s string) string {
	switch {
	case strings.HasSuffix(s, "ies") && len(s) > 4:
		return s[:len(s)-3] + "y"
	case strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "ss") && !strings.HasSuffix(s, "us") && !strings.HasSuffix(s, "is") && len(s) > 2:
		return s[:len(s)-1]
	}
	return s
}

// snake writes linesWritten, HTTPServer and used-bytes as lines_written, http_server and used_bytes.
func snake(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			if i > 0 && (s[i-1] >= 'a' && s[i-1] <= 'z' || s[i-1] >= '0' && s[i-1] <= '9' ||
				i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z' && s[i-1] >= 'A' && s[i-1] <= 'Z') {
				b.WriteByte('_')
			}
			b.WriteByte(c + 'a' - 'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == ':' && i > 0:
			b.WriteByte(c)
		default:
			b.WriteByte('_')
		}
	}
	return strings.TrimLeft(b.String(), "_")
}

// harmless renames a gauge whose name would look like a part of a histogram, or carry a unit that
// says nothing.
func harmless(name string) string {
	for _, suffix := range []string{"_count", "_sum", "_bucket", "_info", "_created", "_gauge", "_counter"} {
		if strings.HasSuffix(name, suffix) {
			return name + "_value"
		}
	}
	return name
}
