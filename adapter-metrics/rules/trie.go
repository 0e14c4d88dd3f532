package rules

import "regexp"

// node is one step of the trie. Its children are tried in the order of how much they say.
type node struct {
	literal map[string]*node
	glob    []edge // segments with a wildcard and some literal text
	wild    *node  // any one segment
	deep    *node  // **: this node loops to itself
	loops   bool
	rules   []*compiled // that end here, in the order of the configuration
}

type edge struct {
	segment segment
	to      *node
}

func (n *node) add(segments []segment, c *compiled) {
	if len(segments) == 0 {
		n.rules = append(n.rules, c)
		return
	}
	n.child(segments[0]).add(segments[1:], c)
}

func (n *node) child(s segment) *node {
	slot := func(p **node) *node {
		if *p == nil {
			*p = &node{}
		}
		return *p
	}
	if s.any {
		d := slot(&n.deep)
		d.loops = true
		return d
	}
	if text, ok := s.literal(); ok {
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		if n.literal[text] == nil {
			n.literal[text] = &node{}
		}
		return n.literal[text]
	}
	if len(s.parts) == 1 {
		return slot(&n.wild)
	}
	for _, e := range n.glob {
		if e.segment.key() == s.key() {
			return e.to
		}
	}
	e := edge{s, &node{}}
	n.glob = append(n.glob, e)
	return e.to
}

// step appends to next the nodes that one segment leads to, most specific first.
func (n *node) step(segment []byte, next []*node) []*node {
	if to := n.literal[string(segment)]; to != nil {
		next = appendNode(next, to)
	}
	for _, e := range n.glob {
		if e.segment.match(segment, nil) {
			next = appendNode(next, e.to)
		}
	}
	if n.wild != nil {
		next = appendNode(next, n.wild)
	}
	if n.loops {
		next = appendNode(next, n)
	}
	return next
}

// appendNode adds a node, and its ** child, which also stands for no segment at all.
func appendNode(list []*node, n *node) []*node {
	list = append(list, n)
	if n.deep != nil {
		list = append(list, n.deep)
	}
	return list
}

// A trie holds all rules of a source.
type trie struct {
	root  *node
	regex []*compiled // tried in order when no pattern matched
	all   []*compiled // in the order of the configuration
	count int
}

func newTrie(list []Rule) (*trie, error) {
	t := &trie{root: &node{}, count: len(list)}
	for i := range list {
		c, err := compile(&list[i])
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, c)
		if c.regex != nil {
			t.regex = append(t.regex, c)
			continue
		}
		t.root.add(c.segments, c)
	}
	return t, nil
}

func compileRegex(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	return regexp.Compile(`^(?:` + text + `)$`)
}
