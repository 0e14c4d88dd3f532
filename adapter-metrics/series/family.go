package series

import (
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/prometheus/common/model"
)

// A Family is all series of one name. Get one from Store.Family.
type Family struct {
	store *Store
	desc  Desc
	plain bool // every metric and label name fits the classic character set; guarded by store.mu

	// list and other are guarded by store.mu. list is only appended to; a removal
	// replaces it, so a reader may walk the slice that it took without the lock.
	list  []*Series
	other *Series
}

func newFamily(s *Store, d Desc) *Family {
	if d.Type == Histogram && d.Buckets == nil {
		d.Buckets = s.buckets
	}
	if d.Type == Summary && d.Quantiles == nil {
		d.Quantiles = []float64{0.5, 0.9, 0.99}
	}
	d.Name = strings.Clone(d.Name)
	return &Family{store: s, desc: d, plain: plainName(d.Name)}
}

// equal reports whether samples of both descriptions can be in one family.
func (f *Family) equal(d *Desc) bool {
	return f.desc.Type == d.Type && f.desc.Unit == d.Unit && f.desc.Distinct == d.Distinct
}

// Desc returns the family's description, completed.
func (f *Family) Desc() *Desc { return &f.desc }

// Base is the family's name in OpenMetrics: without _total or _info.
func (f *Family) Base() string { return f.desc.base() }

// Plain reports whether all metric and label names of the family fit the classic
// character set [a-zA-Z0-9_:], so that most escapings leave them as they are.
func (f *Family) Plain() bool {
	f.store.mu.RLock()
	defer f.store.mu.RUnlock()
	return f.plain
}

// List returns the series in the order of their birth. The slice is shared and must
// not be changed; a series in it may have been removed meanwhile.
func (f *Family) List() []*Series {
	f.store.mu.RLock()
	defer f.store.mu.RUnlock()
	return f.list
}

// Series returns the series with the given labels for a push source, creating it
// when it is new. The order of labels does not matter; of two with one name the first
// counts, empty values are no labels, and a name that the format reserves gets the
// prefix exported_. Fails with *LimitError or *ConflictError. When there is no room, a
// counter, histogram or summary gives the family's one other series instead (see
// Series.Other). The labels are copied.
func (f *Family) Series(src *Source, labels ...sample.Label) (*Series, error) {
	return f.find(src, labels, true)
}

func (f *Family) find(src *Source, labels []sample.Label, push bool) (*Series, error) {
	s := src.scratch()
	defer src.release(s)
	key, err := f.key(s, src, labels)
	if err != nil {
		return nil, err
	}
	return f.store.lookup(f, src, key, push)
}

// plainName reports whether a metric name needs no quotes.
func plainName(n string) bool { return model.LegacyValidation.IsValidMetricName(n) }

// plainLabel reports whether a label name needs no quotes.
func plainLabel(n string) bool { return model.LegacyValidation.IsValidLabelName(n) }
