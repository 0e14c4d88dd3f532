package deliver

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stuckAfter without an acknowledgement, while there is something to deliver and no retry, a lane counts as stuck.
const stuckAfter = 60 * time.Second

// health is what a lane knows of itself.
type health struct {
	mu       sync.Mutex
	acked    time.Time // last progress
	failing  time.Time // last failed attempt, zero after a success
	lastErr  error
	errCount int
	waiting  bool // for the answer to a batch that the output has taken; who gives it knows how long it may take
}

func (h *health) progress(now time.Time) {
	h.mu.Lock()
	h.acked = now
	h.mu.Unlock()
}

func (h *health) awaits(answer bool) {
	h.mu.Lock()
	h.waiting = answer
	h.mu.Unlock()
}

func (h *health) succeeded() {
	h.mu.Lock()
	h.failing, h.errCount = time.Time{}, 0
	h.mu.Unlock()
}

func (h *health) failed(err error, now time.Time) {
	h.mu.Lock()
	h.failing, h.lastErr = now, err
	h.errCount++
	h.mu.Unlock()
}

// Status is what a person wants to know of one output.
type Status struct {
	Name         string
	Failing      bool
	Error        string // of the last failed attempt, "" when there was none
	Attempts     int    // failed in a row
	BacklogBytes int64
	LastAck      time.Time
	Due          bool // there is more in the backlog than the start of a line whose end is not written yet
	waiting      bool
}

// Status reports the lane.
func (l *Lane) Status() Status {
	due := l.held.Load() > 0 || len(l.Set.Ready(l.Index, nil)) > 0
	l.health.mu.Lock()
	defer l.health.mu.Unlock()
	s := Status{Name: l.Name, Failing: !l.health.failing.IsZero(), Attempts: l.health.errCount, BacklogBytes: l.Set.Backlog(l.Index), LastAck: l.health.acked, Due: due, waiting: l.health.waiting}
	if l.health.lastErr != nil {
		s.Error = l.health.lastErr.Error()
	}
	return s
}

// Live is nil, or says that the lane has something to deliver, is not retrying, and has not moved for a minute.
func (l *Lane) Live(now time.Time) error {
	s := l.Status()
	if !s.Due || s.Failing || s.waiting {
		if !s.Due {
			l.health.progress(now)
		}
		return nil
	}
	if still := now.Sub(s.LastAck); still > stuckAfter+l.Batching.Wait {
		return fmt.Errorf("output %s has not moved for %s with %d bytes to deliver", l.Name, still.Round(time.Second), s.BacklogBytes)
	}
	return nil
}

// Counters are the metrics of delivery.
type Counters struct {
	Records      *prometheus.CounterVec // output
	Bytes        *prometheus.CounterVec // output
	Retries      *prometheus.CounterVec // output, reason
	Dropped      *prometheus.CounterVec // reason
	DroppedBytes *prometheus.CounterVec // reason
	InFlight     prometheus.Gauge
	Read, Shaped prometheus.Counter // of the stages
}

// NewCounters registers them; dropped and droppedBytes are shared with the other stages.
func NewCounters(r prometheus.Registerer, dropped, droppedBytes *prometheus.CounterVec) *Counters {
	c := &Counters{
		Records:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_output_records_total", Help: "Records that the output has acknowledged."}, []string{"output"}),
		Bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_output_bytes_total", Help: "Encoded bytes that the output has acknowledged, before compression."}, []string{"output"}),
		Retries:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_output_retries_total", Help: "Attempts that failed and are made again, by reason."}, []string{"output", "reason"}),
		InFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "logshipper_memory_in_flight_bytes", Help: "Memory taken by what is read and not yet acknowledged; bounded by --memory."}),
		Dropped:  dropped, DroppedBytes: droppedBytes,
	}
	stages := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_records_total", Help: "Records that have passed a stage, for all outputs together: read, and shaped (left after parse and shape)."}, []string{"stage"})
	c.Read, c.Shaped = stages.WithLabelValues("read"), stages.WithLabelValues("shaped")
	r.MustRegister(c.Records, c.Bytes, c.Retries, c.InFlight, stages)
	c.drop("rejected", 0, 0) // increase() does not see a counter begin with 1
	return c
}

// drop counts records that are not delivered.
func (c *Counters) drop(reason string, records, bytes int) {
	c.Dropped.WithLabelValues(reason).Add(float64(records))
	c.DroppedBytes.WithLabelValues(reason).Add(float64(bytes))
}
