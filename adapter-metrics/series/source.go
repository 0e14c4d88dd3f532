package series

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// A Source is the account of one source: its series, and what became of its samples.
type Source struct {
	name  string
	store *Store

	Samples   atomic.Uint64 // that a decoder yielded
	Unmatched atomic.Uint64 // that no rule wanted

	count   atomic.Int64 // series
	keys    sync.Pool    // of *scratch
	pulling sync.Mutex   // held from Begin to Commit
	round   uint32
	seen    []*Series // of the last round
	spare   []*Series // room for the next one's

	mu       sync.Mutex
	problems map[string]uint64
	limited  map[string]uint64
}

// Source returns the account of the source called name, creating it when it is new.
func (s *Store) Source(name string) *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.sources[name]
	if src == nil {
		src = &Source{name: name, store: s, problems: map[string]uint64{}, limited: map[string]uint64{}}
		s.sources[name] = src
	}
	return src
}

// Forget removes a source with its series and counters, as a reload does that no longer
// names it.
func (s *Store) Forget(src *Source) {
	src.Clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sources[src.name] == src {
		delete(s.sources, src.name)
	}
}

// Name returns the source's name, the value of the label source.
func (src *Source) Name() string { return src.name }

// Len returns how many series the source has.
func (src *Source) Len() int { return int(src.count.Load()) }

// Problem counts n inputs that could not be used, in adapter_parse_errors_total. Reasons
// are constants of the code, never data.
func (src *Source) Problem(reason string, n uint64) {
	src.mu.Lock()
	src.problems[reason] += n
	src.mu.Unlock()
}

func (src *Source) limit(reason string) {
	src.mu.Lock()
	src.limited[reason]++
	src.mu.Unlock()
}

func (src *Source) scratch() *scratch {
	if s, ok := src.keys.Get().(*scratch); ok {
		return s
	}
	return &scratch{}
}

func (src *Source) release(s *scratch) { src.keys.Put(s) }

// A Pull is one round of a pull source: series that it does not name vanish at Commit.
// It is used by one goroutine; rounds of one source wait for each other.
type Pull struct {
	src     *Source
	scratch *scratch
	round   uint32
	seen    []*Series
}

// Begin starts a round. Commit must follow.
func (src *Source) Begin() *Pull {
	src.pulling.Lock()
	src.round++
	return &Pull{src: src, scratch: src.scratch(), round: src.round, seen: slices.Grow(src.spare, len(src.seen))}
}

// Series is Family.Series for a pull source, without the other series: past a limit
// it fails with *LimitError. A series that the round has already named is returned again and
// counted as the problem duplicate_series.
func (p *Pull) Series(f *Family, labels ...sample.Label) (*Series, error) {
	key, err := f.key(p.scratch, p.src, labels)
	if err != nil {
		return nil, err
	}
	x, err := f.store.lookup(f, p.src, key, false)
	if err != nil {
		return nil, err
	}
	if x.round == p.round {
		p.again(x)
		return x, nil
	}
	x.round = p.round
	p.seen = append(p.seen, x)
	return x, nil
}

// Again names a series that an earlier round got from Series and that has not been removed.
func (p *Pull) Again(x *Series) {
	if x.round == p.round {
		p.again(x)
		return
	}
	x.round = p.round
	p.seen = append(p.seen, x)
}

// Refuse takes a series back that the round has named and that has got no value it can have: neither its last value nor a
// zero is served for it.
func (p *Pull) Refuse(x *Series) {
	x.round = p.round - 1
	if last := len(p.seen) - 1; last >= 0 && p.seen[last] == x {
		p.seen = p.seen[:last]
	}
	p.src.store.remove([]*Series{x})
}

// again counts a value that takes the place of another one of the same document. A histogram or summary has room for all.
func (p *Pull) again(x *Series) {
	if t := x.fam.desc.Type; t != Histogram && t != Summary {
		p.src.Problem("duplicate_series", 1)
	}
}

// SetState sets a state set: one series for each of states, 1 for the active one. An
// active state that is not among them leaves all at 0.
func (p *Pull) SetState(f *Family, labels []sample.Label, states []string, active string) error {
	for _, s := range states {
		own := append(labels[:len(labels):len(labels)], sample.Label{Name: f.desc.Name, Value: []byte(s)})
		x, err := p.Series(f, own...)
		if err != nil {
			return err
		}
		v := 0.0
		if s == active {
			v = 1
		}
		x.Set(v)
	}
	return nil
}

// Commit ends the round: what it did not name is removed. A failed pull commits too, so that
// no old value is served as fresh.
func (p *Pull) Commit() {
	src := p.src
	var gone []*Series
	for _, x := range src.seen {
		if x.round != p.round {
			gone = append(gone, x)
		}
	}
	clear(src.seen) // so that it holds no series that is gone
	src.spare, src.seen = src.seen[:0], p.seen
	src.store.remove(gone)
	src.release(p.scratch)
	src.pulling.Unlock()
}

// Clear removes all series of the source.
func (src *Source) Clear() { src.Retain(func(*Series) bool { return false }) }

// Retain removes all series of the source but those that keep wants. A series that stands for others stays while one of its
// family does.
func (src *Source) Retain(keep func(*Series) bool) {
	var gone []*Series
	for _, f := range src.store.Families() {
		var other *Series
		kept := false
		for _, x := range f.List() {
			switch {
			case x.src != src:
			case x.Other():
				other = x
			case keep(x):
				kept = true
			default:
				gone = append(gone, x)
			}
		}
		if other != nil && !kept {
			gone = append(gone, other)
		}
	}
	src.store.remove(gone)
}
