package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

const (
	tapBytes    = 8 << 10
	glanceLines = 10
	glanceBytes = 300                    // of a line
	glanceTime  = 200 * time.Millisecond // for a jq program
)

// tap keeps the beginning of what a source got, for the status page. Between two looks it keeps one input of those that are
// pushed, so that nobody who looks on costs no line more than a load.
type tap struct {
	full atomic.Bool
	mu   sync.Mutex
	seen []byte
	at   time.Time
}

// take keeps an input unless there is one that nobody has seen.
func (t *tap) take(input []byte) {
	if !t.full.Load() {
		t.keep(input)
	}
}

func (t *tap) keep(input []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen, t.at = append(t.seen[:0], input[:min(len(input), tapBytes)]...), time.Now()
	t.full.Store(true)
}

// look is a copy of what was kept, and lets the next input take its place.
func (t *tap) look() ([]byte, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full.Store(false)
	return slices.Clone(t.seen), t.at
}

// input is what a source got last.
func (r *running) input() (last []byte, at time.Time) {
	if r.pull != nil {
		return r.pull.input.look()
	}
	if r.plan.follow != nil {
		return r.followed.input.look()
	}
	for _, l := range r.ears {
		if b, t := l.relay.input.look(); t.After(at) {
			last, at = b, t
		}
	}
	return last, at
}

// glance shows what a source got last beside the metrics that it becomes, as explain does, but of the first few values only.
func (r *running) glance(ctx context.Context) (s admin.Section, ok bool) {
	input, at := r.input()
	if len(input) == 0 {
		return s, false
	}
	g := &glance{left: glanceLines}
	g.explainer = &explainer{Walk: r.set.Walk(), set: r.set, out: &g.text}
	d, log := r.decoder.(*decode.Log)
	switch {
	case r.pull != nil:
		g.document(ctx, r, input)
	case log:
		explainLines(&g.text, d, r.config.Log, bytes.Join(firstLines(input), nil))
	default:
		g.pushed(r, input)
	}
	s.Title = fmt.Sprintf("%s: input %s ago and what becomes of it", r.config.Name, ago(at))
	for line := range strings.Lines(g.text.String()) {
		s.Lines = append(s.Lines, short(strings.TrimRight(line, "\n")))
	}
	return s, len(s.Lines) > 0
}

// glance is an explainer of the first values of a document that become something.
type glance struct {
	*explainer
	text bytes.Buffer
	left int
}

// Leaf implements decode.Walker.
func (g *glance) Leaf(s *sample.Sample) {
	if g.left == 0 {
		return
	}
	before, texts := g.text.Len(), g.texts
	if g.explainer.Leaf(s); g.texts > texts || bytes.Contains(g.text.Bytes()[before:], []byte("→  dropped")) {
		g.text.Truncate(before) // what becomes nothing is nobody's business
		return
	}
	g.left--
}

// document walks what was kept of one. An error is told when there is nothing else to tell and nothing was cut off; of what is no
// JSON with its beginning, such as the page of a proxy.
func (g *glance) document(ctx context.Context, r *running, input []byte) {
	ctx, cancel := context.WithTimeout(ctx, glanceTime)
	defer cancel()
	err := r.plan.decode(ctx, input, g)
	if err == nil || ctx.Err() != nil || g.text.Len() > 0 || len(input) >= tapBytes {
		return
	}
	begin, _, _ := bytes.Cut(bytes.TrimSpace(input), []byte{'\n'})
	if len(begin) > 0 && (begin[0] == '{' || begin[0] == '[') {
		begin = begin[:1]
	}
	fmt.Fprintf(&g.text, "%s…  →  nothing  (%v)\n", begin[:min(len(begin), glanceBytes/3)], err)
}

// pushed shows each line with what a decoder would do that had not seen it before.
func (g *glance) pushed(r *running, input []byte) {
	for _, line := range firstLines(input) {
		before, refused := g.text.Len(), errors.New("it is malformed")
		store := series.New(series.Options{ReservedPrefix: reservedPrefix, Refused: func(err error) { refused = err }})
		src := store.Source(r.config.Name)
		r.plan.lines(store, src, g.mapper(r.set.Mapper())).Decode(line)
		_, becomes, _ := strings.Cut(g.text.String()[before:], "  →  ")
		if src.Samples.Load() == 0 {
			becomes = fmt.Sprintf("nothing  (%v)\n", refused)
		}
		g.text.Truncate(before)
		fmt.Fprintf(&g.text, "%s  →  %s", bytes.TrimSpace(line), becomes)
	}
}

// firstLines are the first whole ones, which are not empty.
func firstLines(input []byte) (out [][]byte) {
	if end := bytes.LastIndexByte(input, '\n'); end >= 0 && len(input) == tapBytes {
		input = input[:end]
	}
	for line := range bytes.Lines(input) {
		if len(bytes.TrimSpace(line)) > 0 && len(out) < glanceLines {
			out = append(out, line)
		}
	}
	return out
}

// short is a line as long as people read it.
func short(line string) string {
	if len(line) <= glanceBytes {
		return strings.ToValidUTF8(line, "�")
	}
	for line = line[:glanceBytes]; !utf8.RuneStart(line[len(line)-1]); {
		line = line[:len(line)-1]
	}
	return strings.ToValidUTF8(line, "") + "…"
}
