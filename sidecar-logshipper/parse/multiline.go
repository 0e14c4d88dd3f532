package parse

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

const defaultMaxLines = 500

// rule decides line by line whether a record goes on. state is what it remembers of the record, 0 at the record's first
// line, whose answer is not asked.
type rule func(state int, line []byte) (next int, continues bool)

// joiner is the record.Framer of lines that belong together.
type joiner struct {
	rule     rule // nil: only what unwrap says is joined
	unwrap   func(line []byte) (text, stream []byte, partial bool)
	maxLines int
	wide     *utf16Lines // nil: lines end at each byte 0x0a
}

// newFramer is nil when every newline ends a record.
func newFramer(c Config) (record.Framer, error) {
	j := &joiner{maxLines: defaultMaxLines}
	if c.Encoding == "utf-16le" || c.Encoding == "utf-16be" {
		j.wide = &utf16Lines{little: c.Encoding == "utf-16le"}
	}
	switch c.Format {
	case "cri":
		j.unwrap = func(line []byte) (text, stream []byte, partial bool) {
			_, stream, text, partial, ok := criLine(line)
			return text, stream, partial && ok
		}
	case "docker":
		j.unwrap = dockerLine
	}
	if m := c.Multiline; m != nil {
		if m.MaxLines > 0 {
			j.maxLines = m.MaxLines
		}
		if j.rule = presetRule(m.Preset); j.rule == nil {
			re, err := regexp.Compile(m.Start)
			if err != nil {
				return nil, fmt.Errorf("compile multiline start: %w", err)
			}
			j.rule = func(_ int, line []byte) (int, bool) { return 0, !re.Match(line) }
		}
	}
	if j.rule == nil && j.unwrap == nil {
		if j.wide != nil {
			return *j.wide, nil
		}
		return nil, nil
	}
	return j, nil
}

// dockerLine is the text of a line of Docker's json-file log; a line of the app that was too long for one is partial.
func dockerLine(line []byte) (text, stream []byte, partial bool) {
	var wrapped struct {
		Log    *string `json:"log"`
		Stream string  `json:"stream"`
	}
	if json.Unmarshal(line, &wrapped) != nil || wrapped.Log == nil {
		return line, nil, false
	}
	text = []byte(*wrapped.Log)
	return bytes.TrimSuffix(text, []byte{'\n'}), []byte(wrapped.Stream), !bytes.HasSuffix(text, []byte{'\n'})
}

// Frame implements record.Framer. A record is known to be complete at the first line of the next one. Where the other stream
// of a container comes between the parts of a line, the parts are records: better in pieces than mixed up.
func (j *joiner) Frame(ends []int, data []byte, final bool) ([]int, int) {
	state, partial, lines, done := 0, false, 0, 0
	var stream []byte // of the line before
	var wide []int    // ends of lines
	if j.wide != nil {
		var whole int
		wide, whole = j.wide.Frame(nil, data, final)
		data = data[:whole]
	}
	for at := 0; at < len(data); {
		var text []byte
		end, more := 0, false
		if j.wide != nil {
			end, wide = wide[0], wide[1:]
			text = j.wide.text(data[at:end], at == 0)
		} else {
			end = at + lineLength(data[at:])
			text = bytes.TrimRight(data[at:end], "\r\n")
		}
		if j.unwrap != nil {
			var from []byte
			text, from, more = j.unwrap(text)
			partial = partial && bytes.Equal(from, stream)
			stream = from
		}
		continues := partial
		if !partial && j.rule != nil {
			next, yes := j.rule(state, text)
			continues = yes && lines > 0
			if state = next; !continues && lines > 0 {
				state, _ = j.rule(0, text)
			}
		}
		if !continues && lines > 0 || lines >= j.maxLines {
			ends, done, lines = append(ends, at), at, 0
		}
		partial, at = more, end
		lines++
	}
	if final && done < len(data) || j.rule == nil && !partial && done < len(data) {
		ends, done = append(ends, len(data)), len(data)
	}
	return ends, done
}

func lineLength(b []byte) int {
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		return n + 1
	}
	return len(b)
}

// utf16Lines ends records at newlines of two bytes: the byte 0x0a is part of other characters too.
type utf16Lines struct{ little bool }

// text is a line in UTF-8, without its end. Data starts with a line that may be the first of the file.
func (u utf16Lines) text(line []byte, first bool) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if u.little {
		return decodeUTF16(nil, littleUnits(line, first), binary.LittleEndian)
	}
	return decodeUTF16(nil, line[:len(line)&^1], binary.BigEndian)
}

// Padding says that data, what is left at the end of a file, is no record: the zero of the last newline.
func (u utf16Lines) Padding(data []byte) bool { return u.little && len(data) == 1 && data[0] == 0 }

// Padding is that of utf16Lines.
func (j *joiner) Padding(data []byte) bool { return j.wide != nil && j.wide.Padding(data) }

// Frame implements record.Framer. data ends at a byte 0x0a, so a little-endian newline at its end lacks its zero, which
// starts the next data.
func (u utf16Lines) Frame(ends []int, data []byte, final bool) ([]int, int) {
	done, i := 0, 0
	if u.little && len(data) > 0 && data[0] == 0 {
		i = 1
	}
	for ; i+1 < len(data); i += 2 {
		if u.little && data[i] == '\n' && data[i+1] == 0 {
			ends, done = append(ends, i+1), i+1
		}
		if !u.little && data[i] == 0 && data[i+1] == '\n' {
			ends, done = append(ends, i+2), i+2
		}
	}
	if u.little && i == len(data)-1 && data[i] == '\n' || final && done < len(data) && (done == 0 || !u.Padding(data[done:])) {
		ends, done = append(ends, len(data)), len(data)
	}
	return ends, done
}
