package main

import (
	"context"
	"sync"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
)

// listener is one bound address. It outlives the rules of its source: a reload gives it another decoder.
type listener struct {
	*source.Push
	address string
	relay   *relay
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// relay hands lines to the decoder of the day. Between pause and resume lines wait.
type relay struct {
	mu sync.RWMutex
	to source.LineDecoder
}

// Decode implements source.LineDecoder.
func (r *relay) Decode(lines []byte) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.to.Decode(lines)
}

// pause returns when the decoder has taken its last line. resume must follow.
func (r *relay) pause() { r.mu.Lock() }

func (r *relay) resume(to source.LineDecoder) {
	r.to = to
	r.mu.Unlock()
}

// listen binds an address. Nothing is received until run, only kept by the kernel.
func (p *pipeline) listen(address string) (*listener, error) {
	l := &listener{address: address, relay: &relay{}}
	push, err := source.Listen(p.ctx, []string{address}, l.relay, p.env.Log)
	if err != nil {
		return nil, err
	}
	l.Push = push
	l.relay.pause()
	return l, nil
}

// run starts to receive, until ctx ends or shut.
func (l *listener) run(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	l.ended.Go(func() { _ = l.Run(ctx) })
}

// shut ends run and returns when the last line that the kernel held has been decoded.
func (l *listener) shut() {
	l.stop()
	l.ended.Wait()
}

// listener is the one that is bound to address.
func (s snapshot) listener(address string) *listener {
	for _, r := range s {
		for _, l := range r.ears {
			if l != nil && l.address == address {
				return l
			}
		}
	}
	return nil
}

// pushes are all sources that push, for their metrics.
func (p *pipeline) pushes() []source.NamedPush {
	var out []source.NamedPush
	for _, r := range *p.now.Load() {
		if len(r.ears) == 0 {
			continue
		}
		n := source.NamedPush{Name: r.config.Name, Lines: r.decoder.Lines}
		for _, l := range r.ears {
			n.Pushes = append(n.Pushes, l.Push)
		}
		out = append(out, n)
	}
	return out
}

// mapper shows a set of rules to a decoder of pushed lines. Without rules there is none: then nothing is
// unmatched.
func mapper(set *rules.Set) decode.Mapper {
	if set.Len() == 0 {
		return nil
	}
	return pushMapper{set.Walk()}
}

type pushMapper struct{ walk *rules.Walk }

// Map implements decode.Mapper; the first rule that matches counts.
func (m pushMapper) Map(s *sample.Sample) (decode.Mapping, bool) {
	var out decode.Mapping
	path, first := s.Path, true
	m.walk.Reset()
	for _, segment := range path {
		m.walk.Push(segment)
	}
	matched := m.walk.Match(s, func(o *rules.Outcome) {
		if !first {
			return
		}
		first = false
		out = decode.Mapping{Drop: o.Drop, Labels: o.Labels, Scale: o.Factor}
		if o.Desc != nil {
			out.Desc = *o.Desc
		}
		if s.Kind == sample.Timer && o.Rule.Unit != "" {
			out.Scale = o.Rule.Scale // the decoder makes seconds of a timer's milliseconds, whatever the rule calls them
		}
	})
	s.Path = path
	return out, matched
}
