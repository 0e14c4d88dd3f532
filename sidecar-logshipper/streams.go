package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/spool"
)

const pipeRetry = time.Second // after a named pipe that has appeared could not be read

// startStreams begins to put what comes through pipes and sockets into spools below the state directory, or below a temporary
// one that ends with the process.
func (s *service) startStreams(c *config.Config) error {
	s.streams = spool.New(spool.Config{State: stateDir(c), Limit: int64(c.Spool), OnFull: c.OnFull, Log: s.env.Log, Dropped: s.count.tail.Drop})
	if err := s.moreStreams(c); err != nil {
		s.closeStreams()
		return err
	}
	return nil
}

// moreStreams starts those that are not being read yet.
func (s *service) moreStreams(c *config.Config) error {
	names := c.Streams(s.streams.State)
	if s.streams.State == "" && len(names) > 0 {
		dir, err := temporaryDir()
		if err != nil {
			return fmt.Errorf("make spool for streams: %w (mount a volume and set --state)", err)
		}
		s.scratch, s.streams.State = dir, dir
	}
	return s.streams.Start(names)
}

// temporaryDir is in the usual place, or in the shared memory that containers have even where all else is read-only.
func temporaryDir() (string, error) {
	dir, err := os.MkdirTemp("", "logshipper-")
	if err != nil {
		dir, err = os.MkdirTemp("/dev/shm", "logshipper-")
	}
	return dir, err
}

func (s *service) closeStreams() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s.streams.Finish(ended)
	if s.scratch != "" {
		_ = os.RemoveAll(s.scratch) // nothing is in it that anybody could use
	}
}

// awaitPipes begins anew when a path that was nothing, or a file, has become a named pipe.
func (s *service) awaitPipes(ctx context.Context) {
	for {
		p, _, replaced := s.watched()
		select {
		case <-ctx.Done():
			return
		case <-replaced:
			continue
		case <-p.set.Pipes():
		}
		_, c := s.current()
		for _, name := range c.Streams("") {
			if s.streams.Reads(name) {
				continue
			}
			s.env.Log.Info("named pipe has appeared", "path", name)
			if err := s.Reload(ctx, c); err != nil {
				s.env.Log.Error("cannot read named pipe, will try again", "path", name, "error", err)
				_ = backoff.Sleep(ctx, pipeRetry) // the next look meets it again
			}
			break
		}
	}
}
