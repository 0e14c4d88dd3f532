package suggest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// rule adds the rule for one kind of value. A text becomes an info when it is a version, and a number when it is a state.
func (w *writer) rule(l *leaf, path []step) {
	parts := w.parts(path)
	last := ""
	if len(parts) > 0 {
		last = parts[len(parts)-1]
	}
	r := rules.Rule{Match: match(path), Help: "Source: " + match(path) + "."}
	switch {
	case len(path) == 0:
		return
	case !l.numeric:
		if !w.text(&r, l, parts, last) {
			return
		}
	default:
		w.number(&r, l, parts)
	}
	w.rules = append(w.rules, r)
}

// text handles texts that can be metrics.
func (w *writer) text(r *rules.Rule, l *leaf, parts []string, last string) bool {
	state := strings.ToLower(l.text)
	switch {
	case last == "version":
		r.Name, r.Type, r.Labels = w.free(w.join(parts)+"_info"), "info", map[string]string{"version": "{value}"}
	case slices.Contains([]string{"up", "ok", "green", "healthy", "running", "active", "passing"}, state):
		r.Name, r.Map = w.free(w.join(parts)+"_ok"), map[string]float64{l.text: 1, "*": 0}
	case slices.Contains([]string{"down", "red", "yellow", "unhealthy", "stopped", "failing", "critical"}, state):
		r.Name, r.Map = w.free(w.join(parts)+"_bad"), map[string]float64{l.text: 1, "*": 0}
	default:
		return false
	}
	return true
}

func (w *writer) number(r *rules.Rule, l *leaf, parts []string) {
	unit, base := "", ""
	if unit, base = unitOf(parts, l); unit != "" {
		parts = parts[:len(parts)-1]
		if n := len(parts); n > 1 && parts[n-1] == "in" {
			parts = parts[:n-1]
		}
		r.Unit = unit
	}
	counter := counts(parts, base, l)
	parts = lintable(parts, counter)
	name := w.join(parts)
	if base != "" && !strings.HasSuffix(name, "_"+base) {
		name += "_" + base
	}
	if counter {
		name += "_total"
	}
	r.Name = w.free(name)
}

// parts are the words of the name: those of the path's keys, without what data they hold.
func (w *writer) parts(path []step) []string {
	var out []string
	for _, s := range path {
		if s.capture {
			continue
		}
		for _, word := range strings.Split(string(sample.AppendSnake([]byte("x"), []byte(s.text)))[1:], "_") {
			if word != "" && (len(out) == 0 || out[len(out)-1] != word) {
				out = append(out, word)
			}
		}
	}
	return out
}

func (w *writer) join(parts []string) string {
	all := parts
	if w.prefix != "" {
		all = append([]string{w.prefix}, parts...)
	}
	if name := strings.Join(all, "_"); name != "" && (name[0] < '0' || name[0] > '9') {
		return name
	}
	return "value_" + strings.Join(all, "_")
}

// free is a name that no rule has yet, nor one that OpenMetrics takes for the same: a counter's family has no _total.
func (w *writer) free(name string) string {
	stem, total := strings.CutSuffix(name, "_total")
	base := strings.TrimSuffix(stem, "_info")
	for i := 2; w.used[base]; i++ {
		stem = strings.TrimSuffix(name, "_total") + "_" + strconv.Itoa(i)
		base = stem
	}
	w.used[base] = true
	if total {
		stem += "_total"
	}
	return stem
}

// unitOf reads the unit off the last word.
func unitOf(parts []string, l *leaf) (unit, base string) {
	if len(parts) < 2 {
		return "", ""
	}
	last := parts[len(parts)-1]
	if last == "timestamp" && l.value > 1e9 {
		return "", ""
	}
	base = map[string]string{
		"millis": "seconds", "ms": "seconds", "msec": "seconds", "milliseconds": "seconds", "nanos": "seconds", "ns": "seconds", "nanoseconds": "seconds",
		"us": "seconds", "micros": "seconds", "microseconds": "seconds", "seconds": "seconds", "secs": "seconds", "sec": "seconds", "minutes": "seconds", "hours": "seconds", "days": "seconds",
		"bytes": "bytes", "kb": "bytes", "mb": "bytes", "gb": "bytes", "kib": "bytes", "mib": "bytes", "gib": "bytes", "kilobytes": "bytes", "megabytes": "bytes",
		"percent": "ratio", "pct": "ratio", "ratio": "ratio",
	}[last]
	if base == "" {
		return "", ""
	}
	return last, base
}

// counts guesses whether a value only grows. It has to be a whole number under a name of things that happen.
func counts(parts []string, base string, l *leaf) bool {
	if len(parts) == 0 || l.value < 0 || l.text == "true" || l.text == "false" {
		return false
	}
	all := "_" + strings.Join(parts, "_") + "_"
	for _, present := range []string{"_current_", "_free_", "_used_", "_avg_", "_max_", "_min_", "_mean_", "_rate_", "_limit_", "_mem_", "_memory_", "_heap_", "_size_", "_pool_", "_uptime_", "_now_", "_pending_", "_details_", "_threads_"} {
		if strings.Contains(all, present) {
			return false
		}
	}
	last := parts[len(parts)-1]
	if base == "seconds" {
		return last == "time"
	}
	return slices.Contains([]string{
		"total", "requests", "hits", "misses", "errors", "evictions", "failures", "accepted", "handled", "dropped", "timeouts",
		"restarts", "retries", "publish", "deliver", "ack", "redeliver", "rejected", "completed", "responses", "fails", "received", "sent",
	}, last) && base == ""
}

// lintable leaves out or replaces what has a meaning of its own in a metric's name.
func lintable(parts []string, counter bool) []string {
	replace := map[string]string{
		"s": "secs", "ms": "msec", "us": "usec", "ns": "nsec", "sec": "secs", "b": "byte", "kb": "kbyte", "mb": "mbyte", "gb": "gbyte", "tb": "tbyte", "pb": "pbyte",
		"m": "min", "h": "hour", "d": "day", "minutes": "minute", "hours": "hour", "days": "day", "weeks": "week", "bits": "bit", "milliseconds": "millis", "nanoseconds": "nanos",
		"microseconds": "micros", "gauge": "level", "counter": "counted", "histogram": "distribution", "summary": "digest", "meters": "meter", "metres": "metre",
		"gauges": "levels", "counters": "counted", "histograms": "distributions", "percent": "share", "total": "",
	}
	var out []string
	for i, p := range parts {
		if r, ok := replace[p]; ok && (p != "total" || i == len(parts)-1) {
			p = r
			if p == "" && !counter {
				p = "size"
			}
		}
		if i == len(parts)-1 && i > 0 {
			switch p {
			case "count":
				p = ""
			case "sum":
				p = "amount"
			case "bucket", "info", "created":
				p += "_value"
			}
		}
		if p != "" {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return []string{"all"}
	}
	return out
}
