package series

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// conflicts counts refused families by name. Names are data, so only the first
// hundred are told apart.
type conflicts struct {
	mu     sync.Mutex
	byName map[string]uint64
	notify func(error)
}

const conflictNames = 100

func (c *conflicts) add(name string, err error) {
	if len(name) > 200 {
		name = name[:200]
	}
	c.mu.Lock()
	_, known := c.byName[name]
	if !known && len(c.byName) >= conflictNames {
		name, known = "other", true
	}
	c.byName[name]++
	c.mu.Unlock()
	if !known && c.notify != nil {
		c.notify(err)
	}
}

// Describe implements prometheus.Collector. It names nothing: which sources there are
// changes with the configuration.
func (s *Store) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector with what became of the samples of each source.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	s.mu.RLock()
	sources := make([]*Source, 0, len(s.sources))
	for _, src := range s.sources {
		sources = append(sources, src)
	}
	s.mu.RUnlock()
	for _, src := range sources {
		src.collect(ch, &s.descs)
	}
	s.conflicts.mu.Lock()
	defer s.conflicts.mu.Unlock()
	for name, n := range s.conflicts.byName {
		ch <- counter(s.descs.conflicts, float64(n), name)
	}
}

// descs describe the metrics of Collect.
type descs struct{ series, samples, unmatched, problems, limited, conflicts *prometheus.Desc }

func newDescs() descs {
	one := []string{"source"}
	two := []string{"source", "reason"}
	return descs{
		series:    prometheus.NewDesc("adapter_series", "Series served, by source.", one, nil),
		samples:   prometheus.NewDesc("adapter_samples_total", "Samples decoded, by source.", one, nil),
		unmatched: prometheus.NewDesc("adapter_unmatched_total", "Samples that no rule wanted, by source.", one, nil),
		problems:  prometheus.NewDesc("adapter_parse_errors_total", "Inputs that could not be used, by source and reason.", two, nil),
		limited:   prometheus.NewDesc("adapter_series_limited_total", "Samples that met a limit, by source and the key of the limit; they were folded into the other series, cut or refused.", two, nil),
		conflicts: prometheus.NewDesc("adapter_conflicts_total", "Samples refused because their metric conflicts with one that was there first, by metric.", []string{"metric"}, nil),
	}
}

func (src *Source) collect(ch chan<- prometheus.Metric, d *descs) {
	ch <- prometheus.MustNewConstMetric(d.series, prometheus.GaugeValue, float64(src.Len()), src.name)
	ch <- counter(d.samples, float64(src.Samples.Load()), src.name)
	ch <- counter(d.unmatched, float64(src.Unmatched.Load()), src.name)
	src.mu.Lock()
	defer src.mu.Unlock()
	for reason, n := range src.problems {
		ch <- counter(d.problems, float64(n), src.name, reason)
	}
	for limit, n := range src.limited {
		ch <- counter(d.limited, float64(n), src.name, limit)
	}
}

func counter(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}
