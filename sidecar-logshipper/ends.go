package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
)

const untilPoll = 200 * time.Millisecond

// endByItself closes done when the work is over: --once, --until-file, the end of standard input. Each configuration decides
// anew.
func (s *service) endByItself(ctx context.Context) {
	for {
		p, c, replaced := s.watched()
		era, end := context.WithCancel(ctx)
		unlink := context.AfterFunc(p.read, end) // a reload stops the pipeline
		over := s.awaitEnd(era, p, c)
		unlink()
		end()
		if over {
			close(s.done)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-replaced:
		case <-s.broken:
			close(s.done)
			return
		}
	}
}

// awaitEnd says that there is nothing left to do, or returns false when ctx ends.
func (s *service) awaitEnd(ctx context.Context, p *pipeline, c *config.Config) bool {
	switch {
	case c.Once:
		if s.streams.Ended(ctx) != nil || s.finish(ctx, p) != nil {
			return false
		}
		if err := p.set.Unread(); err != nil { // nobody will come back for it
			s.endWith(fmt.Errorf("not read: %w", err))
		}
		return true
	case c.UntilFile != "":
		return appears(ctx, c.UntilFile)
	case c.OnlyStdin():
		return s.streams.Ended(ctx) == nil
	}
	<-ctx.Done()
	return false
}

// appears waits for a file.
func appears(ctx context.Context, path string) bool {
	tick := time.NewTicker(untilPoll)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
