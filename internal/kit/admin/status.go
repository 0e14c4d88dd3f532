package admin

import (
	_ "embed"
	"fmt"
	"net/http"
	"strings"
)

// Status are the facts that the status page shows: a person sees at a glance whether the helper does its job and where
// it hurts. Health and State are ok, warn or bad.
type Status struct {
	Helper   string    `json:"helper"`
	Health   string    `json:"health"`
	Headline string    `json:"headline"` // one sentence
	Sections []Section `json:"sections"`
}

// Section is a table, or lines as they came (a live tail).
type Section struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns,omitempty"`
	Rows    []Row    `json:"rows,omitempty"`
	Lines   []string `json:"lines,omitempty"`
}

// Row is one thing: a file, an endpoint, a source. Spark is a small curve behind its cells, oldest value first.
type Row struct {
	State string    `json:"state,omitempty"`
	Cells []string  `json:"cells"`
	Spark []float64 `json:"spark,omitempty"`
}

//go:embed page.html
var page string // an embedded file, never written

// pageHandler serves the one page of all helpers; it asks /status.json every two seconds while it is visible.
func pageHandler(name string) http.HandlerFunc {
	text := []byte(strings.ReplaceAll(page, "{{helper}}", name))
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text)
	}
}

// Count is "1 file" or "2 files".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
