package decode

import (
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// Adopt goes on with the series of an earlier decoder of the same source whose names mean under the rules of this one what
// they meant before. All others of the source are removed. Neither decoder may be in use meanwhile.
func (d *StatsD) Adopt(old *StatsD) {
	keep := map[*series.Series]bool{}
	for id := uint32(1); id <= old.cache.n; id++ {
		r := old.cache.record(id)
		if r.x == nil || keep[r.x] || r.stale() {
			continue
		}
		key := old.cache.key(r)
		if d.same(key[:r.name], key[r.name:], r) {
			keep[r.x] = true
		}
	}
	d.src.Retain(func(x *series.Series) bool { return keep[x] })
}

// same reports whether a line would do now what it did.
func (d *StatsD) same(name, suffix []byte, before *record) bool {
	rate, why := d.read(name, []byte{'1'}, suffix)
	if why != "" {
		return false
	}
	m, _ := d.mapping()
	if m.Drop || d.store.Find(m.Desc, d.src, m.Labels...) != before.x || !likeBefore(&m.Desc, before.x.Family().Desc()) {
		return false
	}
	now := d.record(before.x, m.Scale)
	return now.sampled(d.sample.Kind, rate) == "" && now.scale == before.scale && now.op == before.op
}

// likeBefore compares what a family is given once, with its first series.
func likeBefore(now, before *series.Desc) bool {
	if now.Type == series.Histogram && now.Buckets != nil && !slices.Equal(now.Buckets.Bounds(), before.Buckets.Bounds()) {
		return false
	}
	return now.TTL == before.TTL && now.Help == before.Help && (now.Quantiles == nil || slices.Equal(now.Quantiles, before.Quantiles))
}
