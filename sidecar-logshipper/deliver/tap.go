package deliver

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

const (
	tapEvery = 100 * time.Millisecond // how often a chunk is looked at; the others pass untouched
	tapKeep  = 50                     // lines
	tapLine  = 300                    // bytes of a line
	tapLast  = 10                     // shaped records of a chunk
)

// Tap keeps the last records that went by, for a person to look at. It samples: of many chunks in a short time it sees one.
// Safe for concurrent use.
type Tap struct {
	next atomic.Int64 // Unix nanoseconds of the next look

	mu      sync.Mutex
	lines   []string
	total   int           // lines ever kept
	changed chan struct{} // closed at each change
}

// NewTap makes an empty tap.
func NewTap() *Tap { return &Tap{changed: make(chan struct{})} }

// due says that it is time for another look, once.
func (t *Tap) due() bool {
	now, next := time.Now().UnixNano(), t.next.Load()
	return now >= next && t.next.CompareAndSwap(next, now+int64(tapEvery))
}

// See may note the last lines of c.
func (t *Tap) See(c *record.Chunk) {
	if !t.due() {
		return
	}
	data := bytes.TrimRight(c.Data[max(0, len(c.Data)-4*tapLine):], "\n")
	lines := bytes.Split(data, []byte{'\n'})
	if len(data) < len(c.Data)-1 && len(lines) > 1 {
		lines = lines[1:] // begins in the middle
	}
	t.note(c.Source, lines...)
}

// SeeShaped notes r as the stages have left it.
func (t *Tap) SeeShaped(r *record.Record) {
	line := append([]byte(nil), r.Message...)
	for i := range r.Fields {
		line = append(append(append(append(line, ' '), r.Fields[i].Name...), '='), r.Fields[i].Value...)
	}
	t.note(r.Source, bytes.ReplaceAll(line, []byte{'\n'}, []byte{' '}))
}

func (t *Tap) note(from *record.Source, lines ...[]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lines {
		t.lines = append(t.lines, from.Path+" "+string(bytes.ToValidUTF8(l[:min(len(l), tapLine)], []byte("\uFFFD"))))
		t.total++
	}
	t.lines = t.lines[max(0, len(t.lines)-tapKeep):]
	close(t.changed)
	t.changed = make(chan struct{})
}

// Lines are the last records, oldest first, each after the path of its file.
func (t *Tap) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}

// since returns the lines after the n-th, the new count, and a channel that is closed when there are more.
func (t *Tap) since(n int) ([]string, int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := min(t.total-n, len(t.lines))
	return append([]string(nil), t.lines[len(t.lines)-fresh:]...), t.total, t.changed
}

// ServeHTTP writes the last records as text; with ?follow it goes on until the client or the server ends it.
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	follow := r.URL.Query().Has("follow")
	control := http.NewResponseController(w)
	for seen := 0; ; {
		lines, total, more := t.since(seen)
		seen = total
		for _, l := range lines {
			fmt.Fprintln(w, l)
		}
		_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if !follow || control.Flush() != nil {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
