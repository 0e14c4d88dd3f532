package main

import (
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

// Status are the facts of the status page: each source with its state and what it gives, and the raw input beside the metrics
// that it becomes.
func (p *pipeline) Status() admin.Status {
	now := *p.now.Load()
	s := admin.Status{Health: "ok", Headline: fmt.Sprintf("%d series from %s", p.store.Len(), admin.Count(len(now), "source"))}
	rows := admin.Section{Title: "Sources", Columns: []string{"source", "state", "age", "series", "samples", "last error"}}
	var inputs []admin.Section
	for _, r := range now {
		word, at, why := r.state()
		row := admin.Row{State: "ok", Cells: []string{r.config.Name, word, ago(at), fmt.Sprint(r.src.Len()), fmt.Sprint(r.src.Samples.Load()), why}}
		if why != "" || word == "absent" {
			// Absent is a normal state, but one that a person who looks wants to see.
			row.State, s.Health = "warn", "warn"
		}
		rows.Rows = append(rows.Rows, row)
		if input, ok := r.glance(p.ctx); ok {
			inputs = append(inputs, input)
		}
	}
	s.Sections = append(s.Sections, rows)
	s.Sections = append(s.Sections, inputs...)
	return s
}

// state is what a source is doing, when it last gave something, and what keeps it from more.
func (r *running) state() (word string, at time.Time, why string) {
	switch {
	case r.pull != nil:
		return r.pull.state()
	case r.plan.follow != nil:
		return r.followed.state()
	}
	for _, l := range r.ears {
		if t := l.LastActivity(); t.After(at) {
			at = t
		}
	}
	return "listening", at, ""
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return time.Since(t).Round(time.Second).String()
}
