package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// result is one measurement, or the medians of several.
type result struct {
	rate, wire, peak float64 // MB per CPU-second, wire in % of the input, MB
	least, most      float64 // of the rates
	err              error
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return "failed"
	case r.rate == 0:
		return "–"
	case r.least == r.most:
		return fmt.Sprintf("%.0f", r.rate)
	default:
		return fmt.Sprintf("%.0f (%.0f–%.0f)", r.rate, r.least, r.most)
	}
}

// withWire is a peer's result with what it sent: not all can be told to send the same.
func (r result) withWire() string {
	if r.err != nil || r.rate == 0 {
		return r.String()
	}
	return r.String() + fmt.Sprintf("; %.0f %%", r.wire)
}

func throughputTable(o *options) error {
	row := func(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }
	headed := false
	for _, j := range jobs() {
		if !o.only.MatchString(j.name) {
			continue
		}
		if !headed {
			headed = true
			fmt.Printf("MB of input per CPU-second, %d MiB in each run, median (least–most). Every record was counted at the sink.\n", o.mib)
			row("case", "ours", "goal", "wire, % of input", "peak RSS, MB", "vlagent; wire", "otelcol; wire", "rsyslog; wire", "Fluent Bit (documented)", "÷ Fluent Bit", "÷ best peer", "goals")
			row(strings.Split(strings.Repeat("-,", 11)+"-", ",")...)
		}
		results, err := o.job(j)
		if err != nil {
			return err
		}
		us, best := results["ours"], j.fluentBit
		for name, r := range results {
			if name != "ours" && r.err == nil {
				best = max(best, r.rate)
			}
		}
		row(j.name, us.String(), number(j.goal, "≥ %.0f"), number(us.wire, "%.1f"), number(us.peak, "%.0f"),
			results["vlagent"].withWire(), results["otelcol"].withWire(), results["rsyslog"].withWire(), number(j.fluentBit, "%.0f"),
			number(us.rate/j.fluentBit, "%.2f"), number(us.rate/best, "%.2f"),
			number(j.overFluentBit, "≥ %.1f")+", "+number(j.overBest, "≥ %.1f"))
	}
	if headed {
		fmt.Println()
	}
	return nil
}

func number(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// job gives all contenders the same file. The shipper takes its turn before each peer, so that a machine that gets slower
// or faster does so for all.
func (o *options) job(j job) (map[string]result, error) {
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := workload{job: j, input: inputs()[j.input], file: filepath.Join(dir, "app.log")}
	if w.size, w.records, err = generate(w.file, w.input, o.mib); err != nil {
		return nil, err
	}
	us, peers := o.contenders[0], o.contenders[1:]
	turns := []contender{us}
	for i, p := range peers {
		if i > 0 {
			turns = append(turns, us)
		}
		turns = append(turns, p)
	}
	runs := map[string][]result{}
	for range o.rounds {
		for _, c := range turns {
			r, err := o.measure(w, c)
			if r.err = err; err != nil {
				fmt.Fprintf(os.Stderr, "%s, %s: %v\n", j.name, c.name, err)
			}
			runs[c.name] = append(runs[c.name], r)
		}
	}
	results := map[string]result{}
	for name, list := range runs {
		results[name] = medians(list)
	}
	return results, nil
}

func medians(list []result) (r result) {
	var rates, wires []float64
	for _, one := range list {
		rates, wires = append(rates, one.rate), append(wires, one.wire)
		r.peak, r.err = max(r.peak, one.peak), errors.Join(r.err, one.err)
	}
	r.rate, r.wire = median(rates), median(wires)
	r.least, r.most = slices.Min(rates), slices.Max(rates)
	return r
}

// workload is a job with its file.
type workload struct {
	job
	input         input
	file          string
	size, records int
}

// measure lets one contender ship the file, under a name of its own.
func (o *options) measure(w workload, c contender) (r result, err error) {
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	s := newSink(w.input.mark)
	defer s.Close()
	file := filepath.Join(dir, "app.log")
	args := c.command(task{file, s.URL, w.format, w.compression, w.job.input == "java", beside(dir)})
	if args == nil {
		return r, nil
	}
	if err := os.Link(w.file, file); err != nil {
		return r, err
	}
	p, err := start(testCore, args...)
	if err != nil {
		return r, err
	}
	defer p.stop()
	if err := s.await(w.records, 15*time.Second); err != nil {
		return r, fmt.Errorf("%w\n%s", err, tailOf(p.log.String()))
	}
	return result{
		rate: float64(w.size) / 1e6 / p.cpu(), wire: 100 * float64(s.wire.Load()) / float64(w.size), peak: p.memory("VmHWM"),
	}, nil
}

// tailOf is the end of a log.
func tailOf(log string) string { return log[max(0, len(log)-2000):] }
