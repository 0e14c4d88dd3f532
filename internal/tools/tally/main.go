// Tally reads the output of go test -json, shows failures as they stand, and ends with one line of counts. With
// REQUIRE_REAL=1 a skipped test is a failure: this machine was meant to have what the test needs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type tally struct {
	output  map[string][]string // by package and test, until it has passed
	counts  map[string]int      // by action
	skipped []string
	failed  []string
}

func main() {
	t := &tally{output: map[string][]string{}, counts: map[string]int{}}
	begin := time.Now()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		t.add(e)
	}
	for _, name := range t.skipped {
		fmt.Println("skipped:", name)
	}
	fmt.Printf("%d passed, %d failed, %d skipped in %d packages, %s\n",
		t.counts["pass"], t.counts["fail"], t.counts["skip"], t.counts["package"], time.Since(begin).Round(time.Second))
	if len(t.failed) > 0 || (os.Getenv("REQUIRE_REAL") == "1" && len(t.skipped) > 0) {
		slices.Sort(t.failed)
		fmt.Println("FAILED:", strings.Join(t.failed, " "))
		os.Exit(1)
	}
}

func (t *tally) add(e event) {
	name := strings.TrimPrefix(e.Package+e.ImportPath, "github.com/pod-helpers/pod-helpers/")
	if e.Test != "" {
		name += "." + e.Test
	}
	switch e.Action {
	case "output", "build-output":
		t.output[name] = append(t.output[name], e.Output)
		return
	case "build-fail":
		fmt.Print(strings.Join(t.output[name], ""))
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if e.Action == "fail" {
		if e.Test == "" {
			t.unfinished(name + ".")
		}
		fmt.Print(strings.Join(t.output[name], ""))
		t.failed = append(t.failed, name)
	}
	delete(t.output, name)
	switch {
	case e.Test == "":
		t.counts["package"]++
		if e.Action == "pass" {
			fmt.Printf("ok    %7.1fs  %s\n", e.Elapsed, name)
		}
	case e.Action == "skip":
		t.skipped = append(t.skipped, name)
		fallthrough
	default:
		t.counts[e.Action]++
	}
}

// unfinished shows the tests of a package that failed while they ran: one of them panicked, or time was up.
func (t *tally) unfinished(prefix string) {
	for _, name := range slices.Sorted(maps.Keys(t.output)) {
		if strings.HasPrefix(name, prefix) {
			fmt.Print(strings.Join(t.output[name], ""))
			t.failed = append(t.failed, name)
			delete(t.output, name)
		}
	}
}
