package decode

import (
	"maps"
	"slices"
)

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
