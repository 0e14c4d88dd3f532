package shard

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of one command: more is refused before it is stored.
const (
	maxArgs   = 1 << 20   // as Redis bounds a multibulk
	maxInline = 64 << 10  // as Redis bounds an inline command
	maxBulk   = 512 << 20 // as Redis bounds a bulk string
	maxHeader = 32        // "*" or "$", a number, CR LF
)

// errMore says that the bytes so far are a good beginning.
var errMore = errors.New("incomplete") // a value, never written

// ParseCommand reads one command of the Redis protocol (redis.io/docs/reference/protocol-spec) from the beginning of b:
// an array of bulk strings, or a line of words. The arguments point into b; args is used again when it is large enough.
// It does no I/O. The error is errMore when b ends too early; any other error is final for the connection. An empty
// command (n > 0, no arguments) is to be skipped.
func ParseCommand(b []byte, args [][]byte) (out [][]byte, n int, err error) {
	args = args[:0]
	if len(b) == 0 {
		return args, 0, errMore
	}
	if b[0] != '*' {
		return parseInline(b, args)
	}
	count, at, err := number(b, '*', maxArgs)
	if err != nil {
		return args, 0, err
	}
	for range max(count, 0) {
		size, head, err := number(b[at:], '$', maxBulk)
		if err != nil {
			return args, 0, err
		}
		if size < 0 {
			return args, 0, errors.New("invalid bulk length")
		}
		at += head
		if len(b)-at < size+2 {
			return args, 0, errMore
		}
		if b[at+size] != '\r' || b[at+size+1] != '\n' {
			return args, 0, errors.New("a bulk string does not end with CR LF")
		}
		args = append(args, b[at:at+size:at+size])
		at += size + 2
	}
	return args, at, nil
}

// number reads the header of an array or bulk string: mark, a decimal number, CR LF.
func number(b []byte, mark byte, limit int) (v, n int, err error) {
	if len(b) == 0 {
		return 0, 0, errMore
	}
	if b[0] != mark {
		return 0, 0, fmt.Errorf("expected '%c', got %q", mark, b[:1])
	}
	end := bytes.IndexByte(b[:min(len(b), maxHeader)], '\n')
	if end < 0 {
		if len(b) >= maxHeader {
			return 0, 0, errors.New("a length is too long")
		}
		return 0, 0, errMore
	}
	if end < 2 || b[end-1] != '\r' {
		return 0, 0, errors.New("a length does not end with CR LF")
	}
	if v, err = decimal(b[1:end-1], limit); err != nil {
		return 0, 0, err
	}
	return v, end + 1, nil
}

// decimal reads -1 or a number without sign and without leading zeros, at most limit.
func decimal(b []byte, limit int) (int, error) {
	if string(b) == "-1" {
		return -1, nil
	}
	if len(b) == 0 || len(b) > 18 || (b[0] == '0' && len(b) > 1) {
		return 0, fmt.Errorf("%q is not a length", b)
	}
	v := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a length", b)
		}
		v = 10*v + int(c-'0')
	}
	if v > limit {
		return 0, fmt.Errorf("length %d is above %d", v, limit)
	}
	return v, nil
}

// parseInline reads words up to the end of the line. Quotes are refused rather than guessed at.
func parseInline(b []byte, args [][]byte) ([][]byte, int, error) {
	end := bytes.IndexByte(b[:min(len(b), maxInline)], '\n')
	if end < 0 {
		if len(b) >= maxInline {
			return args, 0, errors.New("too big inline request")
		}
		return args, 0, errMore
	}
	line := bytes.TrimSuffix(b[:end], []byte("\r"))
	if bytes.ContainsAny(line, "\"'\x00\r") {
		return args, 0, errors.New("quotes in an inline command are not supported")
	}
	for word := range bytes.FieldsSeq(line) {
		args = append(args, word)
	}
	return args, end + 1, nil
}

// AppendCommand writes args as an array of bulk strings.
func AppendCommand(b []byte, args ...[]byte) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = appendBulk(b, a)
	}
	return b
}

func appendBulk(b, a []byte) []byte {
	b = fmt.Appendf(b, "$%d\r\n", len(a))
	b = append(b, a...)
	return append(b, "\r\n"...)
}
