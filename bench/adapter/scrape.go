package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const families = 10

// clientGolang serves n series as client_golang does it: const metrics, or a CounterVec.
func clientGolang(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	labels := []string{"instance", "label1", "label2"}
	values := func(i int) []string {
		return []string{"i" + strconv.Itoa(i), "value" + strconv.Itoa(i%2), "value" + strconv.Itoa(i%3)}
	}
	c := &constant{}
	for f := range families {
		name := fmt.Sprintf("bench_web_requests%d_total", f)
		if args[0] == "const" {
			c.descs = append(c.descs, prometheus.NewDesc(name, "Requests.", labels, nil))
			continue
		}
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "Requests."}, labels)
		reg.MustRegister(vec)
		for i := f; i < n; i += families {
			vec.WithLabelValues(values(i)...).Add(float64(i))
		}
	}
	if args[0] == "const" {
		for i := range n {
			c.values = append(c.values, values(i))
		}
		reg.MustRegister(c)
	}
	http.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	return http.ListenAndServe(args[2], nil)
}

// constant makes new metrics at each scrape, as the exporter guidelines ask for.
type constant struct {
	descs  []*prometheus.Desc
	values [][]string
}

func (c *constant) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *constant) Collect(ch chan<- prometheus.Metric) {
	for i, v := range c.values {
		ch <- prometheus.MustNewConstMetric(c.descs[i%families], prometheus.CounterValue, float64(i), v...)
	}
}

type format struct {
	name string
	head map[string]string
}

func formats() []format {
	return []format{
		{"text", nil},
		{"OpenMetrics", map[string]string{"Accept": "application/openmetrics-text;version=1.0.0"}},
		{"protobuf", map[string]string{"Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"}},
		{"text, gzip", map[string]string{"Accept-Encoding": "gzip"}},
	}
}

// scrapeCost is the CPU time of a scrape in milliseconds. The clock ticks each 10 ms, so many are taken.
func (p *process) scrapeCost(f format) (float64, error) {
	p.idle()
	n, cpu := 0, p.cpu()
	for began := time.Now(); n < 3 || time.Since(began) < time.Second; n++ {
		if _, err := p.scrape(f.head, io.Discard); err != nil {
			return 0, err
		}
	}
	return (p.cpu() - cpu) * 1000 / float64(n), nil
}

// scrapeTable prints the CPU time of a scrape, median.
func scrapeTable(o *options) error {
	fmt.Printf("\n%-26s %12s %12s %12s %12s %10s\n", "CPU ms a scrape", "statsd_exp.", "CounterVec", "const", "ours", "const/ours")
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		if !o.only.MatchString(fmt.Sprintf("scrape %d", n)) {
			continue
		}
		if err := o.scrapeRows(n); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) scrapeRows(n int) error {
	var ps [4]*process
	defer func() {
		for _, p := range ps {
			if p != nil {
				p.stop()
			}
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i, kind := range []string{1: "vec", 2: "const"} {
		if a := freeAddress(); kind != "" {
			if ps[i], err = start("http://"+a+"/metrics", self, "clientgolang", kind, strconv.Itoa(n), a); err != nil {
				return err
			}
		}
	}
	c := statsdCase{traffic: traffic{"tcp", 25, n, 3, "c", 0}}
	for i, begin := range []func(*options, statsdCase) (*target, error){0: startStatsdExporter, 3: startOurs} {
		if begin == nil || i == 0 && n > 10_000 {
			continue
		}
		t, err := begin(o, c)
		if err != nil {
			return err
		}
		ps[i] = t.process
		if _, err := c.sent(t.address, 0); err != nil {
			return err
		}
		t.idle()
	}
	for _, f := range formats() {
		var times [4][]float64
		for range o.rounds {
			for i, p := range ps {
				if p == nil {
					continue
				}
				ms, err := p.scrapeCost(f)
				if err != nil {
					return err
				}
				times[i] = append(times[i], ms)
			}
		}
		fmt.Printf("%-26s", fmt.Sprintf("%d series, %s", n, f.name))
		for _, t := range times {
			fmt.Printf(" %12s", number(median(t)))
		}
		fmt.Printf(" %10.1f\n", median(times[2])/median(times[3]))
	}
	fmt.Printf("%-26s", fmt.Sprintf("%d series, RSS in MB", n))
	for _, p := range ps {
		if p == nil {
			fmt.Printf(" %12s", "–")
			continue
		}
		fmt.Printf(" %12.1f", p.rss())
	}
	fmt.Println()
	return nil
}

func number(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", v)
}

// memoryTable prints the resident memory after series came in, before any scrape of them.
func memoryTable(o *options) error {
	if !o.only.MatchString("memory") {
		return nil
	}
	fmt.Printf("\n%-26s %12s %12s %8s\n", "RSS in MB, UDP 30 lines", "statsd_exp.", "ours", "goal")
	for _, row := range []struct {
		series int
		goal   float64
	}{{0, 12}, {10_000, 20}, {100_000, 80}} {
		fmt.Printf("%-26s", fmt.Sprintf("%d series", row.series))
		c := statsdCase{traffic: traffic{"udp", 30, row.series, 0, "c", 0}}
		for _, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
			t, err := begin(o, c)
			if err != nil {
				return err
			}
			if row.series > 0 {
				_, err = c.sent(t.address, time.Duration(o.seconds)*time.Second)
			}
			t.idle()
			fmt.Printf(" %12.1f", t.rss())
			t.stop()
			if err != nil {
				return err
			}
		}
		fmt.Printf(" %8.0f\n", row.goal)
	}
	return nil
}
