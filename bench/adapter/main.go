// Command adapter measures adapter-metrics side by side with its peers: statsd_exporter and json_exporter, built from the
// modules that peers/go.mod pins, mtail of Debian, and client_golang serving the same series. Rounds are interleaved,
// the program under test runs on one core and the load on the other, and what counts is work per CPU-second of the
// program under test (/proc/PID/stat): on two cores throughput alone measures the load generator.
//
// Every scrape carries the helper's own page too (adapter_*, process_*, go_*), which weighs in small pages: json_exporter keeps its
// own apart, and that one is not scraped here.
//
//	go run ./bench/adapter [-rounds 3] [-seconds 2] [-case REGEXP] [-binary PATH]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

func main() {
	roles := map[string]func([]string) error{"load": load, "clientgolang": clientGolang, "documents": documents}
	run := bench
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		run = func() error { return roles[os.Args[1]](os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, seconds int
	only            *regexp.Regexp
	dir             string
	ours            string
	statsdExporter  string
	jsonExporter    string
	table           table
}

func bench() error {
	var o options
	only := ""
	flag.IntVar(&o.rounds, "rounds", 3, "rounds per case; the median is printed")
	flag.IntVar(&o.seconds, "seconds", 2, "seconds per measurement")
	flag.StringVar(&only, "case", "", "run only the cases that match this expression")
	flag.StringVar(&o.ours, "binary", "", "measure this adapter-metrics instead of building it")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return err
	}
	for _, need := range [][2]string{{"taskset", "util-linux"}, {"mtail", "mtail"}} {
		if _, err := exec.LookPath(need[0]); err != nil {
			return fmt.Errorf("%w (apt-get install %s)", err, need[1])
		}
	}
	if o.dir, err = os.MkdirTemp("", "bench-adapter"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	if err := o.build(); err != nil {
		return err
	}
	o.table.head()
	for _, part := range []func(*options) error{statsdRows, dropsRow, statsdScrapeRows, scrapeRows, jsonRows, logRow, memoryRows} {
		if err := part(&o); err != nil {
			return err
		}
	}
	o.table.end()
	return nil
}

// build makes the programs that no package brings.
func (o *options) build() error {
	if o.ours == "" {
		o.ours = filepath.Join(o.dir, "adapter-metrics")
		if err := goBuild("", o.ours, "github.com/pod-helpers/pod-helpers/adapter-metrics"); err != nil {
			return err
		}
	}
	o.statsdExporter = filepath.Join(o.dir, "statsd_exporter")
	if err := goBuild("bench/adapter/peers", o.statsdExporter, "github.com/prometheus/statsd_exporter"); err != nil {
		return err
	}
	o.jsonExporter = filepath.Join(o.dir, "json_exporter")
	return goBuild("bench/adapter/peers", o.jsonExporter, "github.com/prometheus-community/json_exporter")
}

// goBuild builds a program. In a folder of its own the workspace does not apply.
func goBuild(dir, out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if dir != "" {
		cmd.Env = append(cmd.Env, "GOWORK=off")
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}
