//go:build !race

// The race detector makes sync.Pool forget things at random.

package client

import (
	"io"
	"net"
	"testing"
)

// exchanger answers each call with frames made before, so that what is measured is the client's.
func exchanger(tb testing.TB) func() {
	ours, theirs := net.Pipe()
	c := New(ours, Config{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerAll(theirs)
	}()
	tb.Cleanup(func() { c.Close(); theirs.Close(); <-done })
	<-c.Settled()
	wake := make(chan struct{}, 1)
	request := &Request{Fields: get, Event: wake, Room: wake}
	return func() {
		s := c.Open(request)
		s.Write([]byte("question"), true)
		for taken := 0; ; <-wake {
			e := s.Next(taken)
			taken = len(e.Data)
			if e.Err != nil {
				tb.Fatal(e.Err)
			}
			if e.End {
				s.Release()
				return
			}
		}
	}
}

// answerAll answers every request as gRPC does: a head, a message and trailers.
func answerAll(c net.Conn) {
	setup := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0x40, 0, 0, 0}
	if _, err := io.ReadFull(c, make([]byte, 24)); err != nil {
		return
	}
	if _, err := c.Write(setup); err != nil {
		return
	}
	// literal without indexing: grpc-status 0
	trailers := append([]byte{0, 11}, "grpc-status\x010"...)
	var out []byte
	head, payload := make([]byte, 9), make([]byte, 1<<14)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := io.ReadFull(c, payload[:n]); err != nil {
			return
		}
		if head[3] != 0 || head[4]&1 == 0 {
			continue
		}
		id := head[5:9]
		out = append(append(append(out[:0], 0, 0, 1, 1, 4), id...), 0x88)
		out = append(append(append(out, 0, 0, 5, 0, 0), id...), "hello"...)
		out = append(append(append(out, 0, 0, byte(len(trailers)), 1, 5), id...), trailers...)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// allocations is the most that an exchange may allocate: the two strings of a field that is in no table.
const allocations = 2

func TestExchange_AllocatesNoMoreThanItDoes(t *testing.T) {
	if n := testing.AllocsPerRun(1000, exchanger(t)); n > allocations {
		t.Errorf("%v allocations an exchange, of which %d are allowed", n, allocations)
	}
}

// BenchmarkExchange guards the path of each call of a gRPC upstream.
func BenchmarkExchange(b *testing.B) {
	once := exchanger(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
