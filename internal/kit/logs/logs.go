// Package logs is the helper's own log: slog on standard error, with repeats held back and counted.
package logs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// burst records of one level and message pass in each window; the rest is counted and named with the next that passes.
const (
	window = 10 * time.Second
	burst  = 5
)

// New returns a logger that writes text (logfmt) or json to w, from level up, which may be a *slog.LevelVar.
// Debug records are never held back.
func New(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	return slog.New(&throttled{Handler: h, state: &state{seen: map[key]*count{}}})
}

// Level reads debug, info, warn or error; anything else is info.
func Level(name string) (level slog.Level) {
	if level.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo
	}
	return level
}

type key struct {
	level   slog.Level
	message string
}

type count struct {
	start            time.Time
	passed, withheld int
}

type state struct {
	mu   sync.Mutex
	seen map[key]*count
}

// throttled passes the first few records of a kind in each window. The kind is level and message: messages are constant,
// facts stand in the attributes.
type throttled struct {
	slog.Handler
	state *state
}

// maxKinds bounds the memory of the throttle; messages are constants, so it is not reached in practice.
const maxKinds = 1000

func (t *throttled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level <= slog.LevelDebug {
		return t.Handler.Handle(ctx, r)
	}
	pass, suppressed := t.state.admit(key{r.Level, r.Message}, r.Time)
	if !pass {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("similar_suppressed", suppressed))
	}
	return t.Handler.Handle(ctx, r)
}

func (t *throttled) WithAttrs(a []slog.Attr) slog.Handler {
	return &throttled{t.Handler.WithAttrs(a), t.state}
}

func (t *throttled) WithGroup(name string) slog.Handler {
	return &throttled{t.Handler.WithGroup(name), t.state}
}

func (s *state) admit(k key, now time.Time) (pass bool, suppressed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.seen[k]
	if c == nil || now.Sub(c.start) >= window {
		if c != nil {
			suppressed = c.withheld
		}
		if len(s.seen) >= maxKinds {
			clear(s.seen)
		}
		s.seen[k] = &count{start: now, passed: 1}
		return true, suppressed
	}
	if c.passed < burst {
		c.passed++
		return true, 0
	}
	c.withheld++
	return false, 0
}
