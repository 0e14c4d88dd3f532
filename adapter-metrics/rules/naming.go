package rules

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// nameOf makes a name of a path: snake case with the prefix in front. Array positions and keys
// that are no identifiers become labels, called after what they stand under.
func nameOf(prefix string, path [][]byte) (string, []sample.Label) {
	b := []byte(prefix)
	var labels []sample.Label
	above := "key"
	for _, seg := range path {
		if !identifier(seg) {
			labels = append(labels, sample.Label{Name: free(labels, above), Value: seg})
			continue
		}
		if len(b) > 0 {
			b = append(b, '_')
		}
		from := len(b)
		b = sample.AppendSnake(b, bytes.TrimLeft(seg, "_"))
		above = sample.Singular(string(b[from:]))
	}
	return string(b), labels
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

// Classic spells a name as statsd_exporter does: what is neither letter, digit nor underscore becomes an underscore, two
// dashes one; a digit in front gets one before it.
func Classic(name string) string {
	var b strings.Builder
	before := rune(0)
	for i, c := range name {
		plain := c == '_' || c < 0x80 && (letter(byte(c)) || c >= '0' && c <= '9')
		switch {
		case i == 0 && c >= '0' && c <= '9':
			b.WriteByte('_')
			b.WriteRune(c)
		case plain:
			b.WriteRune(c)
		case c != '-' || before != '-':
			b.WriteByte('_')
		}
		before = c
	}
	return b.String()
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
