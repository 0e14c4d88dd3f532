package shape

import (
	"maps"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// newAdder sets fields to constants; a field of that name is replaced.
func newAdder(values Values) record.Stage {
	names := slices.Sorted(maps.Keys(values))
	return stageFunc(func(r *record.Record) string {
		for _, name := range names {
			set(r, name, []byte(values[name]), record.String)
		}
		return ""
	})
}

// newRenamer moves fields, in the order of their old names.
func newRenamer(values Values) record.Stage {
	names := slices.Sorted(maps.Keys(values))
	return stageFunc(func(r *record.Record) string {
		for _, from := range names {
			if v, kind, ok := take(r, from); ok {
				set(r, values[from], v, kind)
			}
		}
		return ""
	})
}

// take removes what stands under name.
func take(r *record.Record, name string) (value []byte, kind record.Kind, ok bool) {
	if f := r.Field(name); f != nil {
		value, kind = f.Value, f.Kind
		r.Remove(name)
		return value, kind, true
	}
	switch {
	case name == "message" && r.Message != nil:
		value, r.Message = r.Message, nil
		return value, record.String, true
	case name == "level" && r.Level != "":
		value, r.Level = []byte(r.Level), ""
		return value, record.String, true
	}
	return nil, 0, false
}

// set puts value under name.
func set(r *record.Record, name string, value []byte, kind record.Kind) {
	switch f := r.Field(name); {
	case f != nil:
		f.Value, f.Kind = value, kind
	case name == "message":
		r.Message = value
	case name == "level":
		r.Level = strings.ToLower(string(value))
	default:
		r.Add(name, value, kind)
	}
}
