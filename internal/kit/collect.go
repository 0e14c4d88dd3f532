package kit

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sharedFor is how long scrapes share what a collector found.
const sharedFor = time.Second

// shared lets scrapes that come within a second share one collection. Reading /proc and the runtime's metrics takes more CPU
// time than a small page. It is for collectors whose metrics do not change once they are made.
type shared struct {
	prometheus.Collector

	mu      sync.Mutex
	at      time.Time
	metrics []prometheus.Metric
}

// Collect implements prometheus.Collector.
func (s *shared) Collect(ch chan<- prometheus.Metric) {
	for _, m := range s.current() {
		ch <- m
	}
}

func (s *shared) current() []prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metrics != nil && time.Since(s.at) < sharedFor {
		return s.metrics
	}
	fresh := make(chan prometheus.Metric)
	go func() { defer close(fresh); s.Collector.Collect(fresh) }()
	s.at, s.metrics = time.Now(), nil
	for m := range fresh {
		s.metrics = append(s.metrics, m)
	}
	return s.metrics
}
