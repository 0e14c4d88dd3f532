package parse

import (
	"bytes"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// parseSyslog reads RFC 5424, or else the older BSD form of RFC 3164, whose priority may be missing in files.
func parseSyslog(r *record.Record, c *clock) bool {
	pri, b, ok := priority(r.Message)
	if ok {
		r.Level = []string{"emergency", "alert", "critical", "error", "warn", "notice", "info", "debug"}[pri&7]
	}
	if ok && len(b) > 2 && b[0] == '1' && b[1] == ' ' {
		if !parse5424(r, b[2:], c) {
			return false
		}
	} else if !parse3164(r, b, c) {
		return false
	}
	if ok {
		r.Add("facility", strconv.AppendInt(nil, int64(pri>>3), 10), record.Number)
	}
	return true
}

func parse5424(r *record.Record, b []byte, c *clock) bool {
	var header [5][]byte // time, host, app, process ID, message ID
	for i := range header {
		var ok bool
		if header[i], b, ok = cut(b, ' '); !ok {
			return false
		}
	}
	if nano, ok := parseLayout(header[0], time.RFC3339Nano, c.zone); ok {
		r.Time, r.OwnTime = nano, true
	}
	for i, name := range []string{"", "host", "app", "pid", "msgid"} {
		if i > 0 && string(header[i]) != "-" {
			r.Add(name, header[i], record.String)
		}
	}
	b, ok := structured(r, b)
	if !ok {
		return false
	}
	r.Message = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte{' '}), []byte("\ufeff"))
	return true
}

// structured reads STRUCTURED-DATA (RFC 5424, 6.3): each parameter becomes the field ID.NAME.
func structured(r *record.Record, b []byte) (rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		return b[1:], true
	}
	for len(b) > 0 && b[0] == '[' {
		n := bytes.IndexAny(b, " ]")
		if n < 0 {
			return b, false
		}
		id := string(b[1:n])
		b = b[n:]
		for len(b) > 0 && b[0] == ' ' {
			name, after, found := bytes.Cut(b[1:], []byte(`="`))
			end, _, _ := stringEnd(after, 0)
			if !found || end < 0 {
				return b, false
			}
			value := r.Scratch(func(dst []byte) []byte { return appendUnslashed(dst, after[:end]) })
			r.Add(id+"."+string(name), value, record.String)
			b = after[end+1:]
		}
		if len(b) == 0 || b[0] != ']' {
			return b, false
		}
		b = b[1:]
	}
	return b, true
}

// appendUnslashed drops the backslash of \", \\ and \].
func appendUnslashed(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\' || v[i+1] == ']') {
			i++
		}
		dst = append(dst, v[i])
	}
	return dst
}

// parse3164 reads Mmm dd hh:mm:ss host tag[pid]: message.
func parse3164(r *record.Record, b []byte, c *clock) bool {
	const stamp = len("Jan _2 15:04:05")
	if len(b) < stamp+2 || b[stamp] != ' ' {
		return false
	}
	nano, ok := parseYearless(b[:stamp], "Jan _2 15:04:05", r.Time, c.zone)
	b = b[stamp+1:]
	host, rest, found := cut(b, ' ')
	if !ok || !found {
		return false
	}
	r.Time, r.OwnTime = nano, true
	if !bytes.HasSuffix(host, []byte{':'}) { // as the tag does: what syslog(3) writes to its own machine names no host
		r.Add("host", host, record.String)
		b = rest
	}
	tag, message, found := bytes.Cut(b, []byte(": "))
	if !found || bytes.IndexByte(tag, ' ') >= 0 {
		r.Message = b
		return true
	}
	if app, pid, ok := cut(bytes.TrimSuffix(tag, []byte{']'}), '['); ok {
		r.Add("app", app, record.String)
		r.Add("pid", pid, record.String)
	} else {
		r.Add("app", tag, record.String)
	}
	r.Message = message
	return true
}
