package layer7

import (
	"context"
	"net/http"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Hedged is an Upstream that may be asked twice at once.
type Hedged interface {
	// HedgeAfter is how long an answer is waited for before another endpoint is asked too; 0: for ever.
	HedgeAfter() time.Duration
	// Hedge takes a token of the retry budget for the second request.
	Hedge() bool
}

// racer is one of the requests that are sent at once. It has an own copy of the call, whose record it writes.
type racer struct {
	call    *call
	attempt *attempt
	cancel  context.CancelFunc
}

// race is try, with a second request beside the first when that is slow. The first answer wins, and the loser is called
// off, which says nothing about its endpoint.
func (c *call) race(ctx context.Context) (*attempt, error) {
	h, ok := c.up.(Hedged)
	if !ok || c.upgrade != "" || c.r.ContentLength != 0 || !c.idempotent() {
		return c.try(ctx)
	}
	after := h.HedgeAfter()
	if after == 0 {
		return c.try(ctx)
	}
	first, err := c.pick(ctx)
	if err != nil {
		return nil, err
	}
	ends := make(chan *racer, 2)
	running := []*racer{c.launch(ctx, first, ends)}
	timer := time.NewTimer(after)
	defer timer.Stop()
	for last := (*racer)(nil); ; {
		select {
		case last = <-ends:
			running = without(running, last)
			if last.attempt.response == nil && len(running) > 0 {
				last.cancel()
				continue
			}
			c.adopt(last, running, ends)
			return last.attempt, nil
		case <-timer.C:
			c.tried = append(c.tried, first)
			if second, err := c.pick(ctx); err == nil && second != first && h.Hedge() {
				running = append(running, c.launch(ctx, second, ends))
			} else if err == nil {
				second.Report(Outcome{Reason: reason.ClientAborted}) // it was not asked after all
			}
		}
	}
}

func (c *call) launch(ctx context.Context, e Endpoint, ends chan<- *racer) *racer {
	own := *c
	own.body, own.racing = newReplay(http.NoBody, 0), true
	r := &racer{call: &own}
	ctx, r.cancel = context.WithCancel(ctx)
	c.s.copies.Go(func() {
		r.attempt = own.ask(ctx, e)
		ends <- r
	})
	return r
}

func without(all []*racer, gone *racer) []*racer {
	for i, r := range all {
		if r == gone {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	return all
}

// adopt goes on with the winner, and calls the others off.
func (c *call) adopt(winner *racer, others []*racer, ends <-chan *racer) {
	c.rec.Endpoint = winner.call.rec.Endpoint
	c.rec.Tries = winner.call.rec.Tries + len(others)
	for _, r := range others {
		r.cancel()
	}
	if len(others) == 0 {
		return
	}
	c.s.copies.Go(func() {
		for range others {
			if r := <-ends; r.attempt.response != nil {
				r.attempt.end()
				r.attempt.endpoint.Report(r.call.outcome(r.attempt))
			}
		}
	})
}
