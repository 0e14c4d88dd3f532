// Command logshipper measures sidecar-logshipper side by side with its peers: rsyslog from Debian, vlagent and an
// OpenTelemetry Collector from the modules below peers/. The program under test runs on core 0; the app that writes, the
// sink that takes and counts every line, and this command run on core 1. What counts is input per CPU-second of the
// program under test (/proc/PID/stat), its start included.
//
//	go run ./bench/logshipper [-mib 1024] [-rounds 1] [-seconds 20] [-cases REGEXP] [-binary PATH] [-peers LIST]
//
// With the defaults that takes some eleven minutes, and some more when the peers are built for the first time.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

const (
	testCore = "0"
	loadCore = "1"
)

func main() {
	roles := map[string]func([]string) error{"app": app, "sink": discard, "spin": spin}
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
	mib, rounds, seconds int
	only                 *regexp.Regexp
	dir, binary          string
	peers                string
	contenders           []contender // ours is the first
}

func bench() error {
	if err := pin(); err != nil {
		return err
	}
	var o options
	only := ""
	flag.IntVar(&o.mib, "mib", 1024, "MiB of lines in each case")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds per case; in each, the shipper runs before each peer, and the medians are printed")
	flag.IntVar(&o.seconds, "seconds", 20, "seconds per measurement at a steady rate, and idle")
	flag.StringVar(&only, "cases", "", "run only the cases that match this expression (the names of rows; steady, idle, app)")
	flag.StringVar(&o.binary, "binary", "bin/amd64/sidecar-logshipper", "the shipper to measure")
	flag.StringVar(&o.peers, "peers", "vlagent,otelcol,rsyslog", "whom to measure beside it")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return err
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp("", "b"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	o.contenders = contenders(&o)
	for _, part := range []func(*options) error{throughputTable, steadyTable, idleTable, appTable} {
		if err := part(&o); err != nil {
			return err
		}
	}
	return nil
}

// pin moves this process to the load's core, once: all of its threads, so by starting it anew.
func pin() error {
	const mark = "BENCH_PINNED"
	if os.Getenv(mark) != "" {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("%w (apt-get install util-linux)", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(taskset, append([]string{"taskset", "-c", loadCore, self}, os.Args[1:]...), append(os.Environ(), mark+"=1"))
}
