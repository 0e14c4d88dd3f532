// Package expose serves the page: what is in a series.Store and the helper's own
// metrics, in the format and encoding that the scraper asks for.
//
// Names and labels of a series are rendered once, when it is born; a scrape formats
// values and copies bytes, so its allocations do not depend on the number of series.
// Nothing is locked while bytes go out: a slow scraper holds up nobody.
package expose

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A Puller brings the store up to date before a page is written. It must return when
// ctx ends, with what came until then in the store; an error means that there
// is nothing worth serving and becomes a 503. Pulls do not overlap.
type Puller interface {
	Pull(ctx context.Context) error
}

// Handler serves GET /metrics. Make one with New; it is safe for concurrent use.
type Handler struct {
	Options // set before the first scrape

	store  *series.Store
	own    prometheus.Gatherer
	flight flight
	pages  sync.Pool // of *page
	zips   zips
}

// Options choose what not every scraper can take.
type Options struct {
	// Created tells since when counters, histograms and summaries count that are counted here: _created lines in OpenMetrics
	// 1.0, st@ in 2.0, created_timestamp in protobuf. Text 0.0.4 has no way to say it.
	Created bool
	// OpenMetrics2 serves the experimental 2.0 (2.0.0-rc0) to scrapers that ask for it.
	OpenMetrics2 bool
}

// New returns a handler for the series of store and the helper's own metrics. pull may be
// nil when all sources push.
func New(store *series.Store, own prometheus.Gatherer, pull Puller) *Handler {
	return &Handler{store: store, own: own, flight: flight{puller: pull}}
}

// ServeHTTP answers one scrape. Concurrent scrapes share one pull.
//
// When there is nothing worth serving the status is 503, so that Prometheus says up 0, and the page is sent all the
// same: adapter_source_up and adapter_source_errors_total in it tell whoever looks why, and scrapers that keep the body
// of a failure keep them.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), Deadline(r.Header))
	defer cancel()
	err := h.flight.pull(ctx)
	format := h.negotiate(r.Header)
	head := w.Header()
	head.Set("Content-Type", string(format))
	head.Set("Vary", "Accept, Accept-Encoding")
	var out io.Writer = w
	if name := encoding(r.Header.Get("Accept-Encoding")); name != "" {
		head.Set("Content-Encoding", name)
		z := h.zips.get(name, w)
		defer h.zips.put(name, z)
		out = z.in
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// A write error means that the scraper has gone, which concerns only the scraper.
	_ = h.Write(out, format)
}

// Write writes the page without pulling first.
func (h *Handler) Write(w io.Writer, format expfmt.Format) error {
	p, ok := h.pages.Get().(*page)
	if !ok {
		p = &page{buf: make([]byte, 0, flushBytes+4096), seen: map[string]bool{}}
	}
	defer h.pages.Put(p)
	p.start(w, format)
	p.created = h.Created
	for _, f := range h.store.Families() {
		p.family(f)
	}
	h.writeOwn(p, format)
	if p.openMetrics {
		p.buf = append(p.buf, "# EOF\n"...)
	}
	if head, ok := w.(http.ResponseWriter); ok && !p.flushed && p.err == nil {
		head.Header().Set("Content-Length", strconv.Itoa(len(p.buf))) // one write less than in chunks
	}
	p.flush()
	p.out = nil
	return p.err
}

// writeOwn adds the helper's own metrics. Where the app has a family of that name (a Go
// app has go_goroutines too) the app's is the one that the page is for.
func (h *Handler) writeOwn(p *page, format expfmt.Format) {
	if h.own == nil || p.err != nil {
		return
	}
	families, _ := h.own.Gather() // an error comes with all that is good
	var options []expfmt.EncoderOption
	if h.Created {
		options = append(options, expfmt.WithCreatedLines())
	}
	enc := expfmt.NewEncoder(p, format, options...)
	before := ""
	for _, f := range families {
		// The Go runtime's go_memstats_alloc_bytes and …_bytes_total are one family's name in
		// OpenMetrics 1.0, where only the first can be. Families come sorted.
		base, counter := cutSuffix(f.GetName(), "_total")
		if taken(h.store, f.GetName()) || p.openMetrics && !p.v2 && counter && base == before {
			continue
		}
		before = f.GetName()
		if err := enc.Encode(f); err != nil {
			p.err = err
			return
		}
	}
}

// taken reports whether the app uses the name or one that belongs to it.
func taken(s *series.Store, name string) bool {
	base, _ := cutSuffix(name, "_total")
	return s.Has(base, "_total", "_created", "_bucket", "_sum", "_count")
}

func cutSuffix(s, suffix string) (string, bool) {
	if n := len(s) - len(suffix); n > 0 && s[n:] == suffix {
		return s[:n], true
	}
	return s, false
}

// negotiate picks the format by the scraper's Accept header and, in it, how names
// outside the classic characters are escaped.
func (h *Handler) negotiate(head http.Header) expfmt.Format {
	if h.OpenMetrics2 {
		return expfmt.NegotiateAccept(head, expfmt.FmtOpenMetrics_2_0_0, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText)
	}
	return expfmt.NegotiateAccept(head, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText)
}

// Deadline is how long a pull may take: the scraper's own timeout, which Prometheus sends in
// X-Prometheus-Scrape-Timeout-Seconds, less what it takes to write the page.
func Deadline(head http.Header) time.Duration {
	const (
		usual  = 10 * time.Second // Prometheus' default
		most   = 2 * time.Minute
		margin = 500 * time.Millisecond
	)
	d := usual
	if s, err := strconv.ParseFloat(head.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64); err == nil && s > 0 {
		d = time.Duration(min(s, most.Seconds()) * float64(time.Second))
	}
	return max(d-margin, d/2)
}

// flight lets scrapes that come while a pull runs wait for that one.
type flight struct {
	puller Puller
	mu     sync.Mutex
	now    *call
}

type call struct {
	done chan struct{} // closed when err is set
	err  error
}

// pull runs a pull, or waits for the running one until ctx ends. A waiter whose
// time is up serves what there is.
func (f *flight) pull(ctx context.Context) error {
	if f.puller == nil {
		return nil
	}
	f.mu.Lock()
	if c := f.now; c != nil {
		f.mu.Unlock()
		select {
		case <-c.done:
			return c.err
		case <-ctx.Done():
			return nil
		}
	}
	c := &call{done: make(chan struct{})}
	f.now = c
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now = nil
		f.mu.Unlock()
		close(c.done)
	}()
	// The first scraper's going away must not fail the others.
	own := context.WithoutCancel(ctx)
	if t, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		own, cancel = context.WithDeadline(own, t)
		defer cancel()
	}
	c.err = f.puller.Pull(own)
	return c.err
}
