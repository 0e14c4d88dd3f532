package main

import (
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

// Status are the facts of the status page: each source with its state and what it gives.
func (p *pipeline) Status() admin.Status {
	now := *p.now.Load()
	s := admin.Status{Health: "ok", Headline: fmt.Sprintf("%d series from %s", p.store.Len(), admin.Count(len(now), "source"))}
	rows := admin.Section{Title: "Sources", Columns: []string{"source", "state", "age", "series", "samples"}}
	for _, r := range now {
		state, word, age := "ok", "listening", time.Time{}
		switch {
		case r.pull == nil:
			for _, l := range r.ears {
				if t := l.LastActivity(); t.After(age) {
					age = t
				}
			}
		case r.pull.up.Load():
			word, age = "up", time.Unix(0, r.pull.success.Load())
		default:
			// Absent is a normal state, but one that a person who looks wants to see.
			state, word, s.Health = "warn", "absent", "warn"
			if n := r.pull.success.Load(); n != 0 {
				age = time.Unix(0, n)
			}
		}
		rows.Rows = append(rows.Rows, admin.Row{State: state, Cells: []string{r.config.Name, word, ago(age), fmt.Sprint(r.src.Len()), fmt.Sprint(r.src.Samples.Load())}})
	}
	s.Sections = []admin.Section{rows}
	return s
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return time.Since(t).Round(time.Second).String()
}
