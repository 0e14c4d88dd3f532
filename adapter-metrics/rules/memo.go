package rules

import (
	"maps"
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// memo is what became of the value at one path, when that depends on nothing but the path and the values of some neighbours:
// then the next document needs neither the trie nor the names and labels, and a known series costs no allocation.
type memo struct {
	key     string
	kind    sample.Kind
	numeric bool
	targets []target
	beside  []neighbour // that became labels; memos of one object share them
	matched bool        // by a rule
	next    *memo       // of the value that came behind it: documents keep their order, so no table is asked
}

// target is one series that a value goes to.
type target struct {
	rule   *compiled // nil: the default naming
	factor float64
	x      *series.Series
}

// neighbour is a value beside or above another one, as it was.
type neighbour struct {
	label *label
	text  string
}

// memos remembers the paths that have series. It is bounded: when it is full, paths whose series are gone make room, at
// most once a document.
type memos struct {
	byKey map[string]*memo
	last  *memo
	limit int
	swept bool // in this document

	shared []neighbour // of the last memo that has any
}

// find returns the memo of a path, or nil. It must be asked in the order of the document.
func (m *memos) find(key []byte) *memo {
	if m.last != nil && m.last.next != nil && m.last.next.key == string(key) {
		m.last = m.last.next
		return m.last
	}
	found := m.byKey[string(key)]
	if m.last != nil && found != nil {
		m.last.next = found
	}
	if found != nil {
		m.last = found
	}
	return found
}

// put remembers x, in the place of what was remembered of that path.
func (m *memos) put(key []byte, x memo) {
	if have := m.byKey[string(key)]; have != nil {
		x.key, x.next = have.key, have.next
		*have = x
		return
	}
	if len(m.byKey) >= m.limit && !m.swept {
		m.swept, m.last = true, nil
		maps.DeleteFunc(m.byKey, func(_ string, have *memo) bool { have.next = nil; return have.gone() })
	}
	if len(m.byKey) < m.limit {
		x.key = string(key)
		m.byKey[x.key] = &x
	}
}

// neighbours are the values that the labels of targets are made of.
func (m *memos) neighbours(targets []target, s *sample.Sample) []neighbour {
	var list []neighbour
	for _, t := range targets {
		if t.rule == nil {
			continue
		}
		for i := range t.rule.labels {
			if l := &t.rule.labels[i]; l.field != "" {
				list = append(list, neighbour{l, string(l.lookup(s))})
			}
		}
	}
	return m.share(list)
}

// share returns the list before when it says the same.
func (m *memos) share(list []neighbour) []neighbour {
	if !slices.EqualFunc(m.shared, list, func(a, b neighbour) bool {
		return a.text == b.text && a.label.up == b.label.up && a.label.field == b.label.field
	}) {
		m.shared = list
	}
	return m.shared
}

// lookup is the neighbour that a label is made of, which may be missing.
func (l *label) lookup(s *sample.Sample) []byte {
	if s.Fields == nil {
		return nil
	}
	text, ok := s.Fields.Lookup(l.up, l.field)
	if !ok {
		return nil
	}
	return text
}

// fits reports whether the memo is for samples like s, and whether its series are still there.
func (m *memo) fits(s *sample.Sample) bool {
	return m.kind == s.Kind && m.numeric == s.Numeric && len(s.Labels) == 0 && s.Dist == nil && !m.gone()
}

// gone reports whether one of the series has been removed.
func (m *memo) gone() bool {
	for i := range m.targets {
		if m.targets[i].x.Removed() {
			return true
		}
	}
	return false
}

// steady reports whether the series of a rule is a matter of the path and of neighbours alone. The labels that a sample
// brings along and its own text are others.
func (c *compiled) steady() bool {
	if c.desc.Type == series.StateSet {
		return false
	}
	for _, l := range c.labels {
		dynamic := false
		eachReference(l.template, func(ref string) { dynamic = dynamic || ref == "value" })
		if dynamic {
			return false
		}
	}
	return true
}

// appendStep adds a segment to a key. The length behind it keeps a.b apart from "a.b".
func appendStep(key, segment []byte) []byte {
	n := len(segment)
	return append(append(key, segment...), byte(n), byte(n>>8), byte(n>>16))
}
