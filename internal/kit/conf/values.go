package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Duration is a time span written as time.ParseDuration reads it: 1500ms, 5s, 1h.
type Duration time.Duration

// ParseDuration reads 1500ms, 5s or 1h. A bare number has no unit and is refused, except 0.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 1500ms, 5s or 1h", s)
	}
	return Duration(d), nil
}

// D is the span as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the shortest form that ParseDuration reads back: 1h, not 1h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d *Duration) UnmarshalYAML(n *yaml.Node) error { return unmarshal(n, d, ParseDuration) }
func (d Duration) MarshalYAML() (any, error)         { return d.String(), nil }

// MarshalText keeps the unit in a log of JSON.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// JSONSchema describes the YAML form.
func (Duration) JSONSchema() map[string]any {
	return pattern(`^-?([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`, "5s")
}

// Size is a number of bytes: 512, 64KiB, 1MiB (powers of 1024) or 2GB (powers of 1000).
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseSize reads 512, 64KiB, 1MiB or 2GB.
func ParseSize(s string) (Size, error) {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*float64(unit) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size such as 64KiB, 1MiB or 2GB", s)
	}
	return Size(v * float64(unit)), nil
}

// String writes the largest unit that divides the size exactly.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func (s *Size) UnmarshalYAML(n *yaml.Node) error { return unmarshal(n, s, ParseSize) }
func (s Size) MarshalYAML() (any, error)         { return s.String(), nil }

// JSONSchema describes the YAML form.
func (Size) JSONSchema() map[string]any {
	return map[string]any{"type": []string{"string", "integer"}, "pattern": `^[0-9.]+ *([KMGT]i?B|kB|B)?$`, "examples": []string{"64KiB"}}
}

// Rate is a number of events a second: 100/s, 10/m, 5/h.
type Rate float64

var rateUnits = map[string]float64{"s": 1, "m": 60, "h": 3600}

// ParseRate reads 100/s, 10/m or 5/h.
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(s, "/")
	v, err := strconv.ParseFloat(number, 64)
	per, known := rateUnits[unit]
	if err != nil || !known || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("%q is not a rate such as 100/s or 10/m", s)
	}
	return Rate(v / per), nil
}

// String writes the rate per second, or per minute or hour where that is a whole number.
func (r Rate) String() string {
	for _, unit := range []string{"s", "m", "h"} {
		if v := float64(r) * rateUnits[unit]; v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', -1, 64) + "/" + unit
		}
	}
	return strconv.FormatFloat(float64(r), 'f', -1, 64) + "/s"
}

func (r *Rate) UnmarshalYAML(n *yaml.Node) error { return unmarshal(n, r, ParseRate) }
func (r Rate) MarshalYAML() (any, error)         { return r.String(), nil }

// JSONSchema describes the YAML form.
func (Rate) JSONSchema() map[string]any { return pattern(`^[0-9.]+/[smh]$`, "100/s") }

func unmarshal[T any](n *yaml.Node, into *T, parse func(string) (T, error)) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("wants a single value, not a %s", kindName(n))
	}
	v, err := parse(n.Value)
	if err == nil {
		*into = v
	}
	return err
}

func pattern(p, example string) map[string]any {
	return map[string]any{"type": "string", "pattern": p, "examples": []string{example}}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	default:
		return "value"
	}
}
