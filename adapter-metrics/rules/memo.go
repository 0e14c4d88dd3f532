package rules

import (
	"maps"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// memo is what became of the value at one path, when that depends on nothing but the path: then the next document needs
// neither the trie nor the names and labels, and a known series costs no allocation.
type memo struct {
	key     string
	kind    sample.Kind
	numeric bool
	targets []target
	matched bool  // by a rule
	next    *memo // of the value that came behind it: documents keep their order, so no table is asked
}

// target is one series that a value goes to.
type target struct {
	rule   *compiled // nil: the default naming
	factor float64
	x      *series.Series
}

// memos remembers the paths that have series. It is bounded: when it is full, paths whose series are gone make room, at
// most once a document.
type memos struct {
	byKey map[string]*memo
	last  *memo
	limit int
	swept bool // in this document
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

func (m *memos) put(x *memo) {
	if len(m.byKey) >= m.limit && !m.swept {
		m.swept, m.last = true, nil
		maps.DeleteFunc(m.byKey, func(_ string, have *memo) bool { have.next = nil; return have.gone() })
	}
	if len(m.byKey) < m.limit {
		m.byKey[x.key] = x
	}
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

// steady reports whether the series of a rule is a matter of the path alone. The labels that a sample brings along,
// the values of its neighbours and its own text are others.
func (c *compiled) steady() bool {
	if c.desc.Type == series.StateSet {
		return false
	}
	for _, l := range c.labels {
		dynamic := l.field != ""
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
