package parse

import (
	"bytes"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// criLine reads TIME STREAM P|F TEXT, as container runtimes write it (Kubernetes CRI logging format). partial means that
// the next line goes on with the same line of the app.
func criLine(line []byte) (stamp, stream, text []byte, partial, ok bool) {
	stamp, b, ok1 := cut(line, ' ')
	stream, b, ok2 := cut(b, ' ')
	tag, text, ok3 := cut(b, ' ')
	if !ok3 {
		tag, ok3 = b, len(b) > 0
	}
	ok = ok1 && ok2 && ok3 && (string(stream) == "stdout" || string(stream) == "stderr")
	return stamp, stream, text, bytes.HasPrefix(tag, []byte{'P'}), ok
}

// parseCRI takes the prefix off each line of the record and joins partial lines. What the app wrote is parsed as auto.
func parseCRI(r *record.Record, c *clock) bool {
	stamp, stream, text, partial, ok := criLine(firstLine(r.Message))
	nano, timed := parseLayout(stamp, time.RFC3339Nano, c.zone)
	if !ok || !timed {
		return false
	}
	r.Time, r.OwnTime = nano, true
	if rest := r.Message[len(firstLine(r.Message)):]; len(rest) > 0 {
		text = r.Scratch(func(dst []byte) []byte { return appendCRI(append(dst, text...), rest, partial) })
	}
	r.Add("stream", stream, record.String)
	r.Message = text
	return parseInner(r, c)
}

// appendCRI appends the texts of the lines in rest, which starts with a newline.
func appendCRI(dst, rest []byte, partial bool) []byte {
	for len(rest) > 0 {
		line := firstLine(rest[1:])
		if !partial {
			dst = append(dst, '\n')
		}
		_, _, text, more, ok := criLine(line)
		if !ok {
			text, more = line, false
		}
		dst, partial = append(dst, text...), more
		rest = rest[1+len(line):]
	}
	return dst
}

// firstLine is the first line of b, without its newline.
func firstLine(b []byte) []byte {
	line, _, _ := cut(b, '\n')
	return line
}

// parseInner parses what an app wrote inside of a container's log line, as auto does; text in none of its formats is fine. The
// time of the line stays, because it is known to the nanosecond and with its year.
func parseInner(r *record.Record, c *clock) bool {
	fields, message, nano, own := len(r.Fields), r.Message, r.Time, r.OwnTime
	if !parseAuto(r, c) {
		r.Fields, r.Message, r.Level = r.Fields[:fields], message, ""
	}
	if own {
		r.Time, r.OwnTime = nano, true
	}
	return true
}

// takeTime makes the time that the container's runtime noted the record's.
func takeTime(r *record.Record, c *clock) {
	f := r.Field("time")
	if nano, ok := parseLayout(f.Value, time.RFC3339Nano, c.zone); ok {
		r.Time, r.OwnTime = nano, true
		r.Remove("time")
	}
}

// parseDocker reads {"log":"…\n","stream":"stdout","time":"…"} (Docker's json-file driver), one or more lines of it.
func parseDocker(r *record.Record, c *clock) bool {
	rest := r.Message
	var whole []byte
	for n := 0; len(rest) > 0; n++ {
		line := firstLine(rest)
		rest = rest[min(len(line)+1, len(rest)):]
		r.Message, r.Fields = line, r.Fields[:0]
		if !parseJSON(r, c) || r.Field("log") == nil {
			return false
		}
		whole = append(whole, r.Field("log").Value...)
	}
	if r.Field("log") == nil {
		return false
	}
	r.Field("log").Value = bytes.TrimRight(whole, "\r\n")
	if dockerised(r) {
		takeTime(r, c)
	}
	return parseInner(r, c)
}

// dockerised takes the message out of Docker's wrapper when r is one.
func dockerised(r *record.Record) bool {
	log := r.Field("log")
	if log == nil || log.Kind != record.String || r.Field("stream") == nil || r.Field("time") == nil {
		return false
	}
	r.Message = bytes.TrimRight(log.Value, "\r\n")
	r.Remove("log")
	return true
}
