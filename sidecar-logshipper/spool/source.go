package spool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stdin is the name of the standard input.
const Stdin = "-"

const (
	socketPrefix   = "unix:"
	maxConnections = 256
	reopenAfter    = 100 * time.Millisecond
)

// IsStream says that a path of the configuration is a stream and not a glob of files: - , unix:/path, or a named pipe.
func IsStream(path string) bool {
	if path == Stdin || strings.HasPrefix(path, socketPrefix) {
		return true
	}
	st, err := os.Stat(path)
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

// pipe reads a named pipe. Writers come and go: it is opened for writing too, so that it has no end (fifo(7)); where that is
// not allowed, its end is followed by the next writer.
func (p *pump) pipe(ctx context.Context, path string) error {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		}
		if err == nil {
			err = errors.Join(p.run(ctx, f), f.Close())
		}
		if err != nil && !p.failed {
			p.failed = true
			p.log.Warn("cannot read named pipe, will try again", "path", path, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopenAfter):
		}
	}
}

// socket takes connections on a stream socket. Each line of any of them is a record; their order among each other is that of
// arrival. Anybody who sees the socket may write to it, as with /dev/log: the directory decides who does.
func (p *pump) socket(ctx context.Context, path string) error {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return errors.Join(fmt.Errorf("listen on %s: somebody else does already", path), c.Close())
	}
	_ = os.Remove(path) // what a killed process has left behind
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on socket: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return errors.Join(fmt.Errorf("listen on socket: %w", err), l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		slots <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", path, err)
		}
		running.Go(func() {
			defer func() { <-slots }()
			one := pump{spool: p.spool, log: p.log, wait: p.wait, drop: p.drop, gaveUp: p.gaveUp}
			_ = one.run(ctx, c.(*net.UnixConn)) // a connection that breaks has said what it had to say
			_ = c.Close()
		})
	}
}
