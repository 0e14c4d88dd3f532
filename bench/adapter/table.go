package main

import (
	"fmt"
	"math"
	"os"
	"slices"
)

// result is one row of the table.
type result struct {
	name, unit string
	peer       string // the best one that was measured; empty when there is none
	theirs     float64
	ours       float64
	less       bool    // less is better
	goal       float64 // how many times better at least; 0 is none
	most       float64 // of ours, in its unit; 0 is no bound
	note       string
}

// table prints rows as they come and remembers what missed its goal.
type table struct{ missed []string }

const rowFormat = "%-40s %-10s %-16s %12s %12s %9s %8s %-4s %s\n"

func (t *table) head() {
	fmt.Printf(rowFormat, "case", "unit", "peer", "peer", "ours", "ratio", "goal", "", "")
}

func (t *table) add(r result) {
	ratio, goal, mark := 0.0, "", ""
	if r.peer != "" {
		if ratio = r.ours / r.theirs; r.less {
			ratio = r.theirs / r.ours
		}
	}
	met := true
	if r.goal > 0 {
		goal, met = "≥ "+short(r.goal), ratio >= r.goal
	}
	if r.most > 0 {
		goal, met = "≤ "+short(r.most), met && r.ours <= r.most
	}
	if goal != "" {
		if mark = "yes"; !met {
			mark = "NO"
			t.missed = append(t.missed, r.name)
		}
	}
	known := r.peer != ""
	fmt.Printf(rowFormat, r.name, r.unit, r.peer, cell(r.theirs, known), cell(r.ours, true), cell(ratio, known && !math.IsInf(ratio, 0)), goal, mark, r.note)
}

// end lists what is under its goal.
func (t *table) end() {
	if len(t.missed) > 0 {
		fmt.Fprintln(os.Stderr, "under the goal:", t.missed)
	}
}

func cell(v float64, known bool) string {
	if !known {
		return "–"
	}
	return short(v)
}

// short has three or four digits, and no exponent below ten millions.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}
