// Command ambassador measures the ambassador side by side with its peers: HAProxy and nginx from Debian and a tuned
// httputil.ReverseProxy. Rounds are interleaved, after one that does not count and every other one in the opposite order; the
// proxy runs on one core and load and backend on the other, and what counts is the work done per CPU-second of the proxy:
// throughput alone measures the load generator. All of it takes about thirteen minutes.
//
// It needs haproxy, nginx, wrk, h2load and taskset in the PATH:
//
//	go run ./bench/ambassador [-rounds 7] [-seconds 1] [-cases REGEXP] [-latency=false] [-idle=false] [-binary PATH]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles()[os.Args[1]]; ok {
			role(os.Args[2:])
			return
		}
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// roles are what this program is when it starts itself again, as a process of its own that can be pinned.
func roles() map[string]func([]string) {
	return map[string]func([]string){
		"reverseproxy": reverseProxy, "tcpserver": tcpServer, "stream": streamLoad, "pingpong": pingPongLoad,
		"grpcserver": grpcServer, "rate": rateLoad,
	}
}

type options struct {
	rounds, seconds int
	only            *regexp.Regexp
	binary          string
	idle, latency   bool
	connections     int // most that are held open
}

func run() error {
	var o options
	only := ""
	flag.IntVar(&o.rounds, "rounds", 7, "rounds per case; the median is printed")
	flag.IntVar(&o.seconds, "seconds", 1, "seconds per measurement")
	flag.StringVar(&only, "cases", "", "run only the cases that match this expression; none: '^$'")
	flag.StringVar(&o.binary, "binary", "", "measure this ambassador-proxy instead of building it")
	flag.BoolVar(&o.latency, "latency", true, "measure the latency that is added at a fixed rate")
	flag.BoolVar(&o.idle, "idle", true, "measure memory with 0, 1000 and up to 10000 idle connections")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return err
	}
	for _, need := range []string{"haproxy", "nginx", "wrk", "h2load", "taskset"} {
		if _, err := exec.LookPath(need); err != nil {
			return fmt.Errorf("%w (apt-get install haproxy nginx libnginx-mod-stream wrk nghttp2-client util-linux)", err)
		}
	}
	if o.connections, err = raiseFileLimit(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-ambassador")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		o.binary = filepath.Join(dir, "ambassador-proxy")
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", o.binary, "github.com/pod-helpers/pod-helpers/ambassador-proxy")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build ambassador-proxy: %w", err)
		}
	}
	return measure(o, dir)
}

// raiseFileLimit takes all the open files that are allowed, and more where that is allowed too; children inherit it. It
// returns how many idle connections HAProxy can hold then, which reckons with two files for each and refuses to start
// otherwise.
func raiseFileLimit() (connections int, err error) {
	const enough = 21000
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	if r.Max < enough && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: enough, Max: enough}) == nil {
		r.Max = enough
	}
	r.Cur = r.Max
	return min(10000, int(r.Max)/2-200), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

// measure starts the backend and the peers, runs every case and prints the tables.
func measure(o options, dir string) error {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	b, err := startBackend(dir)
	if err != nil {
		return err
	}
	defer b.stop()
	peers, err := startPeers(o, dir, b)
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	if err != nil {
		return err
	}
	jobs, err := cases(dir)
	if err != nil {
		return err
	}
	t := newTable(peers)
	for _, c := range jobs {
		if !o.only.MatchString(c.name) {
			continue
		}
		t.begin()
		for round := -1; round < o.rounds; round++ { // the first one fills pools and caches
			for _, p := range inTurn(peers, round) {
				select {
				case <-interrupted:
					return nil
				default:
				}
				rate, err := rateOf(c, p, o.seconds)
				if err != nil {
					return fmt.Errorf("%s through %s: %w", c.name, p.name, err)
				}
				if round >= 0 {
					t.add(p, rate)
				}
			}
		}
		t.print(c)
	}
	if o.latency {
		if err := addedLatency(o, t, b); err != nil {
			return err
		}
	}
	if o.idle {
		return idleMemory(o, t, dir, b)
	}
	return nil
}

// inTurn are the peers in the order of a round: a drift of the machine's speed favours none.
func inTurn(peers []*peer, round int) []*peer {
	if round%2 == 0 {
		return peers
	}
	order := slices.Clone(peers)
	slices.Reverse(order)
	return order
}
