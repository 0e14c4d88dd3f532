package decode

import (
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// Adopt goes on with the series of an earlier decoder of the same source whose names mean under the rules of this one what
// they meant before. All others of the source are removed. Neither decoder may be in use meanwhile.
func (d *StatsD) Adopt(old *StatsD) {
	d.retain(&old.cache, func(name, suffix []byte) (record, bool) {
		rate, why := d.read(name, []byte{'1'}, suffix)
		if why != "" {
			return record{}, false
		}
		r, ok := d.existing()
		return r, ok && r.sampled(d.sample.Kind, rate) == ""
	})
}

// Adopt is that of StatsD, for Graphite.
func (d *Graphite) Adopt(old *Graphite) {
	d.retain(&old.cache, func(path, _ []byte) (record, bool) {
		d.read(path, []byte{'1'}, 1)
		r, ok := d.existing()
		return r.graphite(), ok
	})
}

// retain removes the series of the source that no name of a cache would lead to again. again is what a name means now.
func (d *resolver) retain(old *cache, again func(name, suffix []byte) (record, bool)) {
	keep := map[*series.Series]bool{}
	for id := uint32(1); id <= old.n; id++ {
		r := old.record(id)
		if r.x == nil || keep[r.x] || r.stale() {
			continue
		}
		key := old.key(r)
		now, ok := again(key[:r.name], key[r.name:])
		keep[r.x] = ok && now.x == r.x && now.op == r.op && now.scale == r.scale && now.weight == r.weight
	}
	d.src.Retain(func(x *series.Series) bool { return keep[x] })
}

// existing is what the sample does to a series that is there already; false when there is none, or one made differently.
func (d *resolver) existing() (record, bool) {
	m, _ := d.mapping()
	if m.Drop {
		return record{}, false
	}
	x := d.store.Find(m.Desc, d.src, m.Labels...)
	if x == nil || !likeBefore(&m.Desc, x.Family().Desc()) {
		return record{}, false
	}
	return d.record(x, m.Scale), true
}

// likeBefore compares what a family is given once, with its first series.
func likeBefore(now, before *series.Desc) bool {
	if now.Type == series.Histogram && now.Buckets != nil && !slices.Equal(now.Buckets.Bounds(), before.Buckets.Bounds()) {
		return false
	}
	return now.TTL == before.TTL && now.Help == before.Help && (now.Quantiles == nil || slices.Equal(now.Quantiles, before.Quantiles))
}
