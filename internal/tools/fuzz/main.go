// Fuzz runs every fuzz target of the workspace, one after the other, for as long as -time says.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 30*time.Second, "how long each target runs")
	flag.Parse()
	targets, err := list()
	for i := 0; err == nil && i < len(targets); i++ {
		fmt.Printf("%d/%d %s %s\n", i+1, len(targets), targets[i].pkg, targets[i].name)
		err = run("go", "test", targets[i].pkg, "-run=^$", "-fuzz=^"+targets[i].name+"$", "-fuzztime="+each.String())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
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

func run(name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}
