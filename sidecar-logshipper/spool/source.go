package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stdin is the name of the standard input.
const Stdin = "-"

const (
	socketPrefix = "unix:"
	reopenAfter  = 100 * time.Millisecond
	lookEvery    = time.Second // whether a path still leads to what is open
)

// IsStream says that a path of the configuration is a stream and not a glob of files: - , unix:/path, a named pipe, or one
// that is away for now and has left a spool below the state directory.
func IsStream(path, state string) bool {
	if path == Stdin || strings.HasPrefix(path, socketPrefix) {
		return true
	}
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) && state != "" {
		_, err = os.Stat(Dir(state, path))
		return err == nil
	}
	return err == nil && st.Mode()&os.ModeNamedPipe != 0
}

// listen reads a stream by its name until it has ended or ctx has.
func (p *pump) listen(ctx context.Context, name string) error {
	switch {
	case name == Stdin:
		in, err := openStdin()
		if err != nil {
			return fmt.Errorf("open stdin: %w", err)
		}
		defer in.Close()
		return p.run(ctx, in)
	case strings.HasPrefix(name, socketPrefix):
		return p.socket(ctx, strings.TrimPrefix(name, socketPrefix))
	default:
		return p.pipe(ctx, name)
	}
}

// complain says once that a stream cannot be had for now.
func (p *pump) complain(msg, path string, err error) {
	if !p.said {
		p.said = true
		p.log.Warn(msg, "path", path, "error", err)
	}
}

// pause waits between two attempts and says whether there is to be another one.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(reopenAfter):
		return true
	}
}

// watchPath calls gone when path leads to something else than opened, and returns when ctx ends.
func watchPath(ctx context.Context, path string, opened os.FileInfo, missing bool, gone func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := os.Stat(path)
		if err == nil && !os.SameFile(now, opened) || missing && errors.Is(err, os.ErrNotExist) {
			gone()
			return
		}
	}
}

// openStdin opens standard input so that a read can be interrupted. The process that started us may share the description
// of what it gave us, so it is opened anew rather than switched to non-blocking.
func openStdin() (reader, error) {
	st, err := os.Stdin.Stat()
	if err != nil || st.Mode().IsRegular() { // never blocks, and is read on from where it stands
		return blocking{os.Stdin}, nil
	}
	if f, err := os.OpenFile("/proc/self/fd/0", os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		return f, nil
	}
	fd, err := unix.Dup(0) // a socket cannot be opened anew
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "stdin"), nil
}

// blocking is a file whose reads return by themselves.
type blocking struct{ *os.File }

func (blocking) SetReadDeadline(time.Time) error { return nil }
func (blocking) Close() error                    { return nil }
