package source

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams reads a UDP or unixgram socket.
type datagrams struct {
	push *Push
	conn net.PacketConn
	raw  syscall.RawConn
}

const (
	batchPackets = 64
	packetBytes  = 64 << 10 // the most that UDP can carry
)

// mmsghdr is struct mmsghdr of recvmmsg(2). Its size is padded to the alignment of Msghdr.
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

// batch is what one recvmmsg fills. Senders' addresses are not asked for, so a batch
// costs one system call and no allocation. Memory that no packet reaches is never touched.
type batch struct {
	heads [batchPackets]mmsghdr
	vecs  [batchPackets]unix.Iovec
	data  []byte
}

func newBatch() *batch {
	b := &batch{data: make([]byte, batchPackets*packetBytes)}
	for i := range b.heads {
		b.vecs[i].Base = &b.data[i*packetBytes]
		b.vecs[i].SetLen(packetBytes)
		b.heads[i].head.Iov = &b.vecs[i]
		b.heads[i].head.SetIovlen(1)
	}
	return b
}

// receive takes what is there, without waiting.
func (b *batch) receive(fd uintptr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.heads[0])), batchPackets, unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(b)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (b *batch) packet(i int) []byte {
	return b.data[i*packetBytes:][:b.heads[i].size]
}

func (d *datagrams) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b := newBatch()
	// The closure is made once: it would be allocated for each batch otherwise.
	var n int
	var failed error
	read := func(fd uintptr) bool {
		n, failed = b.receive(fd)
		return !errors.Is(failed, unix.EAGAIN)
	}
	for {
		err := d.raw.Read(read)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return d.rest(b)
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		case failed != nil && !errors.Is(failed, unix.EINTR):
			return os.NewSyscallError("recvmmsg", failed)
		}
		d.decode(b, n)
	}
}

// rest decodes what arrived before the end.
func (d *datagrams) rest(b *batch) error {
	return d.raw.Control(func(fd uintptr) {
		for {
			n, err := b.receive(fd)
			if err != nil || n == 0 {
				return
			}
			d.decode(b, n)
		}
	})
}

func (d *datagrams) decode(b *batch, n int) {
	if n <= 0 {
		return
	}
	size := 0
	for i := range n {
		p := b.packet(i)
		size += len(p)
		d.push.decoder.Decode(p)
	}
	d.push.received(n, size)
}

func (d *datagrams) close() error { return d.conn.Close() }

// drops asks the kernel how many packets found no room in the socket's buffer: the counter
// that SO_RXQ_OVFL attaches to packets, read whenever it is wanted, so that it is exact even
// when no packet follows the lost ones. A unixgram sender waits instead; nothing drops.
func (d *datagrams) drops() uint64 {
	const dropsField = unix.SK_MEMINFO_DROPS
	var info [unix.SK_MEMINFO_VARS * 4]byte
	var errno syscall.Errno = unix.EBADF
	_ = d.raw.Control(func(fd uintptr) {
		size := uint32(len(info))
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if errno != 0 {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(info[dropsField*4:]))
}
