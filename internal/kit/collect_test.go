package kit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counting is a collector whose metric says how often it was asked.
type counting struct{ n float64 }

func (c *counting) Describe(chan<- *prometheus.Desc) {}

func (c *counting) Collect(ch chan<- prometheus.Metric) {
	c.n++
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("asked", "Asked.", nil, nil), prometheus.GaugeValue, c.n)
}

func TestShared_CollectsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		registry.MustRegister(&shared{Collector: &counting{}})
		for _, c := range []struct {
			wait time.Duration
			want float64
		}{{0, 1}, {sharedFor - 1, 1}, {1, 2}, {0, 2}, {time.Hour, 3}} {
			time.Sleep(c.wait)
			families, err := registry.Gather()
			if err != nil || len(families) != 1 {
				t.Fatal(families, err)
			}
			if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != c.want {
				t.Errorf("after a further %s: collected %v times, want %v", c.wait, got, c.want)
			}
		}
	})
}
