package layer7

import (
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// waiting is the timer of one try of the net/http engine: what is waited for decides how long, and what is to blame.
type waiting struct {
	header, idle time.Duration
	cut          func(reason.Reason) // ends the try

	mu      sync.Mutex
	timer   *time.Timer
	phase   phase
	reading bool // the client is
	why     reason.Reason
}

type phase uint8

const (
	sending  phase = iota // the request's body: as long as it moves
	asking                // the request is sent, the head of the answer must come
	relaying              // the answer's body, and what is left of the request's: as long as either moves
	over
)

// start with a request that has a body, or with one that is sent at once.
func (w *waiting) start(set *Settings, body bool, cut func(reason.Reason)) {
	w.header, w.idle, w.cut, w.phase = or(set.Header, time.Minute), or(set.Idle, 5*time.Minute), cut, asking
	first := w.header
	if body {
		w.phase, first = sending, w.idle
	}
	w.timer = time.AfterFunc(first, w.expired)
}

func (w *waiting) expired() {
	w.mu.Lock()
	switch {
	case w.phase == over:
		w.mu.Unlock()
		return
	case w.phase == relaying:
		w.why = reason.UpstreamTimeoutIdle
	case w.phase == sending && w.reading:
		w.why = reason.ClientTimeout
	default:
		w.why = reason.UpstreamTimeoutHeaders
	}
	w.phase = over
	why := w.why
	w.mu.Unlock()
	w.cut(why)
}

// takes notes that the client is read from, took that this has ended, for good with ended.
func (w *waiting) takes() {
	w.mu.Lock()
	w.reading = true
	w.mu.Unlock()
}

func (w *waiting) took(ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = false
	switch {
	case w.phase == sending && ended:
		w.phase = asking
		w.timer.Reset(w.header)
	case w.phase == sending || w.phase == relaying:
		w.timer.Reset(w.idle)
	}
}

// answered notes that the head of the answer has come; false when the try has been cut before.
func (w *waiting) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == over {
		return false
	}
	w.phase = relaying
	w.timer.Reset(w.idle)
	return true
}

// moved notes that bytes of the answer have been passed on.
func (w *waiting) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == relaying {
		w.timer.Reset(w.idle)
	}
}

// end stops the timer and tells why it has cut the try; OK when it has not.
func (w *waiting) end() reason.Reason {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = over
	w.timer.Stop()
	return w.why
}
