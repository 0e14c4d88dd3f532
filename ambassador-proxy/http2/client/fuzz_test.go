package client

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// FuzzFrames is an upstream that says anything: nothing that it says may break the client, make it wait for ever, or leave it
// with bytes that count against a window and wait for nobody.
func FuzzFrames(f *testing.F) {
	answer := http2.AppendSettings(nil, http2.Setting{ID: http2.MaxConcurrentStreams, Value: 1})
	answer = append(http2.AppendHeader(answer, 1, http2.Headers, http2.EndHeaders, 1), 0x88)
	answer = http2.AppendData(answer, 1, []byte("hello"), false)
	f.Add(append(http2.AppendHeader(answer, 1, http2.Headers, http2.EndHeaders|http2.EndStream, 1), 0x89))
	f.Add(http2.AppendData(append(http2.AppendHeader(answer, 1, http2.Headers, http2.EndHeaders, 3), 0x88), 3, []byte("x"), true))
	f.Add(http2.AppendGoAway(answer, 1, http2.NoError, "bye"))
	f.Add(http2.AppendReset(answer, 1, http2.RefusedStream))
	f.Add(http2.AppendWindowUpdate(answer, 0, 1<<31-1))
	f.Add(http2.AppendPing(answer, [8]byte{}, false))
	f.Add(append(http2.AppendHeader(answer, 1, http2.Headers, 0, 3), 0x88))
	f.Fuzz(func(t *testing.T, says []byte) {
		ours, theirs := net.Pipe()
		c := New(ours, Config{})
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		var all []*Stream
		wake := make(chan struct{}, 1)
		for range 3 {
			if s := c.Open(&Request{Fields: get, Event: wake, Room: wake}); s != nil {
				s.Write(make([]byte, 100), false)
				all = append(all, s)
			}
		}
		_ = theirs.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = theirs.Write(says)
		theirs.Close()
		<-c.done
		c.mu.Lock()
		unread := 0
		for _, s := range all {
			unread += s.unread
		}
		if c.unread != unread || len(c.streams) != 0 || c.err == nil {
			t.Errorf("%d bytes count, %d wait; %d streams; %v", c.unread, unread, len(c.streams), c.err)
		}
		c.mu.Unlock()
		for _, s := range all {
			for taken, e := 0, (Event{}); !e.End && e.Err == nil; taken = len(e.Data) {
				e = s.Next(taken)
				if e.Interim == nil && e.Head == nil && e.Data == nil && !e.End && e.Err == nil {
					t.Fatal("a stream waits on a connection that has ended")
				}
			}
			s.Release()
		}
		if c.mu.Lock(); c.unread != 0 {
			t.Errorf("%d bytes wait for nobody", c.unread)
		}
		c.mu.Unlock()
	})
}
