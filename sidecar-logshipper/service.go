package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/deliver"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/spool"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

const saveEvery = time.Second

// service is the running shipper.
type service struct {
	env   kit.Env
	store *checkpoint.Store
	count counters
	tap   *deliver.Tap

	streams *spool.Streams
	scratch string // temporary directory of their spools, "" when they are in the state directory

	mu     sync.Mutex
	config *config.Config
	pipe   *pipeline

	saving    sync.Mutex
	reloading sync.Mutex
	draining  bool // under reloading

	done     chan struct{}
	broken   chan struct{} // closed when no pipeline runs any more
	failed   error         // what the helper ends with, under mu
	replaced chan struct{} // closed and replaced with pipe
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// start is kit's Start: it continues from the checkpoint and returns when the files are being watched.
func start(_ context.Context, c *config.Config, env kit.Env) (kit.Service[config.Config], error) {
	store, err := checkpoint.Open(stateDir(c))
	if err != nil {
		return nil, err
	}
	warnOfState(c, env)
	from, err := store.Load()
	if err != nil {
		env.Log.Error("checkpoint is damaged, continuing from the one before", "error", err)
	}
	s := &service{env: env, store: store, config: c, tap: deliver.NewTap(), done: make(chan struct{}), broken: make(chan struct{}), replaced: make(chan struct{})}
	s.count.tail = tail.NewCounters(env.Metrics)
	s.count.deliver = deliver.NewCounters(env.Metrics, s.count.tail.DroppedRecords, s.count.tail.DroppedBytes)
	if err := s.startStreams(c); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	s.pipe, err = newPipeline(c, env, s.streams.State, past{state: from}, s.count, s.tap)
	if err != nil {
		s.closeStreams()
		return nil, errors.Join(err, store.Close())
	}
	_ = s.save() // logged there, and tried again
	env.Metrics.MustRegister(newGauges(s))
	env.Admin.Handle("GET /tail", s.tap)
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { s.saveRegularly(ctx) })
	s.running.Go(func() { s.endByItself(ctx) })
	s.running.Go(func() { s.awaitPipes(ctx) })
	return s, nil
}

// warnOfState says what a state that does not survive costs.
func warnOfState(c *config.Config, env kit.Env) {
	dir := stateDir(c)
	if dir == "" {
		if !c.Once {
			env.Log.Warn("positions are kept in memory: after a restart every file is read again (mount a volume and set --state)")
		}
		return
	}
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) == nil && uint32(st.Type) == unix.OVERLAYFS_SUPER_MAGIC {
		env.Log.Warn("the state directory is on the container's own file system and dies with it (mount a volume there)", "state", dir)
	}
}

func (s *service) current() (*pipeline, *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pipe, s.config
}

// watched is current, with a channel that is closed when others have taken their place.
func (s *service) watched() (*pipeline, *config.Config, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pipe, s.config, s.replaced
}

// saveRegularly writes the checkpoint once a second while it changes. While nothing does, no timer runs.
func (s *service) saveRegularly(ctx context.Context) {
	var due <-chan time.Time
	for {
		p, _, replaced := s.watched()
		select {
		case <-ctx.Done():
			return
		case <-replaced:
		case <-p.set.Soiled():
			if due == nil {
				due = time.After(saveEvery)
			}
		case <-p.set.Changed():
			_ = s.save()
		case <-due:
			due = nil
			_ = s.save() // logged there, and tried again
		}
	}
}

func (s *service) save() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	p, _ := s.current()
	state := p.set.Snapshot()
	if state == nil {
		return nil
	}
	if err := s.store.Save(state); err != nil {
		p.set.SaveFailed()
		s.env.Log.Error("cannot save positions, will try again", "error", err)
		return err
	}
	p.set.Saved()
	s.streams.Release(state.Delivered)
	return nil
}

// Drain implements kit.Service: what is worth most is saved first, then the app gets its time to fall silent.
func (s *service) Drain(ctx context.Context, quiet time.Duration) error {
	if s.Err() != nil {
		return nil // nothing is left that could deliver
	}
	s.reloading.Lock()
	s.draining = true
	s.reloading.Unlock()
	_ = s.save() // logged there, and saved again below
	p, c := s.current()
	if !c.Once {
		waiting, cancel := context.WithDeadline(ctx, halfway(ctx))
		_ = life.WaitQuiet(waiting, quiet, p.set.Activity) // an app that is never quiet must not cost the delivery its time
		cancel()
	}
	err := s.finish(ctx, p)
	_ = s.save() // Close says what is wrong
	if left := p.backlog(); left > 0 && err != nil {
		return &life.Unfinished{Left: left, Unit: "bytes"}
	}
	return nil
}

// finish puts what is in the streams now into their spools, then delivers what is in the files.
func (s *service) finish(ctx context.Context, p *pipeline) error {
	taking, cancel := context.WithDeadline(ctx, halfway(ctx)) // a writer that never stops must not cost the delivery its time
	defer cancel()
	s.streams.Finish(taking)
	return p.finish(ctx)
}

func halfway(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(time.Hour)
	}
	return time.Now().Add(time.Until(deadline) / 2)
}

// Close implements kit.Service.
func (s *service) Close() error {
	s.stop()
	s.running.Wait()
	defer s.closeStreams()
	p, _ := s.current()
	p.stop(0)
	defer p.set.Close()
	return errors.Join(s.save(), s.store.Close())
}

// Done implements kit.Service.
func (s *service) Done() <-chan struct{} { return s.done }

// endWith is the error that the helper ends with.
func (s *service) endWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// Err implements kit.Service.
func (s *service) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Live makes /livez fail when an output has stopped moving.
func (s *service) Live() error {
	p, _ := s.current()
	for _, l := range p.lanes {
		if err := l.Live(time.Now()); err != nil {
			return err
		}
	}
	return nil
}
