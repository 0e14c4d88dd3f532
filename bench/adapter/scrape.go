package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const families = 10

// clientGolang is a role: it serves n series as const metrics.
func clientGolang(args []string) error {
	n, err := strconv.Atoi(args[0])
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
		c.descs = append(c.descs, prometheus.NewDesc(fmt.Sprintf("bench_web_requests%d_total", f), "Requests.", labels, nil))
	}
	for i := range n {
		c.values = append(c.values, values(i))
	}
	reg.MustRegister(c)
	http.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	return http.ListenAndServe(args[1], nil)
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

// scrapeCost is the CPU time of a scrape in milliseconds. The clock ticks each 10 ms, so many are taken: at least as long as
// that, and at least so many.
func (p *process) scrapeCost(f format, d time.Duration, least int) (float64, error) {
	if _, err := p.scrape(f.head, io.Discard); err != nil { // what the first one prepares is not the matter
		return 0, err
	}
	p.idle()
	n, cpu := 0, p.cpu()
	for began := time.Now(); n < least || time.Since(began) < d; n++ {
		if _, err := p.scrape(f.head, io.Discard); err != nil {
			return 0, err
		}
	}
	return (p.cpu() - cpu) * 1000 / float64(n), nil
}

// scrapeGoal is against client_golang's const metrics, statsdScrapeGoal against statsd_exporter.
const (
	scrapeGoal       = 15
	statsdScrapeGoal = 25
)

// seriesTraffic brings n series, each once.
func seriesTraffic(n int) statsdCase { return statsdCase{traffic: traffic{"tcp", 25, n, 3, "c", 0}} }

// scrapeRows are scrapes of what client_golang serves as const metrics, which is how exporters are to do it.
func scrapeRows(o *options) error {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		if err := o.scrapesOf(n); err != nil {
			return err
		}
	}
	return nil
}

// scrapesOf fills both programs once for all formats: a million series take a while to send.
func (o *options) scrapesOf(n int) error {
	name := func(f format) string { return fmt.Sprintf("scrape %d series, %s", n, f.name) }
	if !slices.ContainsFunc(formats(), func(f format) bool { return o.only.MatchString(name(f)) }) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a := freeAddress()
	peer, err := start("http://"+a+"/metrics", self, "clientgolang", strconv.Itoa(n), a)
	if err != nil {
		return err
	}
	defer peer.stop()
	ours, err := o.filled(startOurs, n)
	if err != nil {
		return err
	}
	defer ours.stop()
	goal := 0.0
	if n >= 10_000 { // the helper's own page outweighs fewer
		goal = scrapeGoal
	}
	rounds, span := o.rounds, time.Second
	if n >= 1_000_000 {
		rounds, span = 1, 0 // five seconds each, for the peer
	}
	for _, f := range formats() {
		if !o.only.MatchString(name(f)) {
			continue
		}
		theirs, mine, err := interleaved(peer, ours.process, f, rounds, span)
		if err != nil {
			return err
		}
		o.table.add(result{name: name(f), unit: "ms CPU", peer: "const metrics", theirs: theirs, ours: mine, less: true, goal: goal,
			note: fmt.Sprintf("RSS %s against %s MB", short(ours.rss()), short(peer.rss()))})
	}
	return nil
}

// filled starts a program and brings it n series.
func (o *options) filled(begin func(*options, statsdCase) (*target, error), n int) (*target, error) {
	c := seriesTraffic(n)
	t, err := begin(o, c)
	if err != nil {
		return nil, err
	}
	if _, err := c.sent(t.address, 0); err != nil {
		t.stop()
		return nil, err
	}
	t.idle()
	return t, nil
}

// interleaved returns the medians of both programs' costs.
func interleaved(peer, ours *process, f format, rounds int, d time.Duration) (theirs, mine float64, err error) {
	var times [2][]float64
	for range rounds {
		for i, p := range []*process{peer, ours} {
			ms, err := p.scrapeCost(f, d, 1+2*i) // ours is quick, and the clock is coarse
			if err != nil {
				return 0, 0, err
			}
			times[i] = append(times[i], ms)
		}
	}
	return median(times[0]), median(times[1]), nil
}

// statsdScrapeRows are scrapes of series that came as StatsD lines.
func statsdScrapeRows(o *options) error {
	const n = 10_000
	if !o.only.MatchString("scrape of 10k StatsD series") {
		return nil
	}
	peer, err := o.filled(startStatsdExporter, n)
	if err != nil {
		return err
	}
	defer peer.stop()
	ours, err := o.filled(startOurs, n)
	if err != nil {
		return err
	}
	defer ours.stop()
	for _, f := range formats() {
		theirs, mine, err := interleaved(peer.process, ours.process, f, o.rounds, time.Second)
		if err != nil {
			return err
		}
		goal := 0.0
		if f.name == "text" { // the others are compared for completeness: gzip costs both the same
			goal = statsdScrapeGoal
		}
		o.table.add(result{name: "scrape of 10k StatsD series, " + f.name, unit: "ms CPU", peer: "statsd_exporter", theirs: theirs, ours: mine, less: true, goal: goal})
	}
	return nil
}

// memoryRows are the resident memory after series came in, before any scrape of them.
func memoryRows(o *options) error {
	for _, row := range []struct {
		name   string
		series int
		most   float64
	}{{"RSS, idle", 0, 12}, {"RSS, 10k series", 10_000, 20}, {"RSS, 100k series", 100_000, 80}} {
		if !o.only.MatchString(row.name) {
			continue
		}
		c := statsdCase{traffic: traffic{"udp", 30, row.series, 0, "c", 0}}
		var rss [2]float64
		for i, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
			t, err := begin(o, c)
			if err != nil {
				return err
			}
			if row.series > 0 {
				_, err = c.sent(t.address, time.Duration(o.seconds)*time.Second)
			}
			t.idle()
			rss[i] = t.rss()
			t.stop()
			if err != nil {
				return err
			}
		}
		o.table.add(result{name: row.name, unit: "MB", peer: "statsd_exporter", theirs: rss[0], ours: rss[1], less: true, most: row.most})
	}
	return nil
}
