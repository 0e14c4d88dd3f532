package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const steadyRate = 10_000 // lines a second

// steadyTable: one write(2) a line, as an app does; how much CPU that costs, and how old a line is when it arrives.
func steadyTable(o *options) error {
	if !o.only.MatchString("steady") {
		return nil
	}
	fmt.Printf("%d lines a second for %d s (goals: CPU ≤ 1.0 %%, zstd ≤ 1.6 %%; p99 ≤ 210 ms; RSS ≤ 15 MB)\n", steadyRate, o.seconds)
	fmt.Println("| shipper | CPU, % | p50, ms | p99, ms | RSS, MB |\n| - | - | - | - | - |")
	for _, c := range o.contenders {
		for _, v := range []struct {
			compression string
			idle        int // files beside
			what        string
		}{{"", 0, ""}, {"zstd", 0, ", zstd"}, {"", 100, ", beside 100 idle files"}} {
			if v.compression != "" && c.name != "ours" {
				continue
			}
			line, err := o.steady(c, v.compression, v.idle)
			if err != nil {
				fmt.Fprintf(os.Stderr, "steady, %s%s: %v\n", c.name, v.what, err)
				continue
			}
			fmt.Printf("| %s%s | %s |\n", c.name, v.what, line)
		}
	}
	fmt.Println()
	return nil
}

func (o *options) steady(c contender, compression string, idle int) (string, error) {
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	s := newSink(stampMark)
	defer s.Close()
	path := filepath.Join(dir, "app.log")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	glob := path
	if idle > 0 {
		glob = filepath.Join(dir, "app*.log")
	}
	if err := idleFiles(dir, idle, 1); err != nil {
		return "", err
	}
	p, err := start(testCore, c.command(task{glob: glob, url: s.URL, format: "ndjson", compression: compression, dir: beside(dir)})...)
	if err != nil {
		return "", err
	}
	defer p.stop()
	const warm = 5 * time.Second // what is idle counts as that by then
	if err := write(f, warm); err != nil {
		return "", err
	}
	before := p.fineCPU()
	s.mu.Lock()
	s.waits = nil
	s.mu.Unlock()
	began := time.Now()
	if err := write(f, time.Duration(o.seconds)*time.Second); err != nil {
		return "", err
	}
	cpu := 100 * (p.fineCPU() - before) / time.Since(began).Seconds()
	if err := s.await(steadyRate*(o.seconds+int(warm/time.Second)), 10*time.Second); err != nil {
		return "", fmt.Errorf("%w\n%s", err, tailOf(p.log.String()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := func(q float64) float64 { return float64(quantile(s.waits, q)) / 1e6 }
	return fmt.Sprintf("%.2f | %.0f | %.0f | %.1f", cpu, ms(0.5), ms(0.99), p.memory("VmRSS")), nil
}

// write appends lines at the steady rate, a hundredth of a second's worth at a time.
func write(f *os.File, d time.Duration) error {
	const tick = 2 * time.Millisecond
	next := time.Now()
	for range int(d / tick) {
		for range steadyRate * int(tick) / int(time.Second) {
			if _, err := fmt.Fprintf(f, "10.1.2.3 - - [24/Nov/2026:22:15:03 +0000] \"GET /api/v1/orders?"+stampMark+
				"%d HTTP/1.1\" 200 5123 \"https://shop.example.com/cart/81\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0\"\n",
				time.Now().UnixNano()); err != nil {
				return err
			}
		}
		next = next.Add(tick)
		time.Sleep(time.Until(next))
	}
	return nil
}

// idleFiles makes n files app000.log and so on with so many lines each.
func idleFiles(dir string, n, lines int) error {
	for i := range n {
		text := strings.Repeat(fmt.Sprintf("2026-11-24T22:15:03.123Z INFO tick %06d queue=007 ok\n", i), lines)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("app%03d.log", i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// idleTable: what it costs to follow files that nobody writes to.
func idleTable(o *options) error {
	if !o.only.MatchString("idle") {
		return nil
	}
	fmt.Printf("Idle for %d s (goals: 1 file ≤ 0.02 %%, ≤ 14 MB; 100 files ≤ 0.05 %%, ≤ 18 MB)\n", o.seconds)
	fmt.Println("| shipper | CPU with 1 file, % | RSS, MB | CPU with 100, % | RSS, MB |\n| - | - | - | - | - |")
	for _, c := range o.contenders {
		var cells [2]string
		var errs [2]error
		var both sync.WaitGroup
		for i, files := range []int{1, 100} { // two that do nothing do not disturb each other
			both.Go(func() { cells[i], errs[i] = o.idle(c, files) })
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			fmt.Fprintf(os.Stderr, "idle, %s: %v\n", c.name, err)
			continue
		}
		fmt.Printf("| %s | %s | %s |\n", c.name, cells[0], cells[1])
	}
	fmt.Println()
	return nil
}

func (o *options) idle(c contender, files int) (string, error) {
	dir, err := os.MkdirTemp(o.dir, "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	in := inputs()["short"]
	s := newSink(in.mark)
	defer s.Close()
	const lines = 32
	if err := idleFiles(dir, files, lines); err != nil {
		return "", err
	}
	p, err := start(testCore, c.command(task{glob: filepath.Join(dir, "app*.log"), url: s.URL, format: "ndjson", dir: beside(dir)})...)
	if err != nil {
		return "", err
	}
	defer p.stop()
	if err := s.await(lines*files, 20*time.Second); err != nil {
		return "", fmt.Errorf("%w\n%s", err, tailOf(p.log.String()))
	}
	time.Sleep(5 * time.Second) // what follows the delivery: positions, timers
	before, began := p.fineCPU(), time.Now()
	time.Sleep(time.Duration(o.seconds) * time.Second)
	return fmt.Sprintf("%.3f | %.1f", 100*(p.fineCPU()-before)/time.Since(began).Seconds(), p.memory("VmRSS")), nil
}
