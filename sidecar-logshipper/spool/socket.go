package spool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const maxConnections = 256

// socket takes connections on a stream socket. Each line of any of them is a record; their order among each other is that of
// arrival. Anybody who sees the socket may write to it, as with /dev/log: the directory decides who does. That its directory
// is not there yet, or was emptied, is nothing special.
func (p *pump) socket(ctx context.Context, path string) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		l, opened, err := listen(path)
		if err == nil {
			p.said = false
			err = p.accept(ctx, l, path, opened, slots, &connections)
		}
		if err != nil {
			p.complain("cannot listen on socket, will try again", path, err)
		}
		if !pause(ctx) {
			return nil
		}
	}
}

func listen(path string) (*net.UnixListener, os.FileInfo, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, nil, errors.Join(fmt.Errorf("listen on %s: somebody else does already", path), c.Close())
	}
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 { // not ours to remove
			return nil, nil, fmt.Errorf("listen on %s: something that is no socket is there (remove it, or name another path)", path)
		}
		_ = os.Remove(path) // what a killed process has left behind
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false) // it may be somebody else's by then
	opened, err := os.Stat(path)
	if err := errors.Join(err, os.Chmod(path, 0o666)); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, opened, nil
}

// accept serves until ctx ends, which is nil too, or the socket is no longer at its path. Connections go on.
func (p *pump) accept(ctx context.Context, l *net.UnixListener, path string, opened os.FileInfo, slots chan struct{}, connections *sync.WaitGroup) error {
	here, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(here, func() { _ = l.Close() })
	defer unhook()
	var watching sync.WaitGroup
	watching.Go(func() { watchPath(here, path, opened, true, stop) })
	defer watching.Wait()
	defer stop()
	for {
		slots <- struct{}{}
		c, err := l.AcceptUnix()
		if err != nil {
			<-slots
			if now, err := os.Stat(path); err == nil && os.SameFile(now, opened) {
				_ = os.Remove(path)
			}
			if here.Err() != nil {
				return nil
			}
			return errors.Join(err, l.Close())
		}
		connections.Go(func() {
			defer func() { <-slots }()
			one := pump{spool: p.spool, log: p.log, wait: p.wait, drop: p.drop, gaveUp: p.gaveUp}
			_ = one.run(ctx, c) // a connection that breaks has said what it had to say
			_ = c.Close()
		})
	}
}
