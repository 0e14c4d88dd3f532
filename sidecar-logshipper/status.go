package main

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

// Status implements kit.Service.
func (s *service) Status() admin.Status {
	p, _ := s.current()
	st := admin.Status{Health: "ok"}
	files := admin.Section{Title: "Files", Columns: []string{"file", "state", "size", "lag"}}
	for _, f := range p.set.Files() {
		row := admin.Row{State: "ok", Cells: []string{f.Path, f.State, size(f.SizeBytes), size(f.LagBytes)}}
		if f.State != "live" {
			row.State = "warn"
		}
		files.Rows = append(files.Rows, row)
	}
	outputs := admin.Section{Title: "Outputs", Columns: []string{"output", "to deliver", "last acknowledgement", "last error"}}
	failing := 0
	for _, l := range p.lanes {
		o := l.Status()
		row := admin.Row{State: "ok", Cells: []string{o.Name, size(o.BacklogBytes), time.Since(o.LastAck).Round(time.Second).String() + " ago", o.Error}}
		if o.Failing {
			failing++
			row.State, st.Health = "bad", "bad"
		}
		outputs.Rows = append(outputs.Rows, row)
	}
	st.Headline = admin.Count(len(files.Rows), "file") + ", " + size(p.backlog()) + " to deliver"
	if failing > 0 {
		st.Headline += fmt.Sprintf(", %d of %d outputs not answering", failing, len(outputs.Rows))
	}
	st.Sections = []admin.Section{outputs, files, {Title: "Live tail", Lines: s.tap.Lines()}}
	return st
}

func size(bytes int64) string {
	switch {
	case bytes >= 10<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 10<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}

// gauges are read from the pipeline when somebody asks.
type gauges struct {
	service                            *service
	lag, open, held, oldestWait, spool *prometheus.Desc
}

func newGauges(s *service) *gauges {
	return &gauges{
		service:    s,
		lag:        prometheus.NewDesc("logshipper_file_lag_bytes", "Bytes of a file that its slowest output has not acknowledged.", []string{"file"}, nil),
		open:       prometheus.NewDesc("logshipper_open_files", "Files that are held open.", nil, nil),
		held:       prometheus.NewDesc("logshipper_held_deleted_bytes", "Size of deleted files whose space is not free yet because they are held open.", nil, nil),
		spool:      prometheus.NewDesc("logshipper_spool_bytes", "What the spools of streams take up on disk; bounded by spool for each stream.", nil, nil),
		oldestWait: prometheus.NewDesc("logshipper_output_oldest_unacked_seconds", "Time since the last acknowledgement while there is something to deliver, else 0.", []string{"output"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.lag
	ch <- g.open
	ch <- g.held
	ch <- g.oldestWait
	ch <- g.spool
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	p, _ := g.service.current()
	lag := map[string]int64{} // several generations may share a path
	var held int64
	files := p.set.Files()
	for _, f := range files {
		lag[f.Path] += f.LagBytes
		if f.Deleted {
			held += f.SizeBytes
		}
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for path, bytes := range lag {
		gauge(g.lag, float64(bytes), path)
	}
	gauge(g.open, float64(len(files)))
	gauge(g.held, float64(held))
	gauge(g.spool, float64(g.service.streams.Used()))
	for _, l := range p.lanes {
		o, wait := l.Status(), 0.0
		if o.Due {
			wait = time.Since(o.LastAck).Seconds()
		}
		gauge(g.oldestWait, wait, o.Name)
	}
}
