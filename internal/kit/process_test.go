package kit

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// gathered maps the names of what a collector yields to their values.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		out[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

func TestProcess_TellsWhatTheStandardCollectorTells(t *testing.T) {
	want, got := gathered(t, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})), gathered(t, newProcessMetrics())
	for name, w := range want {
		g, has := got[name]
		delete(got, name)
		switch {
		case strings.HasPrefix(name, "process_network_"):
			if has {
				t.Errorf("%s is there: it is the Pod's, not the process's", name)
			}
			continue
		case !has:
			t.Errorf("%s is missing", name)
			continue
		}
		slack := 0.0 // time went by between the two
		switch name {
		case "process_cpu_seconds_total":
			slack = 1
		case "process_resident_memory_bytes", "process_virtual_memory_bytes":
			slack = w / 2
		case "process_open_fds":
			slack = 2
		}
		if math.Abs(g-w) > slack {
			t.Errorf("%s is %v, the standard collector says %v", name, g, w)
		}
	}
	if len(got) > 0 {
		t.Errorf("the standard collector does not have %v", got)
	}
}

func TestProcess_CountsFilesThatAreOpenNow(t *testing.T) {
	m := newProcessMetrics()
	before := gathered(t, m)["process_open_fds"]
	for range 20 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after := gathered(t, m)["process_open_fds"]; after < before+15 {
		t.Errorf("%v files open before, %v after opening 20 more", before, after)
	}
}

// BenchmarkProcess_Collect guards the fixed cost of every scrape.
func BenchmarkProcess_Collect(b *testing.B) {
	for name, c := range map[string]prometheus.Collector{
		"ours": newProcessMetrics(), "standard": collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), "go": collectors.NewGoCollector(),
	} {
		b.Run(name, func(b *testing.B) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(c)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = registry.Gather()
			}
		})
	}
}
