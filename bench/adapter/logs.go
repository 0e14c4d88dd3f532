package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// logGoal is the goal: lines per CPU-second relative to mtail.
const logGoal = 25

const mtailProgram = `counter http_requests_total by method, status
histogram http_duration_seconds buckets 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10
/^(?P<client>\S+) \S+ \S+ \[[^\]]+\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<bytes>\d+) "[^"]*" "[^"]*" (?P<rt>[0-9.]+)$/ {
  http_requests_total[$method][$status]++
  http_duration_seconds = $rt
}
`

const adapterLog = `sources:
  - log: {path: %s, pattern: '{client} - - [{}] "{method} {path} {}" {status} {bytes:int} "{}" "{}" {rt:s}'}
    metrics:
      - {name: http_requests_total, labels: [method, status]}
      - {name: http_duration_seconds, observe: rt, buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]}
`

// logRow is log lines per CPU-second: nginx's combined format with the request time, one counter with two labels and
// one histogram.
func logRow(o *options) error {
	const name = "log lines, combined"
	if !o.only.MatchString(name) {
		return nil
	}
	var rates [2][]float64
	for range o.rounds {
		for i, c := range []struct {
			begin func(*options, string) (*process, error)
			lines int
		}{{startMtail, 200_000}, {startOurLog, 3_000_000}} {
			rate, err := o.logRate(c.begin, c.lines)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
		}
	}
	o.table.add(result{name: name, unit: "lines/s", peer: "mtail", theirs: median(rates[0]), ours: median(rates[1]), goal: logGoal})
	return nil
}

func (o *options) logRate(begin func(*options, string) (*process, error), lines int) (float64, error) {
	dir, err := os.MkdirTemp(o.dir, "log")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "access.log")
	log, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	p, err := begin(o, file)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	block := logBlock()
	if _, err := log.WriteString(block); err != nil { // all series are known
		return 0, err
	}
	var before float64
	for deadline := time.Now().Add(10 * time.Second); before == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		before, err = p.counter("http_requests_total")
	}
	if err != nil {
		return 0, err
	}
	p.idle()
	cpu := p.cpu()
	for n := 0; n < lines; n += 1000 {
		if _, err := log.WriteString(block); err != nil {
			return 0, err
		}
	}
	for last, deadline := -1.0, time.Now().Add(time.Minute); time.Now().Before(deadline) && p.cpu() != last; time.Sleep(500 * time.Millisecond) {
		last = p.cpu()
	}
	cpu = p.cpu() - cpu
	after, err := p.counter("http_requests_total")
	if err == nil && after-before < float64(lines) {
		err = fmt.Errorf("%s counted %.0f of %d lines", p.cmd.Args[3], after-before, lines)
	}
	return (after - before) / cpu, err
}

// logBlock is 1000 lines.
func logBlock() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `203.0.113.%d - - [24/Nov/2026:22:10:11 +0000] "%s /cart/%d?x=1 HTTP/1.1" %d %d "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101" 0.%03d`+"\n",
			i%250, []string{"GET", "POST", "PUT"}[i%3], i, []int{200, 204, 404, 500}[i%4], 1000+i, i)
	}
	return b.String()
}

func startMtail(o *options, file string) (*process, error) {
	program, web := filepath.Join(o.dir, "bench.mtail"), freeAddress()
	if err := os.WriteFile(program, []byte(mtailProgram), 0o600); err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(web, ":")
	return start("http://"+web+"/metrics", "mtail", "-progs", program, "-logs", file, "-address", host, "-port", port)
}

func startOurLog(o *options, file string) (*process, error) {
	config, admin := filepath.Join(o.dir, "log.yaml"), freeAddress()
	if err := os.WriteFile(config, fmt.Appendf(nil, adapterLog, file), 0o600); err != nil {
		return nil, err
	}
	return start("http://"+admin+"/metrics", o.ours, "--config", config, "--admin-address", admin)
}
