package decode

import "bytes"

// nextLine cuts one line, without its end, off pushed bytes. It is in the way of every line: no closure, no iterator.
func nextLine(p []byte) (line, rest []byte) {
	line = p
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		line, rest = p[:i], p[i+1:]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}
