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

// spin keeps a core busy without touching memory.
func spin([]string) error {
	for x := uint64(1); x != 0; {
		x = x*6364136223846793005 + 1
	}
	return nil
}

// What the other core does while the app writes.
const (
	nothing = iota
	shipping
	spinning // two cores of a cloud may be one: this is what any program costs the app there
	sides
)

// appTable: an app on its own core writes with and without the shipper, which shares the other core with the sink. The machine
// gets slower and faster by more than what is looked for, so what counts is the ratio of runs that follow each other.
func appTable(o *options) error {
	if !o.only.MatchString("app") {
		return nil
	}
	const rounds, seconds = 40, 1
	var wall, cpu [sides][]float64
	for i := range sides * rounds {
		side := i % sides
		if i/sides%2 == 1 {
			side = sides - 1 - side // what drifts does so for all
		}
		w, c, err := o.appRound(side, seconds)
		if err != nil {
			return err
		}
		wall[side], cpu[side] = append(wall[side], w), append(cpu[side], c)
	}
	fmt.Printf("The app's own write rate, medians of %d rounds of %d s (goal: ≥ 95 %% of without)\n", rounds, seconds)
	fmt.Println("| lines | without | with the shipper | %, quartiles of the rounds | with a loop that does nothing | % |\n| - | - | - | - | - | - |")
	for _, r := range []struct {
		name string
		v    [sides][]float64
	}{{"a second", wall}, {"a CPU-second of the app", cpu}} {
		fmt.Printf("| %s | %.0f | %.0f | %s | %.0f | %s |\n", r.name, median(r.v[nothing]),
			median(r.v[shipping]), ofFirst(r.v[nothing], r.v[shipping]), median(r.v[spinning]), ofFirst(r.v[nothing], r.v[spinning]))
	}
	return nil
}

// ofFirst is by how much the second is of the first in each round, in %.
func ofFirst(first, second []float64) string {
	var ratios []float64
	for i := range first {
		ratios = append(ratios, 100*second[i]/first[i])
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.1f (%.1f–%.1f)", median(ratios), ratios[len(ratios)/4], ratios[len(ratios)*3/4])
}

func (o *options) appRound(side, seconds int) (wall, cpu float64, err error) {
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
	other := []string{self, "spin"}
	if side == shipping {
		url, stop, err := startDiscard(self)
		if err != nil {
			return 0, 0, err
		}
		defer stop()
		other = ours(o.binary, task{glob: file, url: url, format: "ndjson", dir: beside(dir)})
	}
	if side != nothing {
		p, err := start(testCore, other...)
		if err != nil {
			return 0, 0, err
		}
		defer p.stop()
	}
	time.Sleep(500 * time.Millisecond) // until the shipper watches the directory
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
