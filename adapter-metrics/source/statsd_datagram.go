package source

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams reads a UDP or unixgram socket.
//
// Waking up for a packet costs more than the packet, so it does not wait for each one.
// While it is quiet it waits in the system call and not in Go's poller, which would need three system
// calls for a packet that comes alone. While packets come fast, those of UDP gather in the socket's
// buffer; a unixgram socket holds only ten (net.unix.max_dgram_qlen) and then makes the sender wait,
// so there it looks again for some microseconds before it sleeps.
type datagrams struct {
	push    *Push
	addr    net.Addr
	gathers bool

	mu sync.Mutex // guards the life of fd, not its use
	fd int        // -1 when closed
}

const (
	batchPackets = 64
	packetBytes  = 64 << 10 // the most that UDP can carry

	// gather is how long packets of UDP gather when they come less than busy apart. Go's timers make it
	// about a millisecond; 200 packets at 200 000 a second, a third of what even an unprivileged
	// socket can hold.
	gather = 500 * time.Microsecond
	busy   = time.Millisecond

	// linger is how long a unixgram socket is looked at again when packets came less than that apart.
	linger = 20 * time.Microsecond
)

// mmsghdr is struct mmsghdr of recvmmsg(2). Its size is padded to the alignment of Msghdr.
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

// batch is what one recvmmsg fills. Senders' addresses are not asked for, so a batch
// costs one system call and no allocation. Memory that no packet reaches is never touched; it lies outside
// of Go's heap, whose collector would take its four megabytes for use and let as much garbage lie.
type batch struct {
	heads [batchPackets]mmsghdr
	vecs  [batchPackets]unix.Iovec
	data  []byte
}

func newBatch() (*batch, error) {
	data, err := unix.Mmap(-1, 0, batchPackets*packetBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	_ = unix.Madvise(data, unix.MADV_NOHUGEPAGE) // or the first byte of each packet could cost two megabytes
	b := &batch{data: data}
	for i := range b.heads {
		b.vecs[i].Base = &b.data[i*packetBytes]
		b.vecs[i].SetLen(packetBytes)
		b.heads[i].head.Iov = &b.vecs[i]
		b.heads[i].head.SetIovlen(1)
	}
	return b, nil
}

// free must be the last use of the batch and of its packets.
func (b *batch) free() { _ = unix.Munmap(b.data) }

// receive takes what is there. With unix.MSG_WAITFORONE it waits for the first packet, with
// unix.MSG_DONTWAIT for none.
func (b *batch) receive(fd, flags int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.heads[0])), batchPackets, uintptr(flags), 0, 0)
	runtime.KeepAlive(b)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (b *batch) packet(i int) []byte {
	return b.data[i*packetBytes:][:b.heads[i].size]
}

// newDatagrams takes over the socket of c, which it closes: a copy of the file descriptor that
// Go's poller does not know.
func newDatagrams(p *Push, c net.PacketConn) (*datagrams, error) {
	d := &datagrams{push: p, addr: c.LocalAddr(), gathers: c.LocalAddr().Network() == "udp", fd: -1}
	sys, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.Join(errors.New("socket has no file descriptor"), c.Close())
	}
	f, err := sys.File()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	raw, err := f.SyscallConn()
	if err == nil {
		ctlErr := raw.Control(func(fd uintptr) {
			d.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		})
		err = errors.Join(err, ctlErr)
	}
	if err = errors.Join(err, f.Close(), c.Close()); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(d.fd, false); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), d.close())
	}
	// A smaller buffer than asked for only costs bursts, and drops are counted.
	if unix.SetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBufferBytes) != nil {
		_ = unix.SetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBufferBytes)
	}
	return d, nil
}

func (d *datagrams) run(ctx context.Context) error {
	// Shutting down wakes the system call and keeps what is queued. On a socket without a peer it also
	// reports ENOTCONN.
	stop := context.AfterFunc(ctx, func() { d.locked(func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RD) }) })
	defer stop()
	b, err := newBatch()
	if err != nil {
		return err
	}
	defer b.free()
	var last time.Time // of the packet before
	for {
		n, err := b.receive(d.fd, unix.MSG_WAITFORONE)
		if ctx.Err() != nil && (err != nil || b.heads[0].size == 0) {
			return nil // woken by the end, with nothing queued
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("recvmmsg", err)
		}
		now := time.Now()
		d.decode(b, n, now)
		switch gap := now.Sub(last); {
		case d.gathers && gap < busy:
			now = d.gathered(ctx, b)
		case !d.gathers && gap < linger:
			now = d.lingered(b, now)
		}
		last = now
	}
}

// gathered takes packets once in a while, for as long as there are some each time. It returns when
// there were some last.
func (d *datagrams) gathered(ctx context.Context, b *batch) time.Time {
	last := time.Now()
	for ctx.Err() == nil {
		time.Sleep(gather)
		now := time.Now()
		any := false
		for {
			n, err := b.receive(d.fd, unix.MSG_DONTWAIT)
			if err != nil || n == 0 {
				break
			}
			any = true
			d.decode(b, n, now)
			if n < batchPackets || ctx.Err() != nil {
				break
			}
		}
		if !any {
			break
		}
		last = now
	}
	return last
}

// lingered looks for packets until none has come for a moment. It returns when the last one came.
func (d *datagrams) lingered(b *batch, last time.Time) time.Time {
	for {
		n, err := b.receive(d.fd, unix.MSG_DONTWAIT)
		now := time.Now()
		if err != nil || n == 0 {
			if now.Sub(last) > linger {
				return last
			}
			continue
		}
		if b.heads[0].size == 0 { // shut down
			return last
		}
		d.decode(b, n, now)
		last = now
	}
}

func (d *datagrams) decode(b *batch, n int, now time.Time) {
	size := 0
	for i := range n {
		if p := b.packet(i); len(p) > 0 {
			size += len(p)
			d.push.decoder.Decode(p)
		}
	}
	if n > 0 {
		d.push.received(n, size, now)
	}
}

// locked calls do with the file descriptor unless it is closed.
func (d *datagrams) locked(do func(fd int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd >= 0 {
		do(d.fd)
	}
}

// close must not come before run has returned.
func (d *datagrams) close() (err error) {
	d.locked(func(fd int) { err, d.fd = unix.Close(fd), -1 })
	return err
}

// drops asks the kernel how many packets found no room in the socket's buffer: the counter
// that SO_RXQ_OVFL attaches to packets, read whenever it is wanted, so that it is exact even
// when no packet follows the lost ones. A unixgram sender waits instead; nothing drops.
func (d *datagrams) drops() (n uint64) {
	var info [unix.SK_MEMINFO_VARS * 4]byte
	d.locked(func(fd int) {
		size := uint32(len(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			n = uint64(binary.NativeEndian.Uint32(info[unix.SK_MEMINFO_DROPS*4:]))
		}
	})
	return n
}
