// Package decode reads the formats in which applications tell their statistics: documents and pages as a walk from value to
// value, lines of StatsD, Graphite and logs one by one. Each value becomes a sample.Sample.
package decode

import (
	"maps"
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// A Walker is led through a document: the rules, seen from a decoder.
type Walker interface {
	// Push goes one segment down; the segment stays as it is until Pop.
	Push(segment []byte)
	Pop()
	// Leaf takes the value where the walk stands and keeps nothing of it.
	Leaf(*sample.Sample)
}

// A Decoder walks a document and yields its values. After an error what stood before it has been yielded.
type Decoder func(doc []byte, to Walker) error

// formats is the table of documents: one line for each.
func formats() map[string]Decoder {
	return map[string]Decoder{
		"json":       JSON,
		"expvar":     JSON,
		"jolokia":    Jolokia,
		"keyvalue":   KeyValue,
		"csv":        CSV,
		"redis":      Redis,
		"memcached":  Memcached,
		"nginx":      Nginx,
		"apache":     Apache,
		"phpfpm":     JSONOrText,
		"haproxy":    HAProxy,
		"prometheus": Prometheus,
		"actuator":   Actuator,
	}
}

// Format returns the decoder of a format, nil for a name that is none.
func Format(name string) Decoder { return formats()[name] }

// FormatNames lists the formats.
func FormatNames() []string { return slices.Sorted(maps.Keys(formats())) }
