// Package suggest guesses a first set of rules from one document: which keys are names and which are data, what is
// a counter, and which unit a value has. Its guesses are a start for a person; all it promises is that they are valid.
package suggest

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// node is what stands at one key. Children keep the order of the document.
type node struct {
	keys     []string
	children map[string]*node
	leaf     *leaf
}

type leaf struct {
	value   float64
	numeric bool
	text    string
}

// builder is the decode.Walker that makes a tree.
type builder struct{ stack []*node }

func (b *builder) Push(segment []byte) {
	at := b.stack[len(b.stack)-1]
	key := string(segment)
	child := at.children[key]
	if child == nil {
		child = &node{}
		if at.children == nil {
			at.children = map[string]*node{}
		}
		at.children[key] = child
		at.keys = append(at.keys, key)
	}
	b.stack = append(b.stack, child)
}

func (b *builder) Pop() { b.stack = b.stack[:len(b.stack)-1] }

func (b *builder) Leaf(s *sample.Sample) {
	b.stack[len(b.stack)-1].leaf = &leaf{s.Value, s.Numeric, string(bytes.Clone(s.Text))}
}

// JSON makes rules for a document. prefix is the first part of their names.
func JSON(doc []byte, prefix string) ([]rules.Rule, error) {
	b := builder{stack: []*node{{}}}
	if err := decode.JSON(doc, &b); err != nil {
		return nil, err
	}
	w := writer{prefix: prefix, used: map[string]bool{}}
	w.walk(b.stack[0], nil)
	return w.rules, nil
}

// step is one segment on the way to a value: a key, or a capture for keys that are data.
type step struct {
	text    string
	capture bool
}

type writer struct {
	prefix string
	used   map[string]bool
	rules  []rules.Rule
}

func (w *writer) walk(n *node, path []step) {
	if n.leaf != nil {
		w.rule(n.leaf, path) // what looks alike may have a value in one place and an object in the other
	}
	if n.data() {
		all := &node{}
		for _, key := range n.keys {
			all.merge(n.children[key])
		}
		w.walk(all, append(path[:len(path):len(path)], step{w.label(path), true}))
		return
	}
	for _, key := range n.keys {
		if key != "" && !strings.ContainsAny(key, `{}*\`) { // others mean something in a pattern
			w.walk(n.children[key], append(path[:len(path):len(path)], step{key, false}))
		}
	}
}

// data reports whether the keys of an object are data and not names: positions, keys that no programmer writes, or
// several objects that look alike.
func (n *node) data() bool {
	if len(n.keys) == 0 {
		return false
	}
	odd, objects := 0, 0
	for _, key := range n.keys {
		if !name(key) {
			odd++
		}
		if n.children[key].leaf == nil {
			objects++
		}
	}
	if odd == len(n.keys) {
		return true
	}
	return len(n.keys) >= 2 && objects == len(n.keys) && n.alike()
}

// alike reports whether all children have most of the first one's keys.
func (n *node) alike() bool {
	first := n.children[n.keys[0]]
	if len(first.keys) < 2 {
		return false
	}
	for _, key := range n.keys[1:] {
		other, shared := n.children[key], 0
		for _, k := range first.keys {
			if other.children[k] != nil {
				shared++
			}
		}
		if shared*3 < max(len(first.keys), len(other.keys))*2 {
			return false
		}
	}
	return true
}

// name reports whether a key is one that a programmer gives: a letter first, and no run of digits as in an id.
func name(key string) bool {
	digits, upper := 0, 0
	for i, c := range []byte(key) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if i == 0 && !letter && c != '_' || !letter && !digit && c != '_' && c != '-' && c != ' ' && c != '.' {
			return false
		}
		if digit {
			digits++
		}
		if c >= 'A' && c <= 'Z' {
			upper++
		}
	}
	random := len(key) >= 20 && upper*4 >= len(key) && upper < len(key) // no CamelCase has that many
	return key != "" && digits <= 4 && len(key) <= 60 && !random
}

// merge adds what another object of the same kind has. A number says more than a text.
func (n *node) merge(other *node) {
	if n.leaf == nil || other.leaf != nil && other.leaf.numeric && !n.leaf.numeric {
		n.leaf = other.leaf
	}
	for _, key := range other.keys {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		if n.children[key] == nil {
			n.children[key] = &node{}
			n.keys = append(n.keys, key)
		}
		n.children[key].merge(other.children[key])
	}
}

// label calls a capture after what it stands under: pools.{pool}.
func (w *writer) label(path []step) string {
	above := "key"
	for _, s := range path {
		if !s.capture {
			above = string(sample.AppendSnake(nil, []byte(s.text)))
		}
	}
	above = strings.Trim(sample.Singular(above), "_")
	if above == "" || above == "le" || above == "quantile" {
		above = "key"
	}
	label := above
	for i := 2; ; i++ {
		taken := false
		for _, s := range path {
			taken = taken || s.capture && s.text == label
		}
		if !taken {
			return label
		}
		label = above + "_" + strconv.Itoa(i)
	}
}

// match is the pattern of a path.
func match(path []step) string {
	var b strings.Builder
	for i, s := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.capture {
			b.WriteString("{" + s.text + "}")
		} else {
			b.WriteString(strings.ReplaceAll(s.text, ".", `\.`))
		}
	}
	return b.String()
}
