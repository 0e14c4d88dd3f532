package parse

import (
	"strings"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// names are the fields that become a record's time, level and message: the first one that is there.
type names struct {
	time, level, message []string
	chosen               bool // somebody said where the time is
}

func (c *Config) names() names {
	pick := func(configured string, usual ...string) []string {
		if configured != "" {
			return []string{configured}
		}
		return usual
	}
	return names{
		time:    pick(c.Timestamp.Field, "time", "timestamp", "@timestamp", "ts", "datetime", "date", "eventTime"),
		level:   pick(c.Level, "level", "severity", "lvl", "log.level", "loglevel", "levelname"),
		message: pick(c.Message, "message", "msg", "log", "@message"),
		chosen:  c.Timestamp.Field != "",
	}
}

// promote moves fields to Time, Level and Message. A time that cannot be read stays a field.
func (n *names) promote(r *record.Record, c *clock) {
	if f := first(r, n.time); f != nil && (!r.OwnTime || n.chosen) {
		if nano, ok := c.parse(f.Value, r.Time); ok {
			r.Time, r.OwnTime = nano, true
			r.Remove(f.Name)
		}
	}
	if f := first(r, n.level); f != nil && r.Level == "" && (f.Kind == record.String || f.Kind == record.Number) {
		r.Level = level(f.Value)
		r.Remove(f.Name)
	}
	if f := first(r, n.message); f != nil && f.Kind == record.String {
		r.Message = f.Value
		r.Remove(f.Name)
	}
}

func first(r *record.Record, names []string) *record.Field {
	for _, name := range names {
		if f := r.Field(name); f != nil {
			return f
		}
	}
	return nil
}

// level is a level's name in lower case and its usual spelling; one that is not known is kept as it is.
// The numbers are those of bunyan and pino.
func level(text []byte) string {
	switch s := strings.ToLower(string(text)); s {
	case "trace", "debug", "info", "notice", "warn", "error", "critical", "fatal", "panic", "alert":
		return s
	case "warning", "w", "40":
		return "warn"
	case "err", "e", "50", "severe":
		return "error"
	case "information", "informational", "i", "30":
		return "info"
	case "d", "20", "fine":
		return "debug"
	case "t", "10", "verbose", "finer", "finest":
		return "trace"
	case "crit", "c":
		return "critical"
	case "f", "60", "emerg", "emergency":
		return "fatal"
	default:
		return string(text)
	}
}
