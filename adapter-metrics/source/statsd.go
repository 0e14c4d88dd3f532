package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A LineDecoder takes what a listener has received.
type LineDecoder interface {
	// Decode takes one or more whole lines and keeps nothing of them. It is called
	// concurrently.
	Decode(lines []byte)
}

// A Push receives lines that an app sends by itself: StatsD or Graphite over UDP, TCP and
// unix sockets. Its sockets are bound when Listen returns, so nothing that an app sends from
// then on is lost to it.
type Push struct {
	decoder LineDecoder
	log     *slog.Logger
	parts   []part

	packets     atomic.Uint64
	bytes       atomic.Uint64
	connections atomic.Int64
	tooLong     atomic.Uint64 // lines of a stream
	turnedAway  atomic.Uint64 // connections
	lastSeen    atomic.Int64  // unix nanoseconds
	mu          sync.Mutex
	dropsBefore uint64 // of sockets that are closed
}

// part is one bound socket.
type part interface {
	// run receives until ctx ends, and then what the kernel still holds.
	run(ctx context.Context) error
	close() error
	drops() uint64 // packets that the kernel had no room for
}

// receiveBufferBytes of a UDP socket holds bursts. The kernel caps it at net.core.rmem_max.
const receiveBufferBytes = 4 << 20

// Listen binds addresses such as udp://:8125, tcp://:8125, unixgram:///run/app/statsd.sock
// and unix:///run/app/statsd.sock. It binds all or none.
func Listen(ctx context.Context, addresses []string, d LineDecoder, log *slog.Logger) (*Push, error) {
	p := &Push{decoder: d, log: log}
	for _, a := range addresses {
		b, err := p.bind(ctx, a)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: %w%s", a, err, hint(err)), p.Close())
		}
		p.parts = append(p.parts, b)
	}
	return p, nil
}

// hint is what may help against an error.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (does another container of this Pod listen there?)"
	case errors.Is(err, fs.ErrNotExist):
		return " (is the volume mounted there?)"
	case errors.Is(err, fs.ErrPermission):
		return " (choose a port above 1023, or set securityContext.fsGroup)"
	}
	return ""
}

// Addresses returns where the sockets are bound, in the order of Listen's addresses.
func (p *Push) Addresses() []net.Addr {
	var out []net.Addr
	for _, b := range p.parts {
		switch b := b.(type) {
		case *datagrams:
			out = append(out, b.addr)
		case *streams:
			out = append(out, b.listener.Addr())
		}
	}
	return out
}

func (p *Push) bind(ctx context.Context, address string) (part, error) {
	network, where, err := SplitAddress(address)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(network, "unix") {
		if err := clearStale(network, where); err != nil {
			return nil, err
		}
	}
	if network == "udp" || network == "unixgram" {
		return p.bindDatagrams(ctx, network, where)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, where)
	if err != nil {
		return nil, err
	}
	return &streams{push: p, listener: l}, openToAll(network, where)
}

// SplitAddress takes an address apart, or says what is wrong with it.
func SplitAddress(address string) (network, where string, err error) {
	network, where, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		err = errors.New("no scheme (write udp://:8125, tcp://:8125, unixgram:///PATH or unix:///PATH)")
	case network == "udp" || network == "tcp":
		var port string
		if _, port, err = net.SplitHostPort(where); err != nil {
			err = fmt.Errorf("%w (write %s://:8125)", err, network)
		} else if port != "" {
			if _, e := strconv.ParseUint(port, 10, 16); e != nil {
				err = fmt.Errorf("the port %q is no number below 65536", port)
			}
		}
	case network != "unix" && network != "unixgram":
		err = fmt.Errorf("unknown scheme %q (one of udp, tcp, unixgram, unix)", network)
	case where == "" || len(where) > maxSocketPath:
		err = fmt.Errorf("the path of a socket has 1 to %d bytes", maxSocketPath)
	}
	return network, where, err
}

// maxSocketPath is what sockaddr_un has room for, less a NUL.
const maxSocketPath = 107

func (p *Push) bindDatagrams(ctx context.Context, network, where string) (part, error) {
	c, err := (&net.ListenConfig{}).ListenPacket(ctx, network, where)
	if err != nil {
		return nil, err
	}
	d, err := newDatagrams(p, c)
	if err != nil {
		return nil, err
	}
	return d, openToAll(network, where)
}

// openToAll lets an app of any uid write to a unix socket: the helper's own differs from it.
func openToAll(network, path string) error {
	if !strings.HasPrefix(network, "unix") {
		return nil
	}
	return os.Chmod(path, 0o666)
}

// clearStale removes a socket file that a killed predecessor has left. One that somebody
// still answers on is left alone, and so is anything that is no socket.
func clearStale(network, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and no socket (choose another path)", path)
	}
	if c, err := net.DialTimeout(network, path, time.Second); err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another process", path), c.Close())
	}
	return os.Remove(path)
}

// Run receives until ctx ends and what the kernel holds by then is decoded. It closes the
// sockets.
func (p *Push) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(p.parts))
	for i, b := range p.parts {
		wg.Go(func() { errs[i] = b.run(ctx) })
	}
	wg.Wait()
	return cmp.Or(errors.Join(errs...), p.Close())
}

// Close closes the sockets. It may be called again.
func (p *Push) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, b := range p.parts {
		p.dropsBefore += b.drops()
		if err := b.close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	p.parts = nil
	return errors.Join(errs...)
}

// LastActivity is when something was received last; zero when nothing was.
func (p *Push) LastActivity() time.Time {
	if n := p.lastSeen.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// A PushCount is what a Push has received and what it has not.
type PushCount struct {
	Packets, Bytes       uint64 // datagrams, or reads of a stream
	KernelDrops          uint64 // datagrams that the kernel had no room for
	LinesTooLong         uint64 // of a stream, discarded
	ConnectionsRefused   uint64 // above the bound
	Connections, Sockets int64  // open now
}

// Count returns what was received so far.
func (p *Push) Count() PushCount {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := PushCount{
		Packets: p.packets.Load(), Bytes: p.bytes.Load(), KernelDrops: p.dropsBefore,
		LinesTooLong: p.tooLong.Load(), ConnectionsRefused: p.turnedAway.Load(),
		Connections: p.connections.Load(), Sockets: int64(len(p.parts)),
	}
	for _, b := range p.parts {
		c.KernelDrops += b.drops()
	}
	return c
}

func (p *Push) received(packets, size int, now time.Time) {
	p.packets.Add(uint64(packets))
	p.bytes.Add(uint64(size))
	p.lastSeen.Store(now.UnixNano())
}
