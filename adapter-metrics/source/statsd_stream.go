package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// streams reads the connections of a TCP or unix listener: lines, or, as DogStatsD clients do on
// unix streams, packets with their length in four bytes, little endian, before them.
type streams struct {
	push     *Push
	listener net.Listener
}

const (
	maxConnections = 256
	streamBytes    = 64 << 10 // the longest line, or packet
)

func (s *streams) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // out of file descriptors, or a client that left at once
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		if s.push.connections.Add(1) > maxConnections {
			s.push.connections.Add(-1)
			s.push.turnedAway.Add(1)
			_ = c.Close()
			continue
		}
		wg.Go(func() {
			defer s.push.connections.Add(-1)
			s.serve(ctx, c)
		})
	}
}

func (s *streams) close() error  { return s.listener.Close() }
func (s *streams) drops() uint64 { return 0 }

// serve reads one connection to its end. When ctx ends it still takes what has arrived.
func (s *streams) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) })
	defer stop()
	buf := make([]byte, streamBytes)
	n, err := io.ReadAtLeast(c, buf, 4)
	if _, tcp := c.(*net.TCPConn); !tcp && n >= 4 && buf[3] == 0 { // no text has a NUL there
		s.framed(c, buf, n)
		return
	}
	s.lines(c, buf, n, err)
}

// lines decodes up to the last line feed and keeps the rest for the next read. n bytes of buf
// have been read, with err.
func (s *streams) lines(c net.Conn, buf []byte, n int, err error) {
	skipping := false // the rest of a line that was too long
	have := 0
	var last time.Time // of the read before
	for {
		have += n
		now := time.Now()
		if n > 0 {
			s.push.received(1, n, now)
		}
		used := bytes.LastIndexByte(buf[:have], '\n') + 1
		if err != nil {
			used = have // the last line needs no line feed
		}
		lines := buf[:used]
		if skipping && used > 0 {
			_, lines, _ = bytes.Cut(lines, []byte{'\n'})
			skipping = false
		}
		s.push.decoder.Decode(lines)
		have = copy(buf, buf[used:have])
		if err != nil {
			return
		}
		if have == len(buf) {
			if !skipping {
				s.push.tooLong.Add(1)
			}
			skipping, have = true, 0
		}
		if n < streamBytes/4 && now.Sub(last) < busy {
			time.Sleep(gather) // as with datagrams: the socket's buffer holds far more
		}
		last = now
		n, err = c.Read(buf[have:])
	}
}

// framed decodes packets with a length before each.
func (s *streams) framed(c net.Conn, buf []byte, n int) {
	var head [4]byte
	r := io.MultiReader(bytes.NewReader(bytes.Clone(buf[:n])), c)
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		size := int(binary.LittleEndian.Uint32(head[:]))
		if size > len(buf) {
			s.push.tooLong.Add(1)
			if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
				return
			}
			continue
		}
		if _, err := io.ReadFull(r, buf[:size]); err != nil {
			return
		}
		s.push.received(1, size, time.Now())
		s.push.decoder.Decode(buf[:size])
	}
}
