// Package sample is the one form that every source yields: a value at a path.
//
// A JSON leaf is the path pools.a.workers.3.busy, a StatsD or Graphite name is
// split on dots, Redis INFO is section.key, a log line is its captures. Because
// all of them look alike, one rule language serves all of them.
package sample

// A Kind says what the source knows about a value beyond its number.
type Kind uint8

const (
	Unknown      Kind = iota // a leaf of a document: the rules, or its name, say what it is
	Counter                  // an increment, to be added to what came before (StatsD c)
	Total                    // a running total, to be shown as it is
	Gauge                    // a value that replaces the one before
	GaugeDelta               // a signed change of a gauge (StatsD +3|g)
	Timer                    // a duration in milliseconds (StatsD ms)
	Distribution             // one observation in the source's own unit (StatsD h and d)
	Set                      // a member of a set of distinct values; the member is Text (StatsD s)
	Event                    // something that happened once (DogStatsD _e)
	Check                    // the state of a service check, 0 to 3 (DogStatsD _sc)
	Histogram                // a histogram that the source has counted; Dist has it
	Summary                  // a summary that the source has counted; Dist has it
	Info                     // its labels are all there is to it
	State                    // one state of a state set; the label called like the metric names it
	Untyped                  // the source has types, and says that it knows none
)

// String returns the kind's name as explain prints it.
func (k Kind) String() string {
	names := [...]string{"value", "counter", "total", "gauge", "gauge change", "timer", "distribution", "set", "event", "service check",
		"histogram", "summary", "info", "state", "untyped"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// A Label is one name="value" pair. Value is borrowed: whoever keeps a label copies it.
type Label struct {
	Name  string
	Value []byte
}

// A Sample is one value on its way from a decoder through the rules into a series.
// Everything in it is borrowed from the decoder's buffers and valid only until the
// call that received it returns.
type Sample struct {
	Path    [][]byte // segments of where the value stood, outermost first
	Value   float64  // valid when Numeric; a boolean is 0 or 1
	Numeric bool     // false: the leaf is text, and only a map, parse or label can use it
	Text    []byte   // the value as the source wrote it; labels use this, so 1e15 stays 1e15
	Kind    Kind
	Labels  []Label // tags that the source itself attached (DogStatsD, Graphite)
	Fields  Fields  // what stands around the value; nil when the source has no such notion
	Metric  *Metric // what a source of ready-made metrics says of this one; nil for all others
	Dist    *Dist   // of a Histogram or Summary; nil when its lines make none
}

// A Metric is how a source of ready-made metrics describes one. Its name is the only segment of the path, and stays
// as it is where no rule gives another.
type Metric struct{ Help, Unit string }

// A Dist is a histogram or summary that the source has counted itself.
type Dist struct {
	Count  uint64
	Sum    float64
	Points []Point // ascending; a histogram's without +Inf
	Without
}

// Without is what a source leaves out of a histogram or summary, as it may.
type Without struct{ NoCount, NoSum bool }

// A Point is one bound of a histogram with the count at or below it, or one quantile of a summary with its value.
type Point struct{ At, Value float64 }

// Fields finds what stands beside or above a sample. It is asked only while the
// sample is being handled and is not safe for concurrent use.
type Fields interface {
	// Lookup returns the source text of the scalar called name in the object that
	// is up levels above the sample's own: 0 is a sibling, 1 stands beside the parent.
	Lookup(up int, name string) ([]byte, bool)
}
