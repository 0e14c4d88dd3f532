package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestClass_IsWhatTheStandardsSay(t *testing.T) {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for i := range 256 {
		c := byte(i)
		in := func(set string) bool { return c != 0 && c < 0x80 && strings.IndexByte(alnum+set, c) >= 0 }
		visible := c > 0x20 && c != 0x7f
		for bit, want := range map[byte]bool{
			tokenChar:  in("!#$%&'*+-.^_`|~"),
			hostChar:   in("-._~%!$&'()*+;="),
			targetChar: visible && c != '#',
			valueChar:  visible || c == ' ' || c == '\t',
		} {
			if got := class[c]&bit != 0; got != want {
				t.Errorf("byte %#x, class %d: %v, want %v", c, bit, got, want)
			}
		}
	}
}

func TestIsValue_SeesEachByteAtEachPlace(t *testing.T) {
	for n := 1; n <= 17; n++ {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte{'a'}, n)
				b[at] = byte(c)
				if got, want := isValue(b), class[byte(c)]&valueChar != 0; got != want {
					t.Fatalf("%q: %v, want %v", b, got, want)
				}
			}
		}
	}
}

func TestIs_FoldsCaseOnly(t *testing.T) {
	const lower = "x-a1"
	for at := range len(lower) {
		for c := range 256 {
			b := []byte(lower)
			b[at] = byte(c)
			if class[byte(c)]&tokenChar == 0 {
				continue
			}
			want := strings.EqualFold(string(b), lower) && c < 0x80
			if is(b, lower) != want {
				t.Errorf("is(%q) = %v", b, !want)
			}
			if got := isLoose(b, lower); got != (want || c == '_' && lower[at] == '-') {
				t.Errorf("isLoose(%q) = %v", b, got)
			}
		}
	}
}
