package series

import (
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// lookup finds or creates the series with the given rendered key. A push source
// that finds no room gets the family's other series.
func (s *Store) lookup(f *Family, src *Source, key []byte, push bool) (*Series, error) {
	s.mu.RLock()
	have := s.index[string(key)]
	s.mu.RUnlock()
	if have == nil {
		return s.create(f, src, key, push)
	}
	return s.owned(have, src)
}

func (s *Store) owned(x *Series, src *Source) (*Series, error) {
	if x.src != src && !x.Other() {
		err := &ConflictError{Name: x.fam.desc.Name, With: "source " + x.src.name, Why: "has a series that already comes from"}
		s.conflicts.add(x.fam.desc.Name, err)
		return nil, err
	}
	return x, nil
}

// create is the only place where a series is born.
func (s *Store) create(f *Family, src *Source, key []byte, push bool) (*Series, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.index[string(key)]; have != nil {
		return s.owned(have, src)
	}
	if err := s.room(f, src); err != nil {
		src.limit(err.Limit)
		return s.fold(f, src, push, err)
	}
	f, err := s.register(f)
	if err != nil {
		return nil, err
	}
	x := s.add(f, src, string(key), false)
	if push {
		x.begin()
	}
	return x, nil
}

// fold returns the one series that stands for all that found no room. Only what adds
// up can be folded: the last value of any of a hundred gauges means nothing.
func (s *Store) fold(f *Family, src *Source, push bool, cause error) (*Series, error) {
	f = s.equal(&f.desc)
	if !push || f == nil || !f.desc.Type.cumulative() {
		return nil, cause
	}
	if f.other == nil {
		f.other = s.add(f, src, string(f.appendKey(nil, otherLabels())), true)
		f.other.begin()
	}
	return f.other, nil
}

func otherLabels() []sample.Label {
	return []sample.Label{{Name: "other", Value: []byte("true")}}
}

// add makes the series; the caller holds the lock and has found room.
func (s *Store) add(f *Family, src *Source, key string, other bool) *Series {
	if have := s.index[key]; have != nil {
		return have
	}
	x := newSeries(f, src, key)
	x.other = other
	f.plain = f.plain && plainKey(key)
	s.index[key] = x
	f.list = append(f.list, x)
	s.count.Add(1)
	src.count.Add(1)
	return x
}

// begin notes since when a series counts what is pushed.
func (x *Series) begin() {
	if x.fam.desc.Type.cumulative() {
		x.born.Store(uint32(time.Now().Unix()))
	}
}

// room says which limit, if any, forbids one more series.
func (s *Store) room(f *Family, src *Source) *LimitError {
	if n := s.limits.Series; s.count.Load() >= int64(n) {
		return &LimitError{Name: f.desc.Name, Limit: "series", Value: n}
	}
	if n := s.limits.PerSource; src.count.Load() >= int64(n) {
		return &LimitError{Name: f.desc.Name, Limit: "per_source", Value: n}
	}
	return nil
}
