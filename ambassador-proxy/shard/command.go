package shard

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
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
// It does no I/O. The error is errMore when b ends too early: out are then the arguments that are complete, and n is how long
// the command is at least, or 0. Any other error is final for the connection. An empty command (n > 0, no arguments) is to be
// skipped.
func ParseCommand(b []byte, args [][]byte) (out [][]byte, n int, err error) {
	if len(b) > 0 && b[0] != '*' {
		return parseInline(b, args[:0])
	}
	out, n, rest, err := parseArray(b, args[:0])
	if err == errMore && rest.args > 0 {
		const least = len("$0\r\n\r\n")
		n += int(rest.bulk) + least*rest.args
		if rest.bulk > 0 {
			n -= least
		}
	}
	return out, n, err
}

// parseArray reads an array of bulk strings. When b ends too early, n is where the first incomplete one begins (or its text,
// then rest.bulk tells its length) and rest is what finds the end of the command from there.
func parseArray(b []byte, args [][]byte) (out [][]byte, n int, rest Rest, err error) {
	count, n, err := number(b, '*', maxArgs)
	if err != nil {
		return args, 0, rest, err
	}
	for rest.args = max(count, 0); rest.args > 0; rest.args-- {
		size, head, err := bulk(b[n:])
		if err != nil {
			return args, n, rest, err
		}
		if len(b)-n-head < size+2 {
			rest.bulk = int64(size) + 2
			return args, n + head, rest, errMore
		}
		n += head
		if b[n+size] != '\r' || b[n+size+1] != '\n' {
			return args, n, rest, errors.New("a bulk string does not end with CR LF")
		}
		args = append(args, b[n:n+size:n+size])
		n += size + 2
	}
	return args, n, rest, nil
}

func bulk(b []byte) (size, n int, err error) {
	if size, n, err = number(b, '$', maxBulk); err == nil && size < 0 {
		err = errors.New("invalid bulk length")
	}
	return size, n, err
}

// Rest finds the end of a command whose beginning was parsed, in bytes that come in pieces. It does no I/O.
type Rest struct {
	args int   // that are not complete
	bulk int64 // bytes of the current one still to come, its CR LF included; 0 before its header
}

// Scan passes over the bytes of b that belong to the command. n is how many do; done says that it ended there. Without done,
// the rest of b (less than a header) must come again together with the bytes that follow.
func (r *Rest) Scan(b []byte) (n int, done bool, err error) {
	for r.args > 0 {
		if r.bulk == 0 {
			size, head, err := bulk(b[n:])
			if err == errMore {
				return n, false, nil
			}
			if err != nil {
				return n, false, err
			}
			n, r.bulk = n+head, int64(size)+2
		}
		if text := min(r.bulk-2, int64(len(b)-n)); text > 0 {
			n, r.bulk = n+int(text), r.bulk-text
		}
		for ; r.bulk <= 2 && r.bulk > 0; r.bulk-- {
			if n == len(b) {
				return n, false, nil
			}
			if b[n] != "\n\r"[r.bulk-1] {
				return n, false, errors.New("a bulk string does not end with CR LF")
			}
			n++
		}
		if r.bulk > 0 {
			return n, false, nil
		}
		r.args--
	}
	return n, true, nil
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
	b = appendHead(b, '*', len(args))
	for _, a := range args {
		b = appendBulk(b, a)
	}
	return b
}

func appendHead(b []byte, mark byte, n int) []byte {
	b = strconv.AppendInt(append(b, mark), int64(n), 10)
	return append(b, "\r\n"...)
}

func appendBulk(b, a []byte) []byte {
	b = append(appendHead(b, '$', len(a)), a...)
	return append(b, "\r\n"...)
}
