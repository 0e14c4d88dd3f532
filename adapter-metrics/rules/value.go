package rules

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// number makes a number of a sample as the rule says.
func (c *compiled) number(s *sample.Sample) (float64, bool) {
	v, ok := s.Value, s.Numeric
	switch {
	case len(c.rule.Map) > 0:
		if v, ok = c.rule.Map[string(s.Text)]; !ok {
			v, ok = c.rule.Map["*"]
		}
	case c.parse != nil:
		v, ok = c.parse(strings.TrimSpace(string(s.Text)))
	case !ok:
		v, ok = parseNumber(strings.TrimSpace(string(s.Text)))
	}
	return times(v, c.factor), ok
}

// times multiplies. With 0.001 and the like it divides by 1000, which rounds once and not twice: 679 ms are 0.679 s.
func times(v, factor float64) float64 {
	if factor == 1 {
		return v
	}
	if d := math.Round(1 / factor); d > 1 && 1/d == factor {
		return v / d
	}
	return v * factor
}

func parser(name string) func(string) (float64, bool) {
	return map[string]func(string) (float64, bool){
		"bool": parseBool, "time": parseTime, "duration": parseDuration, "bytes": parseBytes, "percent": parsePercent, "number": parseNumber,
	}[name]
}

func parseNumber(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

func parseBool(s string) (float64, bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "up", "ok", "1", "enabled", "active", "healthy":
		return 1, true
	case "false", "no", "off", "down", "0", "disabled", "inactive", "unhealthy":
		return 0, true
	}
	return 0, false
}

// parseTime reads RFC 3339, RFC 1123, a Unix time in seconds, or one in milliseconds, which is
// told by its size.
func parseTime(s string) (float64, bool) {
	if v, ok := parseNumber(s); ok {
		if v > 1e11 {
			v /= 1000
		}
		return v, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateTime, time.RFC1123, time.RFC1123Z, "02/Jan/2006:15:04:05 -0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixNano()) / 1e9, true
		}
	}
	return 0, false
}

// parseDuration reads 1m30s, 1:02:03 and plain seconds.
func parseDuration(s string) (float64, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return d.Seconds(), true
	}
	total := 0.0
	for part := range strings.SplitSeq(s, ":") {
		v, ok := parseNumber(part)
		if !ok {
			return 0, false
		}
		total = total*60 + v
	}
	return total, true
}

func parsePercent(s string) (float64, bool) {
	v, ok := parseNumber(strings.TrimSpace(strings.TrimSuffix(s, "%")))
	return v / 100, ok
}

// parseBytes reads 12MB, 1.5 GiB and 512k. Decimal and binary prefixes differ only by the i.
func parseBytes(s string) (float64, bool) {
	i := strings.LastIndexAny(s, "0123456789.")
	v, ok := parseNumber(s[:i+1])
	if !ok {
		return 0, false
	}
	prefix := strings.ToLower(strings.TrimSpace(s[i+1:]))
	prefix = strings.TrimSuffix(prefix, "ytes")
	prefix = strings.TrimSuffix(strings.TrimSuffix(prefix, "s"), "b")
	step := 1000.0
	if p, binary := strings.CutSuffix(prefix, "i"); binary {
		prefix, step = p, 1024
	}
	power := strings.Index("kmgtpe", prefix)
	if prefix == "" {
		power = -1
	} else if power < 0 || len(prefix) > 1 {
		return 0, false
	}
	return v * math.Pow(step, float64(power+1)), true
}
