package rules

import (
	"bytes"
	"fmt"
	"strings"
)

// A part of a segment is a literal text or, when wild, anything.
type part struct {
	literal string
	name    string // of the capture; empty for *
	wild    bool
}

// A segment is what a pattern says about one step of a path.
type segment struct {
	parts []part
	any   bool // **: any number of steps, also none
}

func (s segment) literal() (string, bool) {
	if !s.any && len(s.parts) == 1 && !s.parts[0].wild {
		return s.parts[0].literal, true
	}
	return "", false
}

// key tells segments apart that match different things.
func (s segment) key() string {
	var b strings.Builder
	for _, p := range s.parts {
		if p.wild {
			b.WriteString("\x00")
		} else {
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

func parsePattern(pattern string) ([]segment, error) {
	var segments []segment
	deep := 0
	for _, text := range splitPath(pattern) {
		if text == "**" {
			if deep++; deep > 1 {
				return nil, fmt.Errorf("%q has more than one **", pattern)
			}
			segments = append(segments, segment{any: true})
			continue
		}
		s, err := parseSegment(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// splitPath splits on dots; \. is a dot that does not split.
func splitPath(path string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && path[i+1] == '.':
			b.WriteByte('.')
			i++
		case path[i] == '.':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(path[i])
		}
	}
	return append(out, b.String())
}

func parseSegment(text string) (segment, error) {
	var s segment
	add := func(p part) error {
		if n := len(s.parts); p.wild && n > 0 && s.parts[n-1].wild {
			return fmt.Errorf("the segment %q has two wildcards with nothing between", text)
		}
		s.parts = append(s.parts, p)
		return nil
	}
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{*")
		if i < 0 {
			return s, add(part{literal: rest})
		}
		if i > 0 {
			_ = add(part{literal: rest[:i]}) // a literal never fails
		}
		p := part{wild: true}
		if rest[i] == '{' {
			name, after, ok := strings.Cut(rest[i+1:], "}")
			if !ok {
				return s, fmt.Errorf("the segment %q has a { without }", text)
			}
			p.name, rest = name, after
		} else {
			rest = rest[i+1:]
		}
		if err := add(p); err != nil {
			return s, err
		}
	}
	if len(s.parts) == 0 {
		return s, fmt.Errorf("it has an empty segment")
	}
	return s, nil
}

// match reports whether a step of a path fits, and calls capture, when it is given, with
// the text of each wildcard. Wildcards take as little as they can, the last one the rest.
func (s segment) match(step []byte, capture func(i int, text []byte)) bool {
	for i := 0; i < len(s.parts); i++ {
		p := s.parts[i]
		if !p.wild {
			if len(step) < len(p.literal) || string(step[:len(p.literal)]) != p.literal {
				return false
			}
			step = step[len(p.literal):]
			continue
		}
		take := len(step)
		switch {
		case i+2 < len(s.parts):
			take = bytes.Index(step, []byte(s.parts[i+1].literal))
		case i+1 < len(s.parts):
			take = len(step) - len(s.parts[i+1].literal)
		}
		if take < 0 {
			return false
		}
		if capture != nil {
			capture(i, step[:take])
		}
		step = step[take:]
	}
	return len(step) == 0
}
