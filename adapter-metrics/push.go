package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
)

// listener is one bound address. It outlives the rules of its source: a reload gives it another decoder.
type listener struct {
	*source.Push
	address string
	relay   *relay
	stop    context.CancelFunc
	ended   sync.WaitGroup
	failed  atomic.Pointer[error] // it ended, and nobody wanted it to
}

// relay hands lines to the decoder of the day. Between pause and resume lines wait.
type relay struct {
	mu    sync.RWMutex
	to    source.LineDecoder
	input tap
}

// Decode implements source.LineDecoder.
func (r *relay) Decode(lines []byte) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.input.take(lines)
	r.to.Decode(lines)
}

// pause returns when the decoder has taken its last line. resume must follow.
func (r *relay) pause() { r.mu.Lock() }

func (r *relay) resume(to source.LineDecoder) {
	r.to = to
	r.mu.Unlock()
}

// timed hands the lines of a log on and remembers when, and why there are none.
type timed struct {
	to    source.LineDecoder
	src   *series.Source
	log   *slog.Logger
	last  atomic.Int64          // Unix nanoseconds
	why   atomic.Pointer[error] // nil: its files can be read
	input tap
}

// Decode implements source.Lines.
func (t *timed) Decode(lines []byte) {
	t.last.Store(time.Now().UnixNano())
	t.input.take(lines)
	t.to.Decode(lines)
}

// Unreadable implements source.Lines. That a log does not exist yet is a normal state.
func (t *timed) Unreadable(why error) {
	if why == nil {
		t.why.Store(nil)
		return
	}
	hint := ""
	if errors.Is(why, fs.ErrPermission) {
		hint = " (set securityContext.fsGroup, or run as the app's uid)"
	}
	why = fmt.Errorf("%w%s", why, hint)
	if t.why.Store(&why); errors.Is(why, fs.ErrNotExist) {
		return
	}
	t.src.Problem("unreadable", 1)
	t.log.Warn("log not readable", "error", why)
}

// LastActivity is when the last line came, zero for never.
func (t *timed) LastActivity() time.Time {
	if n := t.last.Load(); n > 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// state is what the status page says of the log.
func (t *timed) state() (word string, at time.Time, why string) {
	switch e := t.why.Load(); {
	case e == nil:
		return "following", t.LastActivity(), ""
	case errors.Is(*e, fs.ErrNotExist):
		return "absent", t.LastActivity(), (*e).Error()
	default:
		return "unreadable", t.LastActivity(), (*e).Error()
	}
}

// listen binds an address. Nothing is received until run, only kept by the kernel.
func (p *pipeline) listen(address string) (*listener, error) {
	l := &listener{address: address, relay: &relay{}}
	push, err := source.Listen(p.ctx, []string{address}, l.relay, p.env.Log)
	if err != nil {
		return nil, err
	}
	l.Push = push
	l.relay.pause()
	return l, nil
}

// run starts to receive, until ctx ends or shut.
func (l *listener) run(ctx context.Context, log *slog.Logger) {
	ctx, l.stop = context.WithCancel(ctx)
	l.ended.Go(func() {
		if err := l.Run(ctx); err != nil && ctx.Err() == nil {
			err = fmt.Errorf("receive on %s: %w", l.address, err)
			l.failed.Store(&err)
			log.Error("listener stopped", "error", err)
		}
	})
}

// shut ends run and returns when the last line that the kernel held has been decoded.
func (l *listener) shut() {
	l.stop()
	l.ended.Wait()
}

// inherit lets a source that gets lines go on with the series of the one before it that its rules would make again, and with
// the positions in its files.
func (r *running) inherit(old *running) bool {
	switch now := r.decoder.(type) {
	case *decode.StatsD:
		if before, ok := old.decoder.(*decode.StatsD); ok {
			now.Adopt(before)
			return true
		}
	case *decode.Graphite:
		if before, ok := old.decoder.(*decode.Graphite); ok {
			now.Adopt(before)
			return true
		}
	case *decode.Log:
		if before, ok := old.decoder.(*decode.Log); ok {
			now.Adopt(before)
			r.follower, old.follower = old.follower, nil
			return true
		}
	}
	return false
}

// listener is the one that is bound to address.
func (s snapshot) listener(address string) *listener {
	for _, r := range s {
		for _, l := range r.ears {
			if l != nil && l.address == address {
				return l
			}
		}
	}
	return nil
}

// pushes are all sources that push, for their metrics.
func (p *pipeline) pushes() []source.NamedPush {
	var out []source.NamedPush
	for _, r := range *p.now.Load() {
		if len(r.ears) == 0 {
			continue
		}
		n := source.NamedPush{Name: r.config.Name, Lines: r.decoder.Lines}
		for _, l := range r.ears {
			n.Pushes = append(n.Pushes, l.Push)
		}
		out = append(out, n)
	}
	return out
}
