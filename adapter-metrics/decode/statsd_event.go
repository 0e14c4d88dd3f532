package decode

import (
	"bytes"
	"strconv"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

const (
	whyEvent = "event"
	whyCheck = "service_check"
)

// event counts an event, _e{LENGTH,LENGTH}:TITLE|TEXT|…, by what is bounded about it: its
// type, priority and tags. Titles and texts are for people, not for labels.
func (d *StatsD) event(line []byte) string {
	head, body, ok := bytes.Cut(line[len("_e{"):], []byte("}:"))
	a, b, ok2 := bytes.Cut(head, []byte{','})
	title, err := strconv.Atoi(string(a))
	text, err2 := strconv.Atoi(string(b))
	if !ok || !ok2 || err != nil || err2 != nil || title <= 0 || text < 0 || title > len(body) || text > len(body) ||
		title+1+text > len(body) || body[title] != '|' {
		return whyEvent
	}
	fields := body[title+1+text:]
	if len(fields) > 0 && fields[0] != '|' {
		return whyEvent
	}
	kind, priority := []byte("info"), []byte("normal")
	d.sample = sample.Sample{Kind: sample.Event, Value: 1, Numeric: true, Path: append(d.sample.Path[:0], []byte("statsd"), []byte("events")), Labels: d.sample.Labels[:0]}
	for f := range bytes.SplitSeq(fields, []byte{'|'}) {
		switch {
		case bytes.HasPrefix(f, []byte("t:")):
			kind = f[2:]
		case bytes.HasPrefix(f, []byte("p:")):
			priority = f[2:]
		case bytes.HasPrefix(f, []byte("s:")):
			d.sample.Labels = append(d.sample.Labels, sample.Label{Name: "source_type", Value: f[2:]})
		case len(f) > 1 && f[0] == '#':
			d.tags(f[1:], ":")
		}
	}
	d.sample.Labels = append(d.sample.Labels, sample.Label{Name: "alert_type", Value: kind}, sample.Label{Name: "priority", Value: priority})
	return d.once()
}

// check shows the state of a service check, _sc|NAME|STATUS|…: 0 is ok, 1 warning,
// 2 critical, 3 unknown.
func (d *StatsD) check(line []byte) string {
	name, rest, ok := bytes.Cut(line[len("_sc|"):], []byte{'|'})
	status, fields, _ := bytes.Cut(rest, []byte{'|'})
	if !ok || len(name) == 0 || len(status) != 1 || status[0] < '0' || status[0] > '3' {
		return whyCheck
	}
	d.sample = sample.Sample{Kind: sample.Check, Value: float64(status[0] - '0'), Numeric: true, Text: status, Path: d.sample.Path[:0], Labels: d.sample.Labels[:0]}
	d.path(name)
	for f := range bytes.SplitSeq(fields, []byte{'|'}) {
		switch {
		case bytes.HasPrefix(f, []byte("m:")): // the message is last and may hold anything
			fields = nil
		case bytes.HasPrefix(f, []byte("h:")):
			d.sample.Labels = append(d.sample.Labels, sample.Label{Name: "hostname", Value: f[2:]})
		case len(f) > 1 && f[0] == '#':
			d.tags(f[1:], ":")
		}
		if fields == nil {
			break
		}
	}
	d.sample.Labels = append(d.sample.Labels, sample.Label{Name: "check", Value: name})
	return d.once()
}

// once maps and applies a sample that is not worth keeping in the cache.
func (d *StatsD) once() string {
	m, matched := d.mapping()
	if !matched && d.mapper != nil {
		d.src.Unmatched.Add(1)
	}
	if m.Drop {
		return ""
	}
	f, err := d.store.Family(m.Desc)
	if err != nil {
		return whyRefused
	}
	x, err := f.Series(d.src, m.Labels...)
	if err != nil {
		return whyRefused
	}
	ok := false
	if f.Desc().Type == series.Counter {
		ok = x.Add(d.sample.Value)
	} else {
		ok = x.Set(d.sample.Value)
	}
	if !ok {
		return whyRefused
	}
	return ""
}
