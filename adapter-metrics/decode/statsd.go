package decode

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A Mapper decides what a pushed name becomes: the rules, seen from a decoder.
type Mapper interface {
	// Map is asked once for each name, type and set of tags, not once a line. It is false
	// when no rule matches; the default naming then applies, unless the mapping has a name all the same. The sample, and
	// what the mapping borrows from it, is valid until the next call. Calls do not overlap.
	Map(*sample.Sample) (Mapping, bool)
}

// A Mapping is where the samples of one name go.
type Mapping struct {
	Rule   string // pattern of the rule that said so, for people
	Drop   bool   // counted as a sample, shown nowhere
	Desc   series.Desc
	Labels []sample.Label
	Scale  float64 // multiplies each value, after milliseconds became seconds for a timer; 0 is 1
}

// StatsD decodes StatsD and DogStatsD 1.0 to 1.6, with tags in the styles of DogStatsD,
// InfluxDB, Librato and SignalFx, and updates series in place.
//
// All of a line but its value is looked up as raw bytes, which leads straight to the
// series: a name is parsed and mapped when it is seen first and never again. A line for a known
// series allocates nothing. Safe for concurrent use.
type StatsD struct {
	resolver
	lines atomic.Uint64

	mu    sync.Mutex
	cache cache
	plain []byte // a suffix without its time stamp
	seed  maphash.Seed
}

// NewStatsD returns a decoder whose series belong to src. mapper may be nil.
func NewStatsD(store *series.Store, src *series.Source, mapper Mapper) *StatsD {
	return &StatsD{
		resolver: resolver{store: store, src: src, mapper: mapper},
		cache:    newCache(2*store.Limits().PerSource + 1024),
		seed:     maphash.MakeSeed(),
	}
}

// Lines returns how many lines came in, good ones and bad ones.
func (d *StatsD) Lines() uint64 { return d.lines.Load() }

// Decode takes one or more whole lines. It keeps nothing of p.
func (d *StatsD) Decode(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines, good uint64
	for len(p) > 0 {
		var line []byte
		if line, p = nextLine(p); len(line) == 0 {
			continue
		}
		lines++
		if why := d.line(line); why != "" {
			d.src.Problem(why, 1)
		} else {
			good++
		}
	}
	d.lines.Add(lines)
	d.src.Samples.Add(good)
}

// Reasons why a line is not used, as adapter_parse_errors_total shows them.
const (
	whyFormat    = "format"
	whyType      = "type"
	whyValue     = "value"
	whyNotFinite = "not_finite"
	whyNegative  = "negative_counter"
	whyRate      = "sample_rate"
	whyRefused   = "refused" // by the series table, which counts conflicts and limits itself
)

// line handles one line and says why it cannot be used, "" when it was.
func (d *StatsD) line(line []byte) string {
	colon := bytes.IndexByte(line, ':')
	if line[0] == '_' {
		if bytes.HasPrefix(line, []byte("_e{")) {
			return d.event(line)
		}
		if bytes.HasPrefix(line, []byte("_sc|")) {
			return d.check(line)
		}
	}
	if colon <= 0 {
		return whyFormat
	}
	name, rest := line[:colon], line[colon+1:]
	bar := bytes.IndexByte(rest, '|')
	if bar <= 0 {
		return whyFormat
	}
	value, suffix := rest[:bar], rest[bar:]
	r := d.cache.find(name, suffix)
	if r == nil || r.stale() {
		return d.first(name, value, suffix)
	}
	return d.apply(r, value)
}

// first handles a line whose raw bytes are not known yet, or whose series has gone.
func (d *StatsD) first(name, value, suffix []byte) string {
	if i := bytes.Index(suffix, []byte("|T")); i > 0 { // at 0 it would be the type
		// A time stamp (v1.3) differs in each line and must not make a new entry.
		d.plain = append(d.plain[:0], suffix[:i]...)
		if j := bytes.IndexByte(suffix[i+1:], '|'); j >= 0 {
			d.plain = append(d.plain, suffix[i+1+j:]...)
		}
		suffix = d.plain
		if r := d.cache.find(name, suffix); r != nil && !r.stale() {
			return d.apply(r, value)
		}
	}
	r, why := d.resolve(name, value, suffix)
	if why != "" {
		return why
	}
	if r.x == nil || !r.x.Other() {
		d.cache.put(name, suffix, r)
	}
	return d.apply(&r, value)
}

// apply updates the series of a line with its value, or with each of its packed values (v1.1).
func (d *StatsD) apply(r *record, value []byte) string {
	if r.op == opDrop {
		return ""
	}
	if r.op == opSet {
		if !r.x.AddMember(maphash.Bytes(d.seed, value)) {
			return whyRefused
		}
		return ""
	}
	if v, ok := parseNumber(value); ok {
		return r.update(v, value[0])
	}
	if bytes.IndexByte(value, ':') < 0 {
		return badNumber(value)
	}
	why := ""
	for part := range bytes.SplitSeq(value, []byte{':'}) {
		v, ok := parseNumber(part)
		switch {
		case !ok:
			why = badNumber(part)
		default:
			if w := r.update(v, part[0]); w != "" {
				why = w
			}
		}
	}
	return why
}
