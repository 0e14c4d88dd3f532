package parse

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// parseAuto tries the formats that are told apart by their first bytes; anything else is text.
func parseAuto(r *record.Record, c *clock) bool {
	m := r.Message
	switch {
	case len(m) == 0:
		return true
	case m[0] == '{':
		if !parseJSON(r, c) {
			return false
		}
		if dockerised(r) {
			takeTime(r, c)
			return parseInner(r, c)
		}
		return true
	case m[0] == '<':
		return parseSyslog(r, c)
	case len(m) > 6 && bytes.IndexByte([]byte("IWEF"), m[0]) >= 0 && m[1] >= '0' && m[1] <= '1' && m[5] == ' ':
		return parseKlog(r, c)
	case m[0] >= '0' && m[0] <= '9' && (bytes.Contains(m[:min(len(m), 48)], []byte(" stdout ")) || bytes.Contains(m[:min(len(m), 48)], []byte(" stderr "))):
		return parseCRI(r, c)
	}
	return true
}

// parseLogfmt reads key=value key="quoted value" key. Values that look like JSON numbers and booleans are such.
func parseLogfmt(r *record.Record, _ *clock) bool {
	b := r.Message
	for {
		b = bytes.TrimLeft(b, " \t\n")
		if len(b) == 0 {
			return len(r.Fields) > 0
		}
		n := bytes.IndexAny(b, "= \t\n\"")
		if n == 0 || n > 0 && b[n] == '"' {
			return false
		}
		if n < 0 {
			n = len(b)
		}
		name := b[:n]
		b = b[n:]
		if len(b) == 0 || b[0] != '=' {
			r.AddNamed(name, []byte("true"), record.Bool)
			continue
		}
		value, kind, rest, ok := logfmtValue(r, b[1:])
		if !ok {
			return false
		}
		r.AddNamed(name, value, kind)
		b = rest
	}
}

func logfmtValue(r *record.Record, b []byte) (value []byte, kind record.Kind, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '"' {
		s := scanner{b: b}
		v, ok := s.text(r)
		if !ok { // slog and logrus quote as Go does, which has more escapes than JSON
			end, _, _ := stringEnd(b, 1)
			text, err := strconv.Unquote(string(b[:end+1]))
			return []byte(text), record.String, b[end+1:], err == nil
		}
		return v, record.String, b[s.i:], ok
	}
	n := bytes.IndexAny(b, " \t\n")
	if n < 0 {
		n = len(b)
	}
	return b[:n], literalKind(b[:n]), b[n:], true
}

// literalKind says how unquoted text may be written in JSON. What is a number by its form only, such as the commit 12e4567 or an
// ID of twenty digits, stays text: a destination would refuse it, or make it another one.
func literalKind(v []byte) record.Kind {
	switch {
	case len(v) == 0 || len(v) > 30:
		return record.String
	case string(v) == "true", string(v) == "false":
		return record.Bool
	case (v[0] == '-' || v[0] >= '0' && v[0] <= '9') && isNumber(v) && isMeant(string(v)):
		return record.Number
	default:
		return record.String
	}
}

// isMeant says that a number is one that programs print: it fits into 64 bits, and has a point, or a sign, where it has an
// exponent.
func isMeant(number string) bool {
	if strings.ContainsAny(number, ".+") || strings.LastIndexByte(number, '-') > 0 {
		_, err := strconv.ParseFloat(number, 64)
		return err == nil
	}
	_, err := strconv.ParseInt(number, 10, 64)
	return err == nil
}

// cut returns the text before the first sep and what is behind it; false when there is none.
func cut(b []byte, sep byte) (before, after []byte, ok bool) {
	return bytes.Cut(b, []byte{sep})
}

// parseCombined reads the access log of Apache and nginx: the common log format, or combined with referer and agent.
// The message stays the whole line.
func parseCombined(r *record.Record, c *clock) bool {
	client, b, ok1 := cut(r.Message, ' ')
	_, b, ok2 := cut(b, ' ')
	user, b, ok3 := cut(b, ' ')
	if !ok1 || !ok2 || !ok3 || len(b) == 0 || b[0] != '[' {
		return false
	}
	stamp, b, ok4 := cut(b[1:], ']')
	request, b, ok5 := quoted(b)
	status, b, _ := cut(bytes.TrimLeft(b, " "), ' ')
	size, b, _ := cut(b, ' ')
	if !ok4 || !ok5 || literalKind(status) != record.Number {
		return false
	}
	if nano, ok := parseLayout(stamp, layoutCombined, c.zone); ok {
		r.Time, r.OwnTime = nano, true
	}
	r.Add("client", client, record.String)
	if string(user) != "-" {
		r.Add("user", user, record.String)
	}
	if method, rest, ok := cut(request, ' '); ok {
		path, protocol, _ := cut(rest, ' ')
		r.Add("method", method, record.String)
		r.Add("path", path, record.String)
		r.Add("protocol", protocol, record.String)
	}
	r.Add("status", status, record.Number)
	if literalKind(size) == record.Number {
		r.Add("bytes", size, record.Number)
	}
	for _, name := range []string{"referer", "agent"} {
		var v []byte
		if v, b, ok1 = quoted(b); ok1 && string(v) != "-" {
			r.Add(name, v, record.String)
		}
	}
	return true
}

// quoted reads "text" after spaces; a backslash takes the special meaning from what follows it, and both are kept.
func quoted(b []byte) (text, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " ")
	if len(b) == 0 || b[0] != '"' {
		return nil, b, false
	}
	end, _, _ := stringEnd(b, 1)
	if end < 0 {
		return nil, b, false
	}
	return b[1:end], b[end+1:], true
}

// parseKlog reads Lmmdd hh:mm:ss.uuuuuu thread file:line] message (k8s.io/klog). The year is the one that puts the time
// next to when the record was read.
func parseKlog(r *record.Record, c *clock) bool {
	head, message, ok := bytes.Cut(r.Message, []byte("] "))
	fields := bytes.Fields(head)
	if !ok || len(fields) != 4 || len(fields[0]) != 5 {
		return false
	}
	nano, ok := parseYearless(append(append(append([]byte(nil), fields[0][1:]...), ' '), fields[1]...), "0102 15:04:05.999999", r.Time, c.zone)
	if !ok {
		return false
	}
	r.Time, r.OwnTime = nano, true
	r.Level = level(fields[0][:1])
	r.Message = message
	r.Add("thread", fields[2], literalKind(fields[2]))
	r.Add("caller", fields[3], record.String)
	return true
}

// newRegex makes a parser of a regular expression with named groups.
func newRegex(pattern string) (parser, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	groups := re.SubexpNames()
	return func(r *record.Record, _ *clock) bool {
		m := re.FindSubmatchIndex(r.Message)
		if m == nil {
			return false
		}
		for i, name := range groups {
			if name != "" && m[2*i] >= 0 {
				value := r.Message[m[2*i]:m[2*i+1]]
				r.Add(name, value, literalKind(value))
			}
		}
		return true
	}, nil
}

// priority reads <PRI> (RFC 5424, 6.2.1).
func priority(b []byte) (n int, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return 0, b, false
	}
	digits, rest, ok := cut(b[1:], '>')
	n, err := strconv.Atoi(string(digits))
	return n, rest, ok && err == nil && n >= 0 && n <= 191
}
