package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// pipe reads a named pipe. That it is not there yet, or that another one takes its place, is nothing special.
func (p *pump) pipe(ctx context.Context, path string) error {
	for {
		if err := p.onePipe(ctx, path); err != nil {
			p.complain("cannot read named pipe, will try again", path, err)
		} else {
			p.said = false
		}
		if !pause(ctx) {
			return nil
		}
	}
}

// onePipe reads until ctx ends or the path leads to another pipe. Writers come and go meanwhile.
func (p *pump) onePipe(ctx context.Context, path string) error {
	f, err := openPipe(path)
	if err != nil {
		return err
	}
	opened, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	here, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { watchPath(here, path, opened, false, stop) })
	err = p.run(here, f)
	stop()
	watching.Wait()
	return errors.Join(err, f.Close())
}

// openPipe opens it for writing too, so that it has no end (fifo(7)); where that is not allowed, its end is followed by the
// next writer.
func openPipe(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrPermission) {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		return nil, errors.Join(fmt.Errorf("%s is not a named pipe", path), f.Close())
	}
	return f, nil
}
