package tail

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counters are the metrics of following files.
type Counters struct {
	Read           prometheus.Counter
	Overlong       prometheus.Counter
	Rotations      *prometheus.CounterVec // kind
	DroppedRecords *prometheus.CounterVec // reason
	DroppedBytes   *prometheus.CounterVec // reason
}

// NewCounters registers them.
func NewCounters(r prometheus.Registerer) *Counters {
	c := &Counters{
		Read:           prometheus.NewCounter(prometheus.CounterOpts{Name: "logshipper_file_read_bytes_total", Help: "Bytes read from files, by all outputs together."}),
		Overlong:       prometheus.NewCounter(prometheus.CounterOpts{Name: "logshipper_overlong_records_total", Help: "Records that were longer than max_line and were cut, split or dropped."}),
		Rotations:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_rotations_total", Help: "Files that were renamed, deleted, truncated or copied and truncated."}, []string{"kind"}),
		DroppedRecords: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_dropped_records_total", Help: "Records that were not delivered, by reason."}, []string{"reason"}),
		DroppedBytes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "logshipper_dropped_bytes_total", Help: "Bytes of files that were not delivered, by reason."}, []string{"reason"}),
	}
	r.MustRegister(c.Read, c.Overlong, c.Rotations, c.DroppedRecords, c.DroppedBytes)
	for _, reason := range []string{"truncated_unread", "vanished", "overlong", "max_held", "max_age"} {
		c.Drop(reason, 0, 0) // increase() does not see a counter begin with 1
	}
	return c
}

func (c *Counters) rotation(kind string) { c.Rotations.WithLabelValues(kind).Inc() }

// Drop counts what is not delivered.
func (c *Counters) Drop(reason string, records int, bytes int64) {
	c.DroppedRecords.WithLabelValues(reason).Add(float64(records))
	c.DroppedBytes.WithLabelValues(reason).Add(float64(bytes))
}

// FileStatus is what a person wants to know of one followed file.
type FileStatus struct {
	Path, Now string
	SizeBytes int64
	LagBytes  int64 // not acknowledged by the slowest output
	State     string
	Deleted   bool
}

// Files lists what is followed.
func (s *Set) Files() []FileStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]FileStatus, 0, len(s.order))
	for _, g := range s.order {
		f := FileStatus{Path: g.Source.Path, Now: g.now, SizeBytes: g.size, LagBytes: g.unacknowledged(), State: "live", Deleted: g.links == 0 && !g.frozen}
		switch {
		case g.suspect:
			f.State = "truncated, looking for the rest"
		case g.frozen:
			f.State = "rest of a truncated file"
		case f.Deleted:
			f.State = "deleted, held"
		case !g.moved.IsZero():
			f.State = "renamed"
		}
		list = append(list, f)
	}
	return list
}

// Backlog is how many bytes the lane has not acknowledged; a partial last line counts.
func (s *Set) Backlog(lane int) (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.order {
		bytes += max(0, g.size-g.cursors[lane].acked.Offset)
	}
	return bytes
}

// Activity is when a file last grew.
func (s *Set) Activity() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.activity
}
