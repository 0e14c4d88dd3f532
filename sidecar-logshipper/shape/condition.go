package shape

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// condition is a checked expression in the operators of Go, read by go/parser:
//
//	level == "debug" && !contains(message, "slow query")
//	status >= 500 || in(path, "/pay", "/order") || matches(message, `^panic: `)
//	field("log.logger") == "db" || request.id == nil
//
// Names are level, message, file, time and the record's fields. A name that a record does not have is nil, and what cannot
// be compared does not hold. Text that is compared with a number is read as one.
type condition struct{ eval node }

// node is one compiled part of an expression: its value for a record is a string, a float64, a bool, nil, or what a
// field with JSON holds.
type node func(*record.Record) any

// newCondition checks and compiles text.
func newCondition(text string) (*condition, error) {
	if text == "" {
		return nil, errors.New(`if is missing (write a condition such as level == "debug")`)
	}
	eval, err := compile(text)
	if err != nil {
		return nil, fmt.Errorf("condition %q: %w", text, err)
	}
	return &condition{eval}, nil
}

// holds says whether the condition holds for r. Safe for concurrent use.
func (c *condition) holds(r *record.Record) bool { return truth(c.eval(r)) }

func truth(v any) bool { yes, ok := v.(bool); return ok && yes }

// valueOf is what a condition sees under name.
func valueOf(r *record.Record, name string) any {
	switch name {
	case "level":
		if r.Level != "" {
			return r.Level
		}
	case "message":
		return string(r.Message)
	case "file":
		if r.Source != nil {
			return r.Source.Path
		}
	case "time":
		return time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)
	}
	f := r.Field(name)
	if f == nil {
		return nil
	}
	switch f.Kind {
	case record.String:
		return string(f.Value)
	case record.Number:
		if v, err := strconv.ParseFloat(string(f.Value), 64); err == nil {
			return v
		}
	case record.Bool:
		return string(f.Value) == "true"
	case record.JSON:
		var v any
		if json.Unmarshal(f.Value, &v) == nil {
			return v
		}
	}
	return nil
}
