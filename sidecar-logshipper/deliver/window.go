package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
)

// mostBatches under way, however large the memory budget is.
const mostBatches = 64

// window sends the batches of a lane whose output answers later. The next ones leave meanwhile, and the answers may come in
// any order; positions move in the order of reading all the same. How many are out is bounded by the batches that there are.
type window struct {
	*Lane
	out  output.Deferred
	open []*handed        // oldest first
	wait *backoff.Backoff // between two times that answers said to send again
}

// handed is a batch that is out.
type handed struct {
	*batch
	answer <-chan error
	done   bool  // it was answered for
	failed error // why it has to be sent again
}

// run hands batches over and settles them until there is none left, or ctx ends: what is out then is read again by the next
// process.
func (w *window) run(ctx context.Context) {
	w.wait = backoff.New(retryFirst, retryMost)
	full := w.full
	for full != nil || len(w.open) > 0 {
		select {
		case b, more := <-full:
			if !more {
				full = nil
				break
			}
			w.encode(b)
			if w.Known == nil || w.Known(ctx, b.segments) == nil {
				h := &handed{batch: b}
				w.open = append(w.open, h)
				w.hand(ctx, h)
			}
		case err := <-w.oldest():
			w.answered(w.open[0], err)
		case <-ctx.Done():
			for range w.full { // the filler must not wait for us
			}
			return
		}
		w.settle(ctx)
	}
}

// oldest is the channel of the answer that is waited for: the positions can move over nothing else.
func (w *window) oldest() <-chan error {
	if len(w.open) == 0 || w.open[0].done || w.open[0].failed != nil {
		return nil
	}
	return w.open[0].answer
}

func (w *window) answered(h *handed, err error) {
	if h.failed = err; err != nil {
		w.count.Retries.WithLabelValues(w.Name, reasonOf(err)).Inc()
		return
	}
	h.done = true
	w.took(wire(h.body, h.records, h.pieces))
}

// settle acknowledges what can be, and sends again what the oldest answer says to, with all others of which that is known.
func (w *window) settle(ctx context.Context) {
	for w.advance(); len(w.open) > 0 && w.open[0].failed != nil; w.advance() {
		w.complain(w.open[0].failed)
		if w.sleep(ctx, w.wait.Next()) != nil {
			return
		}
		for _, h := range slices.Clone(w.open) {
			select {
			case err := <-h.answer:
				w.answered(h, err)
			default:
			}
			if h.failed != nil && !w.hand(ctx, h) {
				return
			}
		}
	}
}

// advance acknowledges the oldest as far as they are answered for.
func (w *window) advance() {
	for len(w.open) > 0 && w.open[0].done {
		b := w.open[0].batch
		w.open = slices.Delete(w.open, 0, 1)
		w.wait.Reset()
		w.acknowledge(b)
	}
	w.health.awaits(w.oldest() != nil)
}

// hand makes attempts until the output has the batch, or has refused it for good, which is dealt with at once. It is false
// when ctx has ended.
func (w *window) hand(ctx context.Context, h *handed) bool {
	h.answer, h.failed = nil, nil
	if h.records == 0 {
		h.done = true
		return true
	}
	b := wire(h.body, h.records, h.pieces)
	err := w.attempt(ctx, b, func() (err error) { h.answer, err = w.out.Hand(ctx, b); return err }, w.sleep)
	if err != nil {
		h.done = w.resolve(ctx, h.pieces, err, h.records) == nil
		return h.done
	}
	return true
}

// sleep lets answers move the positions meanwhile.
func (w *window) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case err := <-w.oldest():
			w.answered(w.open[0], err)
			w.advance()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
