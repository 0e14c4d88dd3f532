package shard

import (
	"bytes"
	"errors"
	"fmt"
)

// Reply finds the end of one reply of the Redis protocol, versions 2 and 3, in bytes that come in pieces. It keeps no
// bytes: what it has passed can be relayed at once, whatever the size of the reply. It does no I/O. The zero value is ready
// for the first byte.
type Reply struct {
	begun   bool
	pending int64 // values still to come, nested ones included
	bulk    int64 // bytes of a bulk string still to come, its CR LF included
	line    bool  // within a simple string or an error
	cr      bool  // the byte before was CR
}

// Scan passes over the bytes of b that belong to the reply. n is how many do; done says that it ended there. Without done,
// the rest of b (less than a header) must come again together with the bytes that follow.
func (r *Reply) Scan(b []byte) (n int, done bool, err error) {
	if !r.begun {
		r.begun, r.pending = true, 1
	}
	for r.pending > 0 || r.bulk > 0 || r.line {
		if n == len(b) {
			return n, false, nil
		}
		switch {
		case r.bulk > 0:
			if err := r.passBulk(b, &n); err != nil {
				return n, false, err
			}
		case r.line:
			if err := r.passLine(b, &n); err != nil {
				return n, false, err
			}
		default:
			size, err := r.head(b[n:])
			if err == errMore {
				return n, false, nil
			}
			if err != nil {
				return n, false, err
			}
			n += size
		}
	}
	*r = Reply{}
	return n, true, nil
}

// passBulk takes the bytes of a bulk string; its last two must be CR LF.
func (r *Reply) passBulk(b []byte, n *int) error {
	if text := min(r.bulk-2, int64(len(b)-*n)); text > 0 {
		*n += int(text)
		r.bulk -= text
		return nil
	}
	if want := "\n\r"[r.bulk-1]; b[*n] != want {
		return errors.New("a bulk string does not end with CR LF")
	}
	*n++
	r.bulk--
	return nil
}

func (r *Reply) passLine(b []byte, n *int) error {
	for ; *n < len(b); *n++ {
		switch c := b[*n]; {
		case r.cr && c == '\n':
			*n++
			r.line, r.cr = false, false
			return nil
		case r.cr || c == '\n':
			return errors.New("a line has a bare CR or LF")
		default:
			r.cr = c == '\r'
		}
	}
	return nil
}

// head reads the first line of a value, or the first byte when the line is text.
func (r *Reply) head(b []byte) (int, error) {
	switch b[0] {
	case '+', '-', ',', '(':
		r.line = true
		r.pending--
		return 1, nil
	case ':', '_', '#':
		end := bytes.IndexByte(b[:min(len(b), maxHeader)], '\n')
		if end < 0 && len(b) < maxHeader {
			return 0, errMore
		}
		if end < 1 || b[end-1] != '\r' || bytes.IndexByte(b[:end-1], '\r') >= 0 {
			return 0, fmt.Errorf("%q is not a value", b[:min(len(b), maxHeader)])
		}
		r.pending--
		return end + 1, nil
	case '$', '=', '!':
		size, n, err := number(b, b[0], maxBulk)
		if err != nil {
			return 0, err
		}
		r.pending--
		if size >= 0 {
			r.bulk = int64(size) + 2
		}
		return n, nil
	case '*', '~', '%', '|':
		count, n, err := number(b, b[0], 1<<31-1)
		if err != nil {
			return 0, err
		}
		r.pending += grown(b[0], int64(max(count, 0)))
		if r.pending > 1<<40 {
			return 0, errors.New("a reply is nested without bounds")
		}
		return n, nil
	}
	return 0, fmt.Errorf("%q does not begin a reply", b[:1])
}

// grown is how many more values follow an aggregate: its own, less itself. An attribute (|) stands before a value.
func grown(mark byte, count int64) int64 {
	switch mark {
	case '%':
		return 2*count - 1
	case '|':
		return 2 * count
	}
	return count - 1
}
