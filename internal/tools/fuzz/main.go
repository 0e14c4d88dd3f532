// Fuzz runs every fuzz target of the workspace for as long as -time says, one on each processor.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	each := flag.Duration("time", 30*time.Second, "how long each target runs")
	flag.Parse()
	targets, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
	if failed := runAll(targets, *each); failed > 0 {
		fmt.Fprintf(os.Stderr, "fuzz: %d of %d targets failed\n", failed, len(targets))
		os.Exit(1)
	}
	fmt.Printf("%d fuzz targets, %s each, nothing found\n", len(targets), *each)
}

type target struct{ pkg, name string }

// list asks go test for the targets: names, then the line that closes their package.
func list() ([]target, error) {
	out, err := exec.Command("go", "test", "-list=^Fuzz", "work").Output()
	if err != nil {
		return nil, fmt.Errorf("list targets: %w\n%s", err, out)
	}
	var targets []target
	var names []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Fuzz"):
			names = append(names, fields[0])
		case len(fields) > 1 && fields[0] == "ok":
			for _, n := range names {
				targets = append(targets, target{fields[1], n})
			}
			names = nil
		}
	}
	return targets, nil
}

// runAll shows the last line of a target that holds, and everything of one that fails.
func runAll(targets []target, each time.Duration) (failed int) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	queue := make(chan target)
	for range runtime.NumCPU() {
		workers.Go(func() {
			for t := range queue {
				out, err := exec.Command("go", "test", t.pkg, "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each.String(), "-parallel=1").CombinedOutput()
				mu.Lock()
				if err != nil && !ranOut(out) {
					failed++
					fmt.Printf("FAIL  %s %s\n%s\n", t.pkg, t.name, out)
				} else {
					fmt.Printf("ok    %s %s\n", t.pkg, t.name)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range targets {
		queue <- t
	}
	close(queue)
	workers.Wait()
	return failed
}

// ranOut says that go test failed for its own deadline alone: at the end of -fuzztime it sometimes reports that instead of
// success (golang/go#75804). A finding always names the input that it has written.
func ranOut(out []byte) bool {
	return bytes.Contains(out, []byte("context deadline exceeded")) && !bytes.Contains(out, []byte("Failing input written"))
}
