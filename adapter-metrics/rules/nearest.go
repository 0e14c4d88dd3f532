package rules

import (
	"fmt"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Nearest is the rule whose pattern has most in common with a path that no rule wants, and says where the two part. It is
// for people who wonder why a rule does not match; nil when no pattern shares a segment with the path.
func (s *Set) Nearest(path [][]byte) (nearest *Rule, why string) {
	best := 0
	for _, c := range s.trie.all {
		if c.regex != nil {
			continue
		}
		if score, parts := c.compare(path); score > best {
			best, nearest, why = score, c.rule, parts
		}
	}
	return nearest, why
}

// compare follows pattern and path until they part. A spelling mistake counts half a segment.
func (c *compiled) compare(path [][]byte) (score int, parts string) {
	for i, want := range c.segments {
		switch {
		case want.any:
			return score, "which has ** and then asks for another end"
		case i == len(path):
			return score, fmt.Sprintf("which goes on with %s", want)
		case !want.match(path[i], nil):
			if text, ok := want.literal(); ok && conf.Nearest(string(path[i]), []string{text}) != "" {
				score++
			}
			return score, fmt.Sprintf("which has %s where %q stands", want, path[i])
		}
		if _, ok := want.literal(); ok {
			score++ // a wildcard matches anything, which says little
		}
		score++
	}
	if len(c.segments) == len(path) {
		return score, "which is for other kinds of values (kind: " + c.rule.Kind + ")"
	}
	return score, fmt.Sprintf("which ends before %q", path[len(c.segments)])
}

// String writes a segment as it stands in a pattern.
func (s segment) String() string {
	if s.any {
		return "**"
	}
	out := ""
	for _, p := range s.parts {
		switch {
		case !p.wild:
			out += p.literal
		case p.name == "":
			out += "*"
		default:
			out += "{" + p.name + "}"
		}
	}
	return fmt.Sprintf("%q", out)
}
