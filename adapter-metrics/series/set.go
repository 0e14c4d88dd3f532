package series

import (
	"sync"
	"time"
)

// setWindow is how long members of a set are told apart. StatsD counts per flush interval
// (10 s by default); a minute is never shorter than a scrape interval.
const setWindow = time.Minute

// set counts distinct members exactly, up to a bound shared by all sets.
type set struct {
	mu      sync.Mutex
	members map[uint64]struct{}
	last    int // distinct members of the window before
	turned  time.Time
}

// AddMember adds a member, given as a 64-bit hash, to the set that this gauge shows: the
// number of distinct members in the running minute or the one before, whichever is
// greater. It returns false, and counts limits.set_members, when the bound on all members
// is reached; the value is then a lower bound.
func (x *Series) AddMember(hash uint64) bool {
	if x.more == nil || x.more.set == nil || !x.touch() {
		return false
	}
	s, store := x.more.set, x.fam.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.members[hash]; ok {
		return true
	}
	if store.members.Add(1) > int64(store.limits.SetMembers) {
		store.members.Add(-1)
		x.src.limit("set_members")
		return false
	}
	s.members[hash] = struct{}{}
	return true
}

func (s *set) value() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(max(s.last, len(s.members)))
}

// turn starts a new window when the running one is over and returns how many members it freed.
func (s *set) turn(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turned.IsZero() {
		s.turned = now
	}
	if now.Sub(s.turned) < setWindow {
		return 0
	}
	s.turned, s.last = now, len(s.members)
	s.members = map[uint64]struct{}{}
	return int64(s.last)
}

// drop empties the set for good.
func (s *set) drop() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.members)
	clear(s.members)
	return int64(n)
}
