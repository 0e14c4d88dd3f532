package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// statsdCase is a row of the StatsD table.
type statsdCase struct {
	name  string
	rules int
	goal  float64 // times statsd_exporter
	traffic
}

func statsdCases() []statsdCase {
	return []statsdCase{
		{"UDP 1 line, 100 series", 0, 1.3, traffic{"udp", 1, 100, 0, "c", 0}},
		{"UDP 30 lines, 100 series", 0, 10, traffic{"udp", 30, 100, 0, "c", 0}},
		{"UDP 30 lines, 10k series", 0, 10, traffic{"udp", 30, 10_000, 0, "c", 0}},
		{"UDP 1400 bytes, 1k series", 0, 10, traffic{"udp", 41, 1000, 0, "c", 0}},
		{"UDP 10 lines, 10k series, 3 tags", 0, 10, traffic{"udp", 10, 10_000, 3, "c", 0}},
		{"UDP 30 lines, 100k series", 0, 10, traffic{"udp", 30, 100_000, 0, "c", 0}},
		{"UDP 30 lines, 1k timers", 0, 10, traffic{"udp", 30, 1000, 0, "ms", 0}},
		{"UDP 30 lines, 10k series, 50 rules", 50, 10, traffic{"udp", 30, 10_000, 0, "c", 0}},
		{"TCP, 1k series", 0, 20, traffic{"tcp", 30, 1000, 0, "c", 0}},
		{"unixgram 1 line, 100 series", 0, 2, traffic{"unixgram", 1, 100, 0, "c", 0}},
	}
}

// target is a program under test with its StatsD address.
type target struct {
	*process
	address string
	counter string // of lines
}

// statsdRows are lines per CPU-second.
func statsdRows(o *options) error {
	for _, c := range statsdCases() {
		if !o.only.MatchString(c.name) {
			continue
		}
		rates, drops, err := o.sideBySide(c)
		if err != nil {
			return err
		}
		o.table.add(result{name: c.name, unit: "lines/s", peer: "statsd_exporter", theirs: median(rates[0]), ours: median(rates[1]), goal: c.goal,
			note: fmt.Sprintf("lost %.1f %% against %.1f %%", 100*median(drops[1]), 100*median(drops[0]))})
	}
	return nil
}

func (o *options) sideBySide(c statsdCase) (rates, drops [2][]float64, err error) {
	for range o.rounds {
		for i, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
			t, err := begin(o, c)
			if err != nil {
				return rates, drops, err
			}
			m, err := t.measure(c.traffic, time.Duration(o.seconds)*time.Second)
			t.stop()
			if err != nil {
				return rates, drops, err
			}
			rates[i], drops[i] = append(rates[i], m.received/m.cpu), append(drops[i], 1-m.received/m.sent)
		}
	}
	return rates, drops, nil
}

// measured is what came of one load.
type measured struct{ sent, received, counted, cpu float64 } // lines; lost packets that the program knows of; seconds

// measure makes all series known, then loads. Scrapes lie outside of what is measured.
func (t *target) measure(tr traffic, d time.Duration) (m measured, err error) {
	warm := tr
	warm.rate = 0
	if _, err = warm.sent(t.address, 0); err != nil {
		return m, err
	}
	t.idle()
	before, err := t.process.counter(t.counter)
	if err != nil {
		return m, err
	}
	drops, _ := t.process.counter(ourDrops) // statsd_exporter has none
	t.idle()
	cpu := t.cpu()
	if m.sent, err = tr.sent(t.address, d); err != nil {
		return m, err
	}
	t.idle()
	m.cpu = t.cpu() - cpu
	after, err := t.process.counter(t.counter)
	now, _ := t.process.counter(ourDrops)
	m.received, m.counted = after-before, now-drops
	return m, err
}

const ourDrops = "adapter_statsd_kernel_drops_total"

// where returns an address of the case's kind and its form for net.Dial.
func (c statsdCase) where(o *options) string {
	if c.network == "unixgram" {
		return filepath.Join(o.dir, fmt.Sprintf("s%d.sock", time.Now().UnixNano()))
	}
	return freeAddress()
}

func startStatsdExporter(o *options, c statsdCase) (*target, error) {
	address, web := c.where(o), freeAddress()
	mapping := filepath.Join(o.dir, "mapping.yml")
	var b strings.Builder
	b.WriteString("defaults: {observer_type: histogram}\n")
	if c.rules > 0 {
		b.WriteString("mappings:\n")
		for i := range c.rules - 1 {
			fmt.Fprintf(&b, "- {match: 'bench.rule%d.*.*', name: rule%d, labels: {first: $1, second: $2}}\n", i, i)
		}
		b.WriteString("- {match: 'bench.*.requests.*', name: bench_requests_total, labels: {service: $1, item: $2}}\n")
	}
	if err := os.WriteFile(mapping, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	args := []string{o.statsdExporter, "--web.listen-address=" + web, "--statsd.mapping-config=" + mapping, "--statsd.read-buffer=4194304",
		"--statsd.cache-size=200000", "--log.level=error"}
	for _, network := range []string{"udp", "tcp", "unixgram"} {
		here := ""
		if network == c.network {
			here = address
		}
		args = append(args, "--statsd.listen-"+network+"="+here)
	}
	p, err := start("http://"+web+"/metrics", args...)
	return &target{p, address, "statsd_exporter_lines_total"}, err
}

func startOurs(o *options, c statsdCase) (*target, error) {
	address, admin := c.where(o), freeAddress()
	var b strings.Builder
	fmt.Fprintf(&b, "sources:\n  - name: bench\n    statsd: {listen: [%q]}\n", c.network+"://"+address)
	if c.rules > 0 {
		b.WriteString("    rules:\n")
		for i := range c.rules - 1 {
			fmt.Fprintf(&b, "      - {match: 'bench.rule%d.{first}.{second}', name: rule%d}\n", i, i)
		}
		b.WriteString("      - {match: 'bench.{service}.requests.{item}', name: bench_requests_total}\n")
	}
	b.WriteString("limits: {series: 2000000, per_source: 2000000}\n")
	config := filepath.Join(o.dir, "adapter.yaml")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := start("http://"+admin+"/metrics", o.ours, "--config", config, "--admin-address", admin)
	return &target{p, address, "adapter_statsd_lines_total"}, err
}

// dropsRow is what is lost at a steady 200 000 packets a second, and whether all of that is counted.
func dropsRow(o *options) error {
	c := statsdCase{name: "UDP 1 line at 200k packets/s, lost", traffic: traffic{"udp", 1, 100, 0, "c", 200_000}}
	if !o.only.MatchString(c.name) {
		return nil
	}
	var lost [2][]float64
	var sum measured
	for range o.rounds {
		for i, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
			t, err := begin(o, c)
			if err != nil {
				return err
			}
			m, err := t.measure(c.traffic, time.Duration(o.seconds)*time.Second)
			t.stop()
			if err != nil {
				return err
			}
			lost[i] = append(lost[i], 100*(1-m.received/m.sent))
			if i == 1 {
				sum.sent, sum.received, sum.counted = sum.sent+m.sent, sum.received+m.received, sum.counted+m.counted
			}
		}
	}
	o.table.add(result{name: c.name, unit: "%", peer: "statsd_exporter", theirs: median(lost[0]), ours: median(lost[1]), less: true, most: 1,
		note: fmt.Sprintf("of %.0f sent ours missed %.0f and counted %.0f", sum.sent, sum.sent-sum.received, sum.counted)})
	return nil
}
