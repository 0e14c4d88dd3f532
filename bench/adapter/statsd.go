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

// statsdTable prints lines per CPU-second.
func statsdTable(o *options) error {
	fmt.Printf("%-36s %14s %14s %8s %6s %10s %10s\n", "StatsD lines per CPU-second", "statsd_exp.", "ours", "ratio", "goal", "drops", "our drops")
	for _, c := range statsdCases() {
		if !o.only.MatchString(c.name) {
			continue
		}
		var rates, drops [2][]float64
		for range o.rounds {
			for i, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
				t, err := begin(o, c)
				if err != nil {
					return err
				}
				rate, drop, err := t.measure(c.traffic, time.Duration(o.seconds)*time.Second)
				t.stop()
				if err != nil {
					return err
				}
				rates[i], drops[i] = append(rates[i], rate), append(drops[i], drop)
			}
		}
		peer, ours := median(rates[0]), median(rates[1])
		fmt.Printf("%-36s %14.0f %14.0f %8.2f %6.1f %9.1f%% %9.1f%%\n", c.name, peer, ours, ours/peer, c.goal, 100*median(drops[0]), 100*median(drops[1]))
	}
	return nil
}

// measure makes all series known, then loads. Scrapes lie outside of what is measured.
func (t *target) measure(tr traffic, d time.Duration) (rate, dropped float64, err error) {
	warm := tr
	warm.rate = 0
	if _, err = warm.sent(t.address, 0); err != nil {
		return 0, 0, err
	}
	t.idle()
	before, err := t.process.counter(t.counter)
	if err != nil {
		return 0, 0, err
	}
	t.idle()
	cpu := t.cpu()
	sent, err := tr.sent(t.address, d)
	if err != nil {
		return 0, 0, err
	}
	t.idle()
	cpu = t.cpu() - cpu
	after, err := t.process.counter(t.counter)
	if err != nil {
		return 0, 0, err
	}
	return (after - before) / cpu, 1 - (after-before)/sent, nil
}

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

// dropsTable prints what is lost at a steady 200 000 packets a second.
func dropsTable(o *options) error {
	c := statsdCase{name: "UDP 1 line at 200k packets/s", traffic: traffic{"udp", 1, 100, 0, "c", 200_000}}
	if !o.only.MatchString(c.name) {
		return nil
	}
	var lost [2][]float64
	counted := 0.0
	for range o.rounds {
		for i, begin := range []func(*options, statsdCase) (*target, error){startStatsdExporter, startOurs} {
			t, err := begin(o, c)
			if err != nil {
				return err
			}
			_, drop, err := t.measure(c.traffic, time.Duration(o.seconds)*time.Second)
			if err == nil && i == 1 {
				counted, err = t.process.counter("adapter_statsd_kernel_drops_total")
			}
			t.stop()
			if err != nil {
				return err
			}
			lost[i] = append(lost[i], drop)
		}
	}
	fmt.Printf("\nlost of %s: statsd_exporter %.2f %%, ours %.2f %% (goal < 1 %%), of which %.0f packets in the last round are in adapter_statsd_kernel_drops_total\n",
		c.name, 100*median(lost[0]), 100*median(lost[1]), counted)
	return nil
}
