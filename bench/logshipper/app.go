package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// app writes lines as fast as it can, one write(2) each, for the seconds, and says how many came in a second and in a
// second of its own CPU time.
func app(args []string) error {
	seconds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	var line bytes.Buffer
	combined(&line, rand.New(rand.NewPCG(1, 2)))
	lines, began := 0, time.Now()
	for ; lines%64 != 0 || time.Since(began) < time.Duration(seconds)*time.Second; lines++ {
		if _, err := f.Write(line.Bytes()); err != nil {
			return err
		}
	}
	wall := time.Since(began).Seconds()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	me := process{cmd: &exec.Cmd{Process: self}}
	fmt.Println(float64(lines)/wall, float64(lines)/me.fineCPU())
	return nil
}

// appTable: an app on its own core writes with and without the shipper, which shares the other core with the sink. The machine
// gets slower and faster by more than what is looked for, so what counts is the ratio of two runs that follow each other.
func appTable(o *options) error {
	if !o.only.MatchString("app") {
		return nil
	}
	const pairs, seconds = 40, 1
	var wall, cpu [2][]float64
	for i := range 2 * pairs {
		side := (i + 1) / 2 % 2 // without, with, with, without: what drifts does so for both
		w, c, err := o.appRound(side == 1, seconds)
		if err != nil {
			return err
		}
		wall[side], cpu[side] = append(wall[side], w), append(cpu[side], c)
	}
	fmt.Printf("The app's own write rate, medians of %d pairs of %d s (goal: ≥ 95 %% of without)\n", pairs, seconds)
	fmt.Println("| lines | without | with the shipper | %, quartiles of the pairs |\n| - | - | - | - |")
	for _, r := range []struct {
		name string
		v    [2][]float64
	}{{"a second", wall}, {"a CPU-second of the app", cpu}} {
		var ratios []float64
		for i := range pairs {
			ratios = append(ratios, 100*r.v[1][i]/r.v[0][i])
		}
		slices.Sort(ratios)
		fmt.Printf("| %s | %.0f | %.0f | %.1f (%.1f–%.1f) |\n", r.name, median(r.v[0]), median(r.v[1]), median(ratios), ratios[pairs/4], ratios[pairs*3/4])
	}
	return nil
}

func (o *options) appRound(attached bool, seconds int) (wall, cpu float64, err error) {
	dir, err := os.MkdirTemp(o.dir, "app")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	file := filepath.Join(dir, "app.log")
	if attached {
		url, stop, err := startDiscard(self)
		if err != nil {
			return 0, 0, err
		}
		defer stop()
		p, err := start(testCore, ours(o.binary, task{glob: file, url: url, format: "ndjson", dir: beside(dir)})...)
		if err != nil {
			return 0, 0, err
		}
		defer p.stop()
		time.Sleep(500 * time.Millisecond) // it watches the directory now
	}
	out, err := exec.Command("taskset", "-c", loadCore, self, "app", file, strconv.Itoa(seconds)).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("app: %w", err)
	}
	_, err = fmt.Sscan(string(out), &wall, &cpu)
	return wall, cpu, err
}

// startDiscard runs a sink on the shipper's core.
func startDiscard(self string) (url string, stop func(), err error) {
	cmd := exec.Command("taskset", "-c", testCore, self, "sink")
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	url, err = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(url), func() { _ = in.Close(); _ = cmd.Wait() }, err
}
