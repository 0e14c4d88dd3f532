package decode

import (
	"bytes"
	"strconv"
	"unsafe"
)

// parseNumber parses a decimal number. Up to fifteen digits are exact without the
// general algorithm: both the digits and the power of ten fit a float64.
func parseNumber(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return parseAnyNumber(b)
	}
	i := 0
	if b[0] == '-' || b[0] == '+' {
		i = 1
	}
	var n uint64
	point, digits := -1, 0
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c <= 9 {
			n = n*10 + uint64(c)
			digits++
			continue
		}
		if b[i] != '.' || point >= 0 {
			return parseAnyNumber(b)
		}
		point = i
	}
	if digits == 0 || digits > 15 {
		return parseAnyNumber(b)
	}
	f := float64(n)
	if point >= 0 {
		f /= powerOfTen(len(b) - 1 - point)
	}
	if b[0] == '-' {
		f = -f
	}
	return f, true
}

func powerOfTen(n int) float64 {
	exact := [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
	return exact[n]
}

// parseAnyNumber takes what is left of decimal numbers, but neither hexadecimal ones nor the
// words inf and nan, and nothing that overflows.
func parseAnyNumber(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 400 {
		return 0, false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && bytes.IndexByte([]byte("+-.eE"), c) < 0 {
			return 0, false
		}
	}
	// ParseFloat keeps its argument only in errors, which are not kept here.
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64)
	return f, err == nil
}

// badNumber says why parseNumber refused b.
func badNumber(b []byte) string {
	t := bytes.ToLower(bytes.TrimLeft(b[:min(len(b), 16)], "+-"))
	for _, word := range []string{"inf", "infinity", "nan"} {
		if string(t) == word {
			return whyNotFinite
		}
	}
	return whyValue
}
