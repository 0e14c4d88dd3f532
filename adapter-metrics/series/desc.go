package series

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// A Type is a metric type of OpenMetrics 1.0.
type Type uint8

const (
	Untyped   Type = iota // shown as untyped (text) or unknown (OpenMetrics)
	Counter               // its name always ends in _total
	Gauge                 //
	Histogram             // classic and native buckets at once
	Summary               // quantiles over a sliding window
	Info                  // its name always ends in _info, its value is always 1
	StateSet              // one series a state, told apart by a label named like the family
)

// String returns the type's name in OpenMetrics.
func (t Type) String() string {
	names := [...]string{"unknown", "counter", "gauge", "histogram", "summary", "info", "stateset"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// cumulative types lose information when a series is removed; the others are
// true again with the next sample.
func (t Type) cumulative() bool { return t == Counter || t == Histogram || t == Summary }

// A Desc says what a family is. Name may be any UTF-8; a scraper that cannot read
// such names gets them escaped. Family completes it: _total on counters, _info on infos.
type Desc struct {
	Name    string
	Unit    string   // base unit, shown in OpenMetrics when it is the name's suffix
	Help    string   // a sentence
	Buckets *Buckets // of a histogram; nil means those of Prometheus client libraries
	// Quantiles of a summary; nil means 0.5, 0.9 and 0.99.
	Quantiles []float64
	Type      Type
	// Distinct makes a gauge the number of distinct members that AddMember got (StatsD sets).
	Distinct bool
	// TTL removes a series that got no sample for this long; 0 leaves it to Limits.Idle.
	TTL time.Duration
}

// maxNameBytes is far above any real metric name and keeps a hostile one from costing much.
const maxNameBytes = 1024

// Complete checks a description and gives its name the suffix that its type demands.
func (d *Desc) Complete() error {
	d.Help = strings.ToValidUTF8(d.Help, "\uFFFD")
	switch {
	case d.Name == "":
		return &NameError{Name: d.Name, Why: "is empty"}
	case len(d.Name) > maxNameBytes:
		return &NameError{Name: d.Name[:32] + "…", Why: fmt.Sprintf("is longer than %d bytes", maxNameBytes)}
	case !utf8.ValidString(d.Name):
		return &NameError{Name: strings.ToValidUTF8(d.Name, "\uFFFD"), Why: "is not UTF-8"}
	case strings.HasPrefix(d.Name, "__"):
		return &NameError{Name: d.Name, Why: "starts with __, which is reserved"}
	}
	switch d.Type {
	case Counter:
		d.Name = suffixed(d.Name, "_total")
	case Info:
		d.Name = suffixed(d.Name, "_info")
	}
	return nil
}

func suffixed(name, suffix string) string {
	if strings.HasSuffix(name, suffix) && len(name) > len(suffix) {
		return name
	}
	return name + suffix
}

// base is the name of the family in OpenMetrics, where _total and _info belong to
// the sample and not to the family.
func (d *Desc) base() string {
	switch d.Type {
	case Counter:
		return strings.TrimSuffix(d.Name, "_total")
	case Info:
		return strings.TrimSuffix(d.Name, "_info")
	}
	return d.Name
}

// key is the base name as the narrowest escaping shows it. Names are compared in that form, so
// that two families that differ in UTF-8 never meet in an escaped page.
func (d *Desc) key() string { return model.EscapeName(d.base(), model.UnderscoreEscaping) }

// suffixes are what samples of a family of type t can have after its base name, in any format. No
// other family may use a base name with one of them.
func (t Type) suffixes() []string {
	switch t {
	case Counter:
		return []string{"_total", "_created"}
	case Info:
		return []string{"_info"}
	case Histogram:
		return []string{"_bucket", "_sum", "_count", "_created"}
	case Summary:
		return []string{"_sum", "_count", "_created"}
	}
	return nil
}

// A NameError says that a name can be no metric. It is final for that name.
type NameError struct{ Name, Why string }

func (e *NameError) Error() string { return fmt.Sprintf("name metric %q: it %s", e.Name, e.Why) }

// A ConflictError says that a family or series cannot be beside one that was there
// first. The first is served, the later one is refused and counted.
type ConflictError struct {
	Name string // what was refused
	With string // what holds the name
	Why  string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("add metric %s: it %s %s (rename one of them with a rule)", e.Name, e.Why, e.With)
}

// A LimitError says that a bound was reached and that the sample has no series.
type LimitError struct {
	Name  string // the metric
	Limit string // the key of the limit, as it is written in the configuration
	Value int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("add series of %s: limit reached (limits.%s: %d)", e.Name, e.Limit, e.Value)
}
