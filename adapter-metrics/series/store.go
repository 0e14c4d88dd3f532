// Package series holds the current value of everything that is served.
//
// A Store is a table of families (name, type, unit, help); a family is a list of
// series (a set of labels); a series is a number, or a histogram, a summary or a set
// of distinct values. Names that could make a page invalid never enter the table, and
// numbers of series are bounded, so whatever an app sends, a page can always be served.
//
// Each series belongs to the Source that created it. A push source (StatsD) keeps
// pointers to its series and updates them in place; a pull source works in rounds
// (Begin, Commit), and what a round did not see vanishes.
//
// Everything here is safe for concurrent use unless it says otherwise. Updates of a
// known series take no lock but a histogram's own; a reader of the page never blocks
// an update.
package series

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Limits bound what a Store keeps. Zero values mean the default.
type Limits struct {
	Series     int           // in all; default 50 000
	PerSource  int           // of one source; default 20 000
	Labels     int           // of one series; default 32
	LabelBytes int           // of one label value, longer ones are cut; default 1024
	SetMembers int           // distinct values kept exactly over all sets; default 200 000
	Idle       time.Duration // how long a series without samples stays; default 5 min, negative never removes
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Series, 50_000)
	set(&l.PerSource, 20_000)
	set(&l.Labels, 32)
	set(&l.LabelBytes, 1024)
	set(&l.SetMembers, 200_000)
	if l.Idle == 0 {
		l.Idle = 5 * time.Minute
	}
	return l
}

// Options of a Store.
type Options struct {
	Limits Limits
	// ReservedPrefix, such as "adapter_", is refused to families: it is the helper's own.
	ReservedPrefix string
	// Refused, when set, is told once for each name that conflicts (the first hundred
	// names). It must not call back into the store.
	Refused func(error)
}

// A Store is the table of everything served. Make one with New.
type Store struct {
	limits   Limits
	reserved string
	buckets  *Buckets // of a histogram that names none

	mu       sync.RWMutex
	families map[string]*Family // by Desc.key
	index    map[string]*Series // by rendered name and labels
	sources  map[string]*Source
	sorted   []*Family // by name; replaced, never changed; nil when families came or went

	protoMu  sync.Mutex // guards Series.proto
	sweeping sync.Mutex // one Sweep at a time: guards Series.since

	count     atomic.Int64 // series in all
	members   atomic.Int64 // of all sets
	conflicts conflicts
	descs     descs
}

// New returns an empty store.
func New(o Options) *Store {
	return &Store{
		limits: o.Limits.withDefaults(), reserved: o.ReservedPrefix, buckets: defaultBuckets(),
		families: map[string]*Family{}, index: map[string]*Series{}, sources: map[string]*Source{},
		conflicts: conflicts{byName: map[string]uint64{}, notify: o.Refused}, descs: newDescs(),
	}
}

// Family returns the family of that name. It fails with *NameError, or with
// *ConflictError when the name, or one that the type implies (_bucket, _count, …),
// belongs to a family of another type or unit; a different help or different buckets
// are no conflict, the first one's stay. The result may be kept for good: a family
// enters the table with its first series and leaves it with its last.
func (s *Store) Family(d Desc) (*Family, error) {
	err := d.Complete()
	if err == nil {
		s.mu.RLock()
		f := s.equal(&d)
		if f == nil {
			err = s.clash(&d)
		}
		s.mu.RUnlock()
		if f != nil {
			return f, nil
		}
	}
	if err != nil {
		s.conflicts.add(d.Name, err)
		return nil, err
	}
	return newFamily(s, d), nil
}

// clash says what forbids a family of that description.
func (s *Store) clash(d *Desc) error {
	if s.reserved != "" && strings.HasPrefix(d.Name, s.reserved) {
		return &ConflictError{Name: d.Name, With: s.reserved + "*", Why: "uses the prefix of the helper's own metrics"}
	}
	holder := s.holder(d.key())
	for _, suffix := range d.Type.suffixes() {
		if holder == nil {
			holder = s.holder(d.key() + suffix)
		}
	}
	if holder == nil {
		return nil
	}
	why := "would share a sample name with"
	if holder.desc.Name == d.Name {
		why = "has another type or unit than"
	}
	return &ConflictError{Name: d.Name, With: "the " + holder.desc.Type.String() + " " + holder.desc.Name, Why: why}
}

// holder returns the family that has name as its own or as one of its samples'. The name is escaped.
func (s *Store) holder(name string) *Family {
	if f := s.families[name]; f != nil {
		return f
	}
	i := strings.LastIndexByte(name, '_')
	if i <= 0 {
		return nil
	}
	if f := s.families[name[:i]]; f != nil && slices.Contains(f.desc.Type.suffixes(), name[i:]) {
		return f
	}
	return nil
}

// equal returns the family that samples of that description go to.
func (s *Store) equal(d *Desc) *Family {
	if f := s.families[d.key()]; f != nil && f.desc.Name == d.Name && f.equal(d) {
		return f
	}
	return nil
}

// Find returns the series that samples of that description and labels go to, nil when there is none yet.
func (s *Store) Find(d Desc, src *Source, labels ...sample.Label) *Series {
	if d.Complete() != nil {
		return nil
	}
	scratch := src.scratch()
	defer src.release(scratch)
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := s.equal(&d)
	if f == nil {
		return nil
	}
	key, err := f.key(scratch, src, labels)
	if err != nil {
		return nil
	}
	return s.index[string(key)]
}

// register puts a family into the table, or returns the equal one that is there.
func (s *Store) register(f *Family) (*Family, error) {
	if have := s.equal(&f.desc); have != nil {
		return have, nil
	}
	if err := s.clash(&f.desc); err != nil {
		s.conflicts.add(f.desc.Name, err)
		return nil, err
	}
	s.families[f.desc.key()] = f
	s.sorted = nil
	return f, nil
}

// unregister forgets a family that has no series left.
func (s *Store) unregister(f *Family) {
	if key := f.desc.key(); s.families[key] == f {
		delete(s.families, key)
	}
	s.sorted = nil
}

// Families returns all families that have series, sorted by name. The slice is shared
// and must not be changed.
func (s *Store) Families() []*Family {
	s.mu.RLock()
	list := s.sorted
	s.mu.RUnlock()
	if list != nil {
		return list
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted == nil {
		list = make([]*Family, 0, len(s.families))
		for _, f := range s.families {
			list = append(list, f)
		}
		slices.SortFunc(list, func(a, b *Family) int { return strings.Compare(a.desc.Name, b.desc.Name) })
		s.sorted = list
	}
	return s.sorted
}

// Has reports whether a family of the app uses name, as its own or as one of its samples', or that with one of the suffixes.
func (s *Store) Has(name string, suffixes ...string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.families) == 0 {
		return false
	}
	for _, suffix := range suffixes {
		if s.holder(name+suffix) != nil {
			return true
		}
	}
	return s.holder(name) != nil
}

// Len returns the number of series in all.
func (s *Store) Len() int { return int(s.count.Load()) }

// Limits returns the bounds in force, defaults filled in.
func (s *Store) Limits() Limits { return s.limits }
