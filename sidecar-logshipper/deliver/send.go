package deliver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

const (
	retryFirst  = 250 * time.Millisecond
	retryMost   = 30 * time.Second
	smallestCut = 16 << 10 // input bytes to which 413 makes batches shrink
)

// sendBatches delivers batches one after the other, so that acknowledgements come in the order of reading.
func (l *Lane) sendBatches(ctx context.Context) {
	for b := range l.full {
		b.body, l.spare = l.spare, nil
		l.encode(b)
		if l.Known != nil && l.Known(ctx, b.segments) != nil || l.deliver(ctx, b) != nil {
			continue // the process ends: what is left is read again by the next one
		}
		l.spare, b.body = b.body, nil
		l.acknowledge(b)
	}
}

// encode makes the body of a batch.
func (l *Lane) encode(b *batch) {
	dropped := l.enc.dropped
	b.body, b.records = l.enc.encode(slices.Grow(b.body[:0], len(b.raw)+len(b.raw)/2), b.pieces)
	l.count.Read.Add(float64(b.records + l.enc.dropped - dropped))
	l.count.Shaped.Add(float64(b.records))
}

// acknowledge moves the positions over a batch and gives its memory back.
func (l *Lane) acknowledge(b *batch) {
	state := ""
	if r, ok := l.Out.(output.Resumable); ok {
		state = r.State()
	}
	l.Set.Acknowledge(l.Index, b.segments, state)
	l.health.progress(time.Now())
	l.recycle(b)
}

func (l *Lane) recycle(b *batch) {
	l.Memory.Release(b.budget)
	l.count.InFlight.Sub(float64(b.budget))
	l.held.Add(-b.budget)
	if cap(b.raw) > l.Batching.Bytes+tail.Margin {
		b.raw = nil
	}
	b.reset()
	l.idle <- b
}

// deliver returns nil when every record of the batch was taken, or refused for good and buried.
func (l *Lane) deliver(ctx context.Context, b *batch) error {
	if b.records == 0 {
		return ctx.Err()
	}
	return l.resolve(ctx, b.pieces, l.send(ctx, wire(b.body, b.records, b.pieces)), b.records)
}

// again delivers a part of a batch that was refused as a whole.
func (l *Lane) again(ctx context.Context, pieces []piece) error {
	records, err := l.resend(ctx, pieces)
	return l.resolve(ctx, pieces, err, records)
}

// resend encodes a part of a batch and makes attempts as send does.
func (l *Lane) resend(ctx context.Context, pieces []piece) (records int, err error) {
	if len(pieces) == 0 {
		return 0, nil
	}
	l.spare, records = l.enc.encode(l.spare[:0], pieces)
	if records == 0 {
		return 0, nil
	}
	return records, l.send(ctx, wire(l.spare, records, pieces))
}

func wire(body []byte, records int, pieces []piece) *output.Batch {
	first := &pieces[0].chunk
	return &output.Batch{Body: body, Records: records, FirstID: first.Source.ID(first.Offset)}
}

// resolve acts on a final answer.
func (l *Lane) resolve(ctx context.Context, pieces []piece, err error, records int) error {
	wait := backoff.New(retryFirst, retryMost)
	for {
		partial, ok := errors.AsType[*output.Partial](err)
		if !ok {
			break
		}
		if pieces, err = l.partly(ctx, pieces, partial, wait); err == nil {
			records, err = l.resend(ctx, pieces)
		}
	}
	var large *output.TooLarge
	var rejected *output.Rejected
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large) && records > 1: // one says nothing about the others
		l.limit.Store(max(smallestCut, min(l.limit.Load(), int64(inputBytes(pieces))/2)))
	case large != nil:
	case !errors.As(err, &rejected):
		return err
	}
	if records == 1 {
		one, _ := single(pieces, 0)
		return l.bury(ctx, one, err.Error())
	}
	left, right := halve(pieces)
	if err := l.again(ctx, left); err != nil {
		return err
	}
	return l.again(ctx, right)
}

// partly buries what was refused record by record and returns what is to be sent again. It waits first, unless something was
// refused: then the next answer is another one.
func (l *Lane) partly(ctx context.Context, pieces []piece, p *output.Partial, wait *backoff.Backoff) (retry []piece, err error) {
	for _, item := range p.Rejected {
		if one, ok := single(pieces, item.Index); ok {
			if err := l.bury(ctx, one, item.Reason); err != nil {
				return nil, err
			}
		}
	}
	for _, i := range p.Retry {
		if one, ok := single(pieces, i); ok {
			retry = append(retry, one)
		}
	}
	switch {
	case len(retry) == 0:
		return nil, nil
	case len(p.Rejected) > 0:
		l.count.Retries.WithLabelValues(l.Name, reasonOf(p)).Inc()
		return retry, nil
	}
	return retry, backoff.Sleep(ctx, l.retryAfter(p, wait))
}

// send makes attempts until the answer is final: nil, too large, rejected, partial, or the end of ctx.
func (l *Lane) send(ctx context.Context, b *output.Batch) error {
	err := l.attempt(ctx, b, func() error { return l.Out.Send(ctx, b) }, backoff.Sleep)
	if err == nil {
		l.took(b)
	}
	return err
}

// took counts what the output has acknowledged.
func (l *Lane) took(b *output.Batch) {
	l.count.Records.WithLabelValues(l.Name).Add(float64(b.Records))
	l.count.Bytes.WithLabelValues(l.Name).Add(float64(len(b.Body)))
}

// attempt tries, with sleeps between, until the answer is final.
func (l *Lane) attempt(ctx context.Context, b *output.Batch, try func() error, sleep func(context.Context, time.Duration) error) error {
	wait := backoff.New(retryFirst, retryMost)
	for {
		err := try()
		if err == nil {
			l.health.succeeded()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final(err) {
			l.health.succeeded() // it answers
			var partial *output.Partial
			if errors.As(err, &partial) {
				l.count.Records.WithLabelValues(l.Name).Add(float64(b.Records - len(partial.Rejected) - len(partial.Retry)))
			}
			return err
		}
		if err := sleep(ctx, l.retryAfter(err, wait)); err != nil {
			return err
		}
	}
}

// longestRetryAfter is how much of a Retry-After is believed: a date that somebody got wrong must not end the delivery.
const longestRetryAfter = 10 * time.Minute

// retryAfter notes a failed attempt and says when to make the next.
func (l *Lane) retryAfter(err error, wait *backoff.Backoff) time.Duration {
	l.count.Retries.WithLabelValues(l.Name, reasonOf(err)).Inc()
	l.complain(err)
	if retryable, ok := errors.AsType[*output.Retryable](err); ok && retryable.After > 0 {
		return min(retryable.After, longestRetryAfter)
	}
	return wait.Next()
}

func (l *Lane) complain(err error) {
	l.health.failed(err, time.Now())
	l.Log.Warn("output does not take a batch, will try again", "output", l.Name, "reason", reasonOf(err), "error", err)
}

func reasonOf(err error) string {
	if retryable, ok := errors.AsType[*output.Retryable](err); ok {
		return retryable.Reason
	}
	if _, ok := errors.AsType[*output.Partial](err); ok {
		return "partial"
	}
	return "network"
}

func final(err error) bool {
	var (
		large    *output.TooLarge
		rejected *output.Rejected
		partial  *output.Partial
	)
	return errors.As(err, &large) || errors.As(err, &rejected) || errors.As(err, &partial)
}

// bury writes the record of a piece to the dead letters.
func (l *Lane) bury(ctx context.Context, p piece, reason string) error {
	wait := backoff.New(retryFirst, retryMost)
	var rec record.Record
	rec.Reset(&p.chunk, 0, len(p.chunk.Data))
	l.count.drop("rejected", 1, len(p.chunk.Data))
	for {
		err := l.Dead.Write(l.Name, reason, &rec)
		if err == nil {
			l.Log.Error("output refuses a record for good, "+l.Dead.fate(), "output", l.Name, "reason", reason, "file", rec.Source.Path, "offset", rec.Offset)
			l.health.succeeded()
			l.health.progress(time.Now()) // many of them take their time
			return nil
		}
		l.health.failed(err, time.Now())
		l.Log.Error("cannot write dead letter, will try again", "output", l.Name, "error", err)
		if err := backoff.Sleep(ctx, wait.Next()); err != nil {
			return err
		}
	}
}
