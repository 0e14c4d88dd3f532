package rules

import (
	"maps"
	"slices"
	"strings"
)

// A unit is what a source's unit becomes: the base unit and the factor to it. An empty base only scales.
type unit struct {
	base   string
	factor float64
}

// units is the table of units, by the names that people give them.
func units() map[string]unit {
	return map[string]unit{
		"ns": {"seconds", 1e-9}, "nanos": {"seconds", 1e-9}, "nanoseconds": {"seconds", 1e-9},
		"us": {"seconds", 1e-6}, "micros": {"seconds", 1e-6}, "microseconds": {"seconds", 1e-6}, "usec": {"seconds", 1e-6},
		"ms": {"seconds", 1e-3}, "millis": {"seconds", 1e-3}, "milliseconds": {"seconds", 1e-3}, "msec": {"seconds", 1e-3},
		"s": {"seconds", 1}, "sec": {"seconds", 1}, "secs": {"seconds", 1}, "seconds": {"seconds", 1},
		"minutes": {"seconds", 60}, "hours": {"seconds", 3600}, "days": {"seconds", 86400},
		"bytes": {"bytes", 1}, "b": {"bytes", 1}, "bits": {"bytes", 0.125},
		"kb": {"bytes", 1024}, "mb": {"bytes", 1 << 20}, "gb": {"bytes", 1 << 30}, "tb": {"bytes", 1 << 40},
		"kib": {"bytes", 1024}, "mib": {"bytes", 1 << 20}, "gib": {"bytes", 1 << 30}, "kilobytes": {"bytes", 1024}, "megabytes": {"bytes", 1 << 20},
		"percent": {"ratio", 0.01}, "pct": {"ratio", 0.01}, "ratio": {"ratio", 1},
		"celsius": {"celsius", 1}, "volts": {"volts", 1}, "joules": {"joules", 1}, "meters": {"meters", 1},
	}
}

func unitOf(name string) (unit, bool) {
	u, ok := units()[strings.ToLower(name)]
	return u, ok
}

func unitNames() []string { return slices.Sorted(maps.Keys(units())) }

// unitSuffix cuts a unit off the end of a name in snake case, for values that no rule
// describes. Units of one letter could be anything and stay.
func unitSuffix(name string) (stem string, u unit, ok bool) {
	i := strings.LastIndexByte(name, '_')
	if i <= 0 {
		return name, unit{}, false
	}
	last := name[i+1:]
	if u, ok = unitOf(last); !ok || len(last) < 2 {
		return name, unit{}, false
	}
	return name[:i], u, true
}

// withUnit gives a name its unit, in front of _total.
func withUnit(name, base string) string {
	stem, total := strings.CutSuffix(name, "_total")
	if base != "" && !strings.HasSuffix(stem, "_"+base) {
		stem += "_" + base
	}
	if total {
		return stem + "_total"
	}
	return stem
}
