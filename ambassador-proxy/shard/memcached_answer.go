package shard

import (
	"bytes"
	"errors"
	"io"
)

// lead is what a line of memcached's answers begins with.
type lead string

const (
	leadValue       lead = "VALUE" // data follow
	leadMeta        lead = "VA"    // data follow
	leadEnd         lead = "END"
	leadNoop        lead = "MN"
	leadOK          lead = "OK"
	leadError       lead = "ERROR"
	leadClientError lead = "CLIENT_ERROR"
	leadServerError lead = "SERVER_ERROR"
	leadOther       lead = "other"
)

func leadOf(word []byte) lead {
	for _, l := range [...]lead{leadValue, leadMeta, leadEnd, leadNoop, leadOK, leadError, leadClientError, leadServerError} {
		if string(word) == string(l) {
			return l
		}
	}
	return leadOther
}

func (l lead) failed() bool {
	return l == leadError || l == leadClientError || l == leadServerError
}

// text relays one answer: a line, and the data behind VALUE and VA. w nil drops it, and so does hold. It returns what the line
// begins with.
func (b *backend) text(w io.Writer, hold func(lead) bool) (l lead, begun bool, err error) {
	line, err := b.line()
	if err != nil {
		return "", false, err
	}
	l, size, err := headOf(line)
	if err != nil {
		return "", false, &malformed{err}
	}
	if w == nil || hold != nil && hold(l) {
		w = io.Discard
	}
	if _, err := w.Write(line); err != nil {
		return l, true, &clientError{err}
	}
	b.skip(0) // line is done with
	for left := size + 2; size >= 0 && left > 0; {
		if len(b.unread()) == 0 {
			if err := b.fill(); err != nil {
				return l, true, err
			}
		}
		n := min(left, len(b.unread()))
		if _, err := w.Write(b.unread()[:n]); err != nil {
			return l, true, &clientError{err}
		}
		b.skip(n)
		left -= n
	}
	return l, true, nil
}

// headOf reads the line of an answer: what it begins with, and the size of the data behind it, -1 when there are none.
func headOf(line []byte) (l lead, size int, err error) {
	word, rest, _ := bytes.Cut(line[:len(line)-2], []byte(" "))
	if len(word) == 0 {
		return "", 0, errors.New("an empty line")
	}
	skip := 0
	switch l = leadOf(word); l {
	case leadValue: // VALUE key flags size
		skip = 2
	case leadMeta: // VA size
	default:
		return l, -1, nil
	}
	for range skip {
		_, rest, _ = bytes.Cut(rest, []byte(" "))
	}
	number, _, _ := bytes.Cut(rest, []byte(" "))
	if size, err = decimal(number, maxBulk); err != nil || size < 0 {
		return "", 0, errors.New("no size")
	}
	return l, size, nil
}

// textEnd is the length of the answer at the beginning of b, a line and its data; errMore when b ends before it.
func textEnd(b []byte) (l lead, n int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return "", 0, errMore
	}
	if end < 1 || b[end-1] != '\r' {
		return "", 0, errors.New("a line of the answer does not end with CR LF")
	}
	l, size, err := headOf(b[:end+1])
	if n = end + 1; size >= 0 {
		n += size + 2
	}
	if err == nil && n > len(b) {
		err = errMore
	}
	return l, n, err
}
