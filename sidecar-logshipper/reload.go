package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
)

const reloadGrace = 5 * time.Second // for requests under way when the configuration changes

// Reload implements kit.Service. The new pipeline continues where the old one was acknowledged.
func (s *service) Reload(_ context.Context, c *config.Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.draining {
		return errors.New("reload: the helper is about to end")
	}
	old, was := s.current()
	if stateDir(c) != stateDir(was) {
		return errors.New("reload: state cannot change while running (restart the helper)")
	}
	if err := tryOpen(c, s.env); err != nil {
		return err
	}
	if err := s.moreStreams(c); err != nil {
		return err
	}
	old.stop(reloadGrace)
	s.saving.Lock()
	defer s.saving.Unlock()
	old.set.SaveFailed() // so that the snapshot is complete
	state := old.set.Snapshot()
	if err := s.store.Save(state); err != nil { // the IDs of what is sent next are taken for saved
		s.env.Log.Error("cannot save positions, will try again", "error", err)
	}
	from := past{state, old.set}
	pipe, err := newPipeline(c, s.env, s.streams.State, from, s.count, s.tap)
	if err != nil {
		var again error
		if pipe, again = newPipeline(was, s.env, s.streams.State, from, s.count, s.tap); again != nil {
			s.fail(fmt.Errorf("reload: neither the new configuration starts nor the one before: %w", errors.Join(err, again)))
			return err
		}
		c = was
	}
	s.replace(pipe, c)
	old.set.Close()
	return err
}

// fail ends the helper: the next process reads on from the positions that are saved.
func (s *service) fail(err error) {
	s.endWith(err)
	close(s.broken)
}

func (s *service) replace(p *pipeline, c *config.Config) {
	s.mu.Lock()
	s.pipe, s.config = p, c
	close(s.replaced)
	s.replaced = make(chan struct{})
	s.mu.Unlock()
}

// tryOpen opens the outputs of a configuration and closes them again.
func tryOpen(c *config.Config, env kit.Env) error {
	p := &pipeline{}
	err := p.open(c, env)
	p.closeOutputs()
	return err
}
