package sample

import "strings"

// AppendSnake appends a segment of a path in snake case: linesWritten, HTTPServer and used-bytes become lines_written,
// http_server and used_bytes. A name cannot start with a digit, so one at the very front gets an underscore before it.
func AppendSnake(b, segment []byte) []byte {
	at := func(i int) byte {
		if i < 0 || i >= len(segment) {
			return 0
		}
		return segment[i]
	}
	for i, c := range segment {
		switch {
		case upper(c):
			p := at(i - 1)
			if lower(p) || digit(p) || upper(p) && lower(at(i+1)) {
				b = append(b, '_')
			}
			b = append(b, c|0x20)
		case digit(c) && len(b) == 0:
			b = append(b, '_', c)
		case lower(c), digit(c):
			b = append(b, c)
		default:
			b = append(b, '_')
		}
	}
	return b
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

// Singular names one of several: pools gives pool, entries entry, status status.
func Singular(s string) string {
	switch {
	case strings.HasSuffix(s, "ies") && len(s) > 4:
		return s[:len(s)-3] + "y"
	case strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "ss") && !strings.HasSuffix(s, "us") && !strings.HasSuffix(s, "is") && len(s) > 2:
		return s[:len(s)-1]
	}
	return s
}
