package series

import (
	"context"
	"slices"
	"time"
)

// Run removes idle series and turns the windows of sets and summaries until ctx ends.
func (s *Store) Run(ctx context.Context) {
	every := 10 * time.Second
	if idle := s.limits.Idle; idle > 0 {
		every = min(every, max(idle/5, 100*time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.Sweep(now)
		}
	}
}

// Sweep is one round of Run. Safe for concurrent use.
//
// A series is removed when no sample came for its family's TTL or, where that is not
// set, for Limits.Idle. Without a TTL counters, histograms and summaries stay: a counter
// that has not moved must not be omitted (OpenMetrics 1.0, "Supported Data Formats"), and one
// that returns at zero would have lost its past. They go only while a limit is
// reached and others need their room.
func (s *Store) Sweep(now time.Time) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	var gone []*Series
	for _, f := range s.Families() {
		full := s.Len() >= s.limits.Series
		for _, x := range f.List() {
			if x.more != nil {
				x.turn(now)
			}
			ttl := f.desc.TTL
			if ttl == 0 {
				if ttl = s.limits.Idle; ttl < 0 || f.desc.Type.cumulative() && !full && x.src.Len() < s.limits.PerSource {
					ttl = 1<<63 - 1
				}
			}
			if x.expired(now, ttl) {
				gone = append(gone, x)
			}
		}
	}
	s.remove(gone)
}

// expired moves the series one step towards its removal. The step from quiet to
// removed fails when a sample comes between, so no sample of a living series is lost.
func (x *Series) expired(now time.Time, ttl time.Duration) bool {
	if x.mark.CompareAndSwap(live, quiet) {
		x.since = uint32(now.Unix())
		return false
	}
	return now.Sub(time.Unix(int64(x.since), 0)) >= ttl && x.mark.CompareAndSwap(quiet, removed)
}

// turn lets the windows of sets and summaries move on.
func (x *Series) turn(now time.Time) {
	if x.more.set != nil {
		x.fam.store.members.Add(-x.more.set.turn(now))
	}
	if x.more.summary != nil {
		x.more.summary.turn(now)
	}
}

// remove takes series off the page. Families that ran empty leave the table.
func (s *Store) remove(gone []*Series) {
	if len(gone) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	touched := map[*Family]bool{}
	for _, x := range gone {
		if s.index[x.text] != x {
			continue
		}
		x.mark.Store(removed)
		delete(s.index, x.text)
		s.count.Add(-1)
		x.src.count.Add(-1)
		if x.more != nil && x.more.set != nil {
			s.members.Add(-x.more.set.drop())
		}
		if x.fam.other == x {
			x.fam.other = nil
		}
		touched[x.fam] = true
	}
	for f := range touched {
		f.list = slices.DeleteFunc(slices.Clone(f.list), func(x *Series) bool { return x.mark.Load() == removed })
		if len(f.list) == 0 {
			s.unregister(f)
		}
	}
}
