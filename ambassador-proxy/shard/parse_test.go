package shard

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseCommand_TakesOnlyWhatIsFramedExactly(t *testing.T) {
	for in, want := range map[string]string{
		"*2\r\n$3\r\nGET\r\n$1\r\na\r\nrest": "GET|a",
		"*1\r\n$0\r\n\r\n":                   "",
		"PING\r\n":                           "PING",
		"GET  a\n":                           "GET|a",
		"*2\r\n$3\r\nGET\r\n$1\r\na\r":       "incomplete",
		"*":                                  "incomplete",
		"*2\n":                               "a length does not end",
		"*02\r\n":                            "is not a length",
		"*+2\r\n":                            "is not a length",
		"*1\r\n$3\r\nGETxx":                  "does not end with CR LF",
		"*1\r\n$-1\r\n":                      "invalid bulk length",
		"*1\r\n:3\r\n":                       "expected '$'",
		"*1048577\r\n":                       "is above",
		"*1\r\n$536870913\r\n":               "is above",
		"*1\r\n$1111111111111111111111111111111111": "too long",
		"SET a \"b c\"\r\n":                         "quotes",
	} {
		args, _, err := ParseCommand([]byte(in), nil)
		got := string(bytes.Join(args, []byte("|")))
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestReply_FindsTheEndOfEveryKindOfReply(t *testing.T) {
	for _, in := range []string{"+OK\r\n", "-ERR no\r\n", ":-12\r\n", "$3\r\na\r\n\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n", "|1\r\n+a\r\n+b\r\n_\r\n", "=5\r\ntxt:a\r\n", "(123\r\n", "!3\r\nERR\r\n"} {
		for size := 1; size <= len(in); size++ { // in pieces of any size
			if n, err := scanAll([]byte(in+"+next\r\n"), size); err != nil || n != len(in) {
				t.Errorf("%q in pieces of %d ends at %d: %v", in, size, n, err)
			}
		}
	}
	for _, in := range []string{"x", "+a\nb\r\n", "+a\rb\r\n", "$1\r\nab\r\n", ":1\n", "*01\r\n", ">1\r\n+push\r\n", "$99999999999\r\n"} {
		if _, err := scanAll([]byte(in), len(in)); err == nil || err == errMore {
			t.Errorf("%q was taken: %v", in, err)
		}
	}
}

// scanAll gives b to a Reply in pieces, what was not taken together with the next piece.
func scanAll(b []byte, size int) (int, error) {
	var r Reply
	from := 0
	for to := min(size, len(b)); ; to = min(to+size, len(b)) {
		n, done, err := r.Scan(b[from:to])
		if n < 0 || n > to-from {
			return 0, errors.New("took bytes that were not there")
		}
		if from += n; err != nil || done {
			return from, err
		}
		if to == len(b) {
			return from, errMore
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"))
	f.Add([]byte("PING\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		args, n, err := ParseCommand(b, nil)
		if err != nil {
			return
		}
		if n <= 0 || n > len(b) {
			t.Fatalf("%q: %d bytes taken", b, n)
		}
		again, m, err := ParseCommand(AppendCommand(nil, args...), nil)
		if err != nil || m != len(AppendCommand(nil, args...)) || len(again) != len(args) {
			t.Fatalf("%q: what was understood is not understood again: %v", b, err)
		}
		for i := range args {
			if !bytes.Equal(args[i], again[i]) {
				t.Fatalf("%q: argument %d changed", b, i)
			}
		}
		if cut, _, err := ParseCommand(b[:n-1], nil); err == nil {
			t.Fatalf("%q: complete already one byte earlier, as %q", b, cut)
		}
	})
}

// FuzzRest holds the streaming parser against the one that wants the whole: two views of one command never differ.
func FuzzRest(f *testing.F) {
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\nrest"), 20, 3)
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nab\r\n"), 12, 1)
	f.Fuzz(func(t *testing.T, b []byte, cut, size int) {
		cut = min(max(cut, 0), len(b))
		if cut == 0 || b[0] != '*' {
			return
		}
		args, from, rest, err := parseArray(b[:cut], nil)
		if err != errMore || rest.args == 0 {
			return
		}
		if _, least, err := ParseCommand(b[:cut], nil); err != errMore || least <= cut && rest.bulk > 0 {
			t.Fatalf("%q: wants only %d bytes: %v", b[:cut], least, err)
		}
		end, done := from, false
		for to := cut; !done; to = min(to+max(size%64, 1), len(b)) {
			var n int
			n, done, err = rest.Scan(b[end:to])
			if end += n; err != nil || !done && to == len(b) {
				break
			}
		}
		whole, n, errWhole := ParseCommand(b, nil)
		switch {
		case done && (errWhole != nil || n != end || len(whole) < len(args)):
			t.Fatalf("%q: ends at %d in pieces, at %d whole: %v", b, end, n, errWhole)
		case !done && errWhole == nil:
			t.Fatalf("%q: is whole, and not in pieces: %v", b, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n%1\r\n+k\r\n:1\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		whole, errWhole := scanAll(b, len(b)+1)
		pieces, errPieces := scanAll(b, max(size%64, 1))
		if (errWhole == nil) != (errPieces == nil) || errWhole == nil && whole != pieces {
			t.Fatalf("%q: %d %v whole, %d %v in pieces", b, whole, errWhole, pieces, errPieces)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte("set a 0 0 1\r\nx\r\n"))
	f.Add([]byte("mg a v\r\n"))
	f.Add([]byte("get a  b\n"))
	f.Add([]byte(" \x80\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		words, line, n, err := ParseLine(b, nil)
		if err == errMore && n > 0 { // the line is there: its data can be scanned in pieces
			k := block{n - line}
			if passed, done, err := k.Scan(b[line:]); done || err == nil && passed != len(b)-line {
				t.Fatalf("%q: %d of the data passed, done %v", b, passed, done)
			}
		}
		if err != nil {
			return
		}
		if line <= 0 || n < line || n > len(b) {
			t.Fatalf("%q: line %d, all %d", b, line, n)
		}
		k := block{n - line}
		if passed, done, err := k.Scan(b[line:n]); n > line && (err != nil || !done || passed != n-line) {
			t.Fatalf("%q: the data are not understood in pieces: %v", b, err)
		}
		// What is sent on is understood again, as the same.
		sent := append(append(appendWords(nil, words), '\r'), b[line-1:n]...)
		again, _, m, err := ParseLine(sent, nil)
		if err != nil || m != len(sent) || len(again) != len(words) {
			t.Fatalf("%q: sent on as %q, which is not understood: %v", b, sent, err)
		}
		for i := range words {
			if !bytes.Equal(words[i], again[i]) {
				t.Fatalf("%q: word %d changed", b, i)
			}
		}
	})
}

// FuzzHead holds that a line of a server is refused or has a sane size.
func FuzzHead(f *testing.F) {
	f.Add([]byte("VALUE a 0 5 7\r\n"))
	f.Add([]byte("VA 5 f0\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 2 || string(b[len(b)-2:]) != "\r\n" || bytes.IndexByte(b, '\n') != len(b)-1 {
			return
		}
		l, size, err := headOf(b)
		if err == nil && (size < -1 || size > maxBulk || (size >= 0) != (l == leadValue || l == leadMeta)) {
			t.Fatalf("%q: %s, %d bytes", b, l, size)
		}
	})
}

func TestTagged_HashesOnlyWhatStandsBetween(t *testing.T) {
	for key, want := range map[string]string{"a{b}c": "b", "{}a": "{}a", "a{b": "a{b", "{a}{b}": "a", "plain": "plain", "}a{b}": "b"} {
		if got := string(tagged([]byte(key), "{}")); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func BenchmarkParseCommand(b *testing.B) { // guards: no allocation on the way of a request
	in := []byte("*3\r\n$3\r\nSET\r\n$6\r\nuser:7\r\n$5\r\nhello\r\n")
	var args [][]byte
	b.ReportAllocs()
	for b.Loop() {
		args, _, _ = ParseCommand(in, args)
	}
}
