// Package limit bounds what works and what waits at once.
package limit

import (
	"context"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Queue has places for work and a bounded queue with a deadline in front of them. Waiters are served in order.
type Queue struct {
	places, queue int
	timeout       time.Duration

	mu      sync.Mutex
	taken   int
	waiters []chan struct{} // closed when its place is taken over
}

// NewQueue has that many places and waiters.
func NewQueue(places, queue int, timeout time.Duration) *Queue {
	return &Queue{places: places, queue: queue, timeout: timeout}
}

// Enter takes a place. Its error is a *reason.Error: queue_full at once, queue_timeout after the wait.
func (q *Queue) Enter(ctx context.Context) error {
	q.mu.Lock()
	if q.taken < q.places {
		q.taken++
		q.mu.Unlock()
		return nil
	}
	if len(q.waiters) >= q.queue {
		q.mu.Unlock()
		return &reason.Error{Reason: reason.QueueFull}
	}
	turn := make(chan struct{})
	q.waiters = append(q.waiters, turn)
	q.mu.Unlock()
	return q.wait(ctx, turn)
}

func (q *Queue) wait(ctx context.Context, turn chan struct{}) error {
	timer := time.NewTimer(q.timeout)
	defer timer.Stop()
	why := reason.QueueTimeout
	select {
	case <-turn:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		why = reason.OfContext(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, w := range q.waiters {
		if w == turn {
			q.waiters = append(q.waiters[:i], q.waiters[i+1:]...)
			return &reason.Error{Reason: why}
		}
	}
	return nil // its turn came at the same moment
}

// Leave gives the place back, to the first waiter if there is one.
func (q *Queue) Leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiters) > 0 {
		close(q.waiters[0])
		q.waiters = q.waiters[1:]
		return
	}
	q.taken--
}

// Depth is how many wait and how many work.
func (q *Queue) Depth() (waiting, working int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiters), q.taken
}
