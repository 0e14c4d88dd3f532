package shape

import (
	"bytes"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// preset is the finder of a kind of secret, nil when it is not known.
func preset(name string) finder {
	switch name {
	case "card":
		return newCardFinder()
	case "bearer":
		return expression(regexp.MustCompile(`(?i)\bbearer[\s:=]+([A-Za-z0-9\-._~+/]{8,}=*)`), []byte("earer"))
	case "basic":
		return expression(regexp.MustCompile(`(?i)\bbasic\s+([A-Za-z0-9+/]{8,}=*)`), []byte("asic"))
	case "email":
		return expression(regexp.MustCompile(`[\pL\pN._%+\-]+@[\pL\pN](?:[\pL\pN\-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN\-]*[\pL\pN])?)+`), []byte("@"))
	case "jwt":
		return expression(regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*`), []byte("eyJ"))
	case "aws_key":
		return expression(regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`), []byte("IA"))
	case "password":
		return expression(regexp.MustCompile(`(?i)(?:password|passwd|pwd|secret|token|api[_-]?key)["']?\s*[:=]\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}]+)`), nil)
	case "url_password":
		return expression(regexp.MustCompile(`\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@]*:([^\s/@]+)@`), []byte("://"))
	case "private_key":
		return expression(regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), []byte("PRIVATE KEY"))
	case "ip":
		return expression(regexp.MustCompile(`\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b`), []byte("."))
	default:
		return nil
	}
}

// expression finds what matches re, or its first group where it has one. The expression is only tried on text that contains
// literal, in which letters are compared without case.
func expression(re *regexp.Regexp, literal []byte) finder {
	group := min(re.NumSubexp(), 1)
	contains, lower := containsFold, bytes.ToLower(literal)
	if bytes.Equal(lower, bytes.ToUpper(literal)) {
		contains = bytes.Contains
	}
	return func(spans []span, text []byte) []span {
		if literal != nil && !contains(text, lower) {
			return spans
		}
		for _, m := range re.FindAllSubmatchIndex(text, -1) {
			if m[2*group] >= 0 && m[2*group+1] > m[2*group] {
				spans = append(spans, span{m[2*group], m[2*group+1]})
			}
		}
		return spans
	}
}

// containsFold says that text contains lower, which is not empty, in whatever case its letters are (of ASCII).
func containsFold(text, lower []byte) bool {
	for i := 0; i+len(lower) <= len(text); i++ {
		n := 0
		for n < len(lower) && toLower(text[i+n]) == lower[n] {
			n++
		}
		if n == len(lower) {
			return true
		}
	}
	return false
}

func toLower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// digits are a run of digits with single separators in it: what may hold a card number.
type digits struct {
	values []byte // 0 to 9
	at     []span // where each stands
	groups []int  // indexes into values at which a separator, or the run's start, comes before
}

// The lengths of card numbers (ISO/IEC 7812-1).
const minCard, maxCard = 13, 19

// newCardFinder finds card numbers: 13 to 19 digits that start with an industry digit of payment cards and pass the Luhn check.
// Digits of any script count, and so do numbers that are split by spaces, dashes, dots and invisible characters.
func newCardFinder() finder {
	var run digits
	return func(spans []span, text []byte) []span {
		for i := 0; i < len(text); {
			if c := text[i]; c < utf8.RuneSelf && (c < '0' || c > '9') {
				i++
				continue
			}
			i = run.read(text, i)
			spans = run.cards(spans)
		}
		return spans
	}
}

// read reads a run that starts at i and returns where to go on.
func (d *digits) read(text []byte, i int) int {
	d.values, d.at, d.groups = d.values[:0], d.at[:0], d.groups[:0]
	separators, split := 0, true
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		v, isDigit := digitValue(r)
		switch {
		case isDigit:
			if split {
				d.groups = append(d.groups, len(d.values))
			}
			d.values, d.at = append(d.values, v), append(d.at, span{i, i + size})
			separators, split = 0, false
		case separator(r) && len(d.values) > 0 && separators < 3:
			separators++
			split = true
		default:
			return i + size
		}
		i += size
	}
	return i
}

// cards tries each stretch from the start of a group to the end of one.
func (d *digits) cards(spans []span) []span {
	next := 0
	for g, start := range d.groups {
		if start < next {
			continue
		}
		last := g + 1 // not the end of the run: it may be as long as the text
		for last < len(d.groups) && d.stop(last+1)-start <= maxCard {
			last++
		}
		for end := last; end > g; end-- {
			stop := d.stop(end)
			if n := stop - start; n >= minCard && n <= maxCard && d.values[start] >= 2 && d.values[start] <= 6 && luhn(d.values[start:stop]) {
				spans = append(spans, span{d.at[start].start, d.at[stop-1].end})
				next = stop
				break
			}
		}
	}
	return spans
}

// stop is the index into values behind the groups before end.
func (d *digits) stop(end int) int {
	if end < len(d.groups) {
		return d.groups[end]
	}
	return len(d.values)
}

// luhn is the check of ISO/IEC 7812-1, annex B.
func luhn(values []byte) bool {
	sum := 0
	for i, v := range values {
		n := int(v)
		if (len(values)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// digitValue is the value of a decimal digit of any script: they stand in blocks of ten, zero first (Unicode, 4.6).
func digitValue(r rune) (byte, bool) {
	if r >= '0' && r <= '9' {
		return byte(r - '0'), true
	}
	if r < utf8.RuneSelf || !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	for _, block := range unicode.Nd.R16 {
		if r <= 0xffff && uint16(r) >= block.Lo && uint16(r) <= block.Hi {
			return byte((uint16(r) - block.Lo) % 10), true
		}
	}
	for _, block := range unicode.Nd.R32 {
		if uint32(r) >= block.Lo && uint32(r) <= block.Hi {
			return byte((uint32(r) - block.Lo) % 10), true
		}
	}
	return 0, false
}

// separator says whether people, or what wants to hide a number, put r between digits.
func separator(r rune) bool {
	switch r {
	case ' ', '\t', '-', '.', '_', '\u00a0', '\u00ad', '\u00b7', '\u3000', '\uff0d', '\uff0e', '\ufe63', '\u2010', '\u2011', '\u2012', '\u2013', '\u2212', '\ufeff', '\u2060':
		return true
	}
	return r >= '\u2000' && r <= '\u200f' || r == '\u202f'
}
