package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// job is one row: an input, what becomes of it, and the goals.
type job struct {
	name                       string
	input, format, compression string
	goal                       float64 // MB per CPU-second
	overFluentBit, overBest    float64 // goals as ratios
	fluentBit                  float64 // MB per CPU-second, documented
}

// jobs are the rows. Fluent Bit comes in no package here: its figures are those of version 5.1.1, tuned, measured for this
// project on a 2-core EPYC of the same kind, pinned in the same way, with the same kinds of lines.
func jobs() []job {
	return []job{
		{"combined → NDJSON", "combined", "ndjson", "", 650, 4.5, 4, 136},
		{"json → NDJSON", "json", "ndjson", "", 700, 0, 3.4, 171},
		{"short → NDJSON", "short", "ndjson", "", 0, 0, 5, 60},
		{"combined → OTLP", "combined", "otlp", "", 0, 4.8, 4.8, 165},
		{"combined → Loki snappy", "combined", "loki", "snappy", 0, 2.6, 0, 171},
		{"combined → zstd", "combined", "ndjson", "zstd", 0, 1.8, 1, 115},
		{"combined → gzip", "combined", "ndjson", "gzip", 0, 0, 2.7, 42},
		{"java joined → NDJSON", "java", "ndjson", "", 400, 0, 3.5, 105},
	}
}

// result is one measurement.
type result struct {
	rate, wire, peak float64 // MB per CPU-second, MB, MB
	err              error
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return "failed"
	case r.rate == 0:
		return "–"
	default:
		return fmt.Sprintf("%.0f", r.rate)
	}
}

func throughputTable(o *options) error {
	row := func(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }
	fmt.Printf("MB of input per CPU-second; the shipper got %d MiB in each case, each peer %d. Every record was counted at the sink.\n", o.mib, o.peerMiB)
	row("case", "ours", "goal", "wire, % of input", "peak RSS, MB", "vlagent", "otelcol", "rsyslog", "Fluent Bit (documented)", "÷ Fluent Bit", "÷ best peer", "goals")
	row(strings.Split(strings.Repeat("-,", 11)+"-", ",")...)
	for _, j := range jobs() {
		if !o.only.MatchString(j.name) {
			continue
		}
		results := map[string]result{}
		for _, c := range o.contenders {
			r, err := o.measure(j, c)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s, %s: %v\n", j.name, c.name, err)
				r.err = err
			}
			results[c.name] = r
		}
		us, best := results["ours"], j.fluentBit
		for name, r := range results {
			if name != "ours" && r.err == nil {
				best = max(best, r.rate)
			}
		}
		row(j.name, us.String(), number(j.goal, "≥ %.0f"), number(us.wire, "%.1f"), number(us.peak, "%.0f"),
			results["vlagent"].String(), results["otelcol"].String(), results["rsyslog"].String(), number(j.fluentBit, "%.0f"),
			number(us.rate/j.fluentBit, "%.2f"), number(us.rate/best, "%.2f"),
			number(j.overFluentBit, "≥ %.1f")+", "+number(j.overBest, "≥ %.1f"))
	}
	fmt.Println()
	return nil
}

func number(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// measure lets one contender ship one input.
func (o *options) measure(j job, c contender) (r result, err error) {
	in, mib := inputs()[j.input], o.peerMiB
	if c.name == "ours" {
		mib = o.mib
	}
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	s := newSink(in.mark)
	defer s.Close()
	file := filepath.Join(dir, "app.log")
	args := c.command(task{file, s.URL, j.format, j.compression, j.input == "java", beside(dir)})
	if args == nil {
		return r, nil
	}
	size, records, err := generate(file, in, mib)
	if err != nil {
		return r, err
	}
	p, err := start(testCore, args...)
	if err != nil {
		return r, err
	}
	defer p.stop()
	if err := s.await(records, 15*time.Second); err != nil {
		return r, fmt.Errorf("%w\n%s", err, tailOf(p.log.String()))
	}
	return result{
		rate: float64(size) / 1e6 / p.cpu(), wire: 100 * float64(s.wire.Load()) / float64(size), peak: p.memory("VmHWM"),
	}, nil
}

// tailOf is the end of a log.
func tailOf(log string) string { return log[max(0, len(log)-2000):] }
