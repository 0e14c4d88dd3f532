package layer7

import (
	"net/http"
	"runtime"
	"sync"
)

// flushing passes an answer of unknown length on as it comes, and over HTTP/2 in as few pieces as it comes in: what was written
// is flushed by another goroutine, which gets to run when the next read has to wait.
type flushing struct {
	w http.ResponseWriter

	mu      sync.Mutex
	waits   bool // something is not flushed
	planned bool // somebody will look
	over    bool
}

func (f *flushing) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = true
	return f.w.Write(p)
}

// reads is called before each read of the upstream.
func (f *flushing) reads() {
	f.mu.Lock()
	plan := f.waits && !f.planned
	f.planned = f.planned || plan
	f.mu.Unlock()
	if plan {
		go f.later()
	}
}

func (f *flushing) later() {
	runtime.Gosched()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = false
	if f.waits && !f.over {
		f.waits = false
		_ = http.NewResponseController(f.w).Flush()
	}
}

// end is called before the handler returns: nothing is flushed after that.
func (f *flushing) end() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
}
