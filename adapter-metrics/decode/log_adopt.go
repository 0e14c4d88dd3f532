package decode

import (
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// Adopt goes on with the series of an earlier decoder of the same source that a metric of this one would make again: one of
// that name, labels, field and scale. All others of the source are removed. Neither decoder may be in use meanwhile.
func (d *Log) Adopt(old *Log) {
	keep := map[*series.Series]bool{}
	for i := range old.groups {
		before := &old.groups[i]
		for j := range before.metrics {
			now := d.like(old, before, j)
			if now == nil {
				continue
			}
			for _, list := range before.known {
				if x := list[j]; x != nil && !x.Removed() && likeBefore(&now.desc, x.Family().Desc()) {
					keep[x] = true
				}
			}
		}
	}
	d.src.Retain(func(x *series.Series) bool { return keep[x] })
}

// like is the metric that makes of a line what a metric of another decoder makes of it; nil when there is none.
func (d *Log) like(old *Log, group *logGroup, i int) *logMetric {
	m := &group.metrics[i]
	for j := range d.groups {
		g := &d.groups[j]
		if !slices.Equal(g.names, group.names) {
			continue
		}
		for k := range g.metrics {
			n := &g.metrics[k]
			if n.desc.Name == m.desc.Name && n.desc.Type == m.desc.Type && d.fieldOf(n) == old.fieldOf(m) && n.scale == m.scale {
				return n
			}
		}
	}
	return nil
}

// fieldOf is the name of the field that a metric takes its value from; empty for one that counts lines.
func (d *Log) fieldOf(m *logMetric) string {
	if m.field < 0 {
		return ""
	}
	return d.fields[m.field].name
}
