package client

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

var watchful = Config{Stuck: 10 * time.Second, Quiet: 10 * time.Second, Pong: 5 * time.Second}

// piped is a connection in a bubble of synctest, and its other side.
func piped(t *testing.T, config Config) (c *Conn, p *peer, done func()) {
	ours, theirs := net.Pipe()
	c = New(ours, config)
	ready := make(chan *peer)
	go served(t, theirs, func(p *peer) { ready <- p })
	p = <-ready
	_ = theirs.SetDeadline(time.Time{})
	_, _ = p.ReadFrame() // SETTINGS
	_, _ = p.ReadFrame() // WINDOW_UPDATE
	_ = p.WriteSettings()
	_, _ = p.ReadFrame() // its acknowledgement
	return c, p, func() { c.Close(); theirs.Close() }
}

func TestLiveness_ASilentConnectionWithStreamsEndsWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, done := piped(t, watchful)
		defer done()
		go func() { // it takes everything and says nothing
			for b := make([]byte, 4096); ; {
				if _, err := p.c.Read(b); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Hour) // without a stream nobody asks
		s, wake := opened(c, true)
		begin := time.Now()
		_, err := whole(t, s, wake)
		if took := time.Since(begin); !errors.Is(err, errDead) || took < 10*time.Second || took > 16*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// grpc-go takes the fourth PING within five minutes that nothing of its own has come between for an attack.
func TestLiveness_ALongCallThatIsSilentIsNotAskedToDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, done := piped(t, watchful)
		defer done()
		pings := make(chan time.Time, 1000)
		ids := make(chan uint32, 1)
		var writing sync.Mutex
		go func() {
			for {
				f, err := p.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *xhttp2.PingFrame:
					pings <- time.Now()
					writing.Lock()
					_ = p.WritePing(true, f.Data)
					writing.Unlock()
				case *xhttp2.HeadersFrame:
					ids <- f.StreamID
				}
			}
		}()
		s, wake := opened(c, true)
		id := <-ids
		time.Sleep(4 * time.Minute)
		if n := len(pings); n != quickAsks {
			t.Errorf("%d PINGs in four minutes of silence", n)
		}
		time.Sleep(time.Hour)
		var last time.Time
		for n := 0; len(pings) > 0; n++ {
			at := <-pings
			if n >= quickAsks && at.Sub(last) < 5*time.Minute {
				t.Errorf("a PING after %s", at.Sub(last))
			}
			last = at
		}
		writing.Lock()
		p.answer(id, false, ":status", "200") // it speaks, and may be asked again
		writing.Unlock()
		time.Sleep(12 * time.Second)
		if len(pings) != 1 {
			t.Errorf("%d PINGs in twelve seconds of silence after an answer", len(pings))
		}
		writing.Lock()
		_ = p.WriteData(id, true, []byte("x"))
		writing.Unlock()
		if body, err := whole(t, s, wake); err != nil || string(body) != "x" {
			t.Errorf("%q %v", body, err)
		}
	})
}

func TestStuckWrite_EndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, done := piped(t, Config{Stuck: 10 * time.Second}) // nobody reads the other side any more
		defer done()
		s, wake := opened(c, true)
		begin := time.Now()
		_, err := whole(t, s, wake)
		if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took > 12*time.Second || took < 9*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if !safe(err) {
			t.Error("nothing was written, and the request is not safe to repeat")
		}
	})
}

func TestSlowWrite_GoesOnAsLongAsBytesMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, done := piped(t, Config{Stuck: 10 * time.Second})
		defer done()
		s, wake := opened(c, false)
		s.Write(make([]byte, 60<<10), true)
		for b, left := make([]byte, 4<<10), 60<<10; left > 0; time.Sleep(5 * time.Second) {
			n, err := p.c.Read(b)
			if left -= n; err != nil {
				t.Fatal(err)
			}
		}
		p.ok(1, "x")
		if body, err := whole(t, s, wake); err != nil || string(body) != "x" {
			t.Errorf("%q %v", body, err)
		}
	})
}

func TestRetire_LetsTheLastStreamFinish(t *testing.T) {
	finish := make(chan struct{})
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		<-finish
		p.ok(id, "x")
		p.drain()
	})
	s, wake := opened(c, true)
	c.Retire()
	if other, _ := opened(c, true); other != nil {
		t.Error("a new stream")
	}
	close(finish)
	if body, err := whole(t, s, wake); err != nil || string(body) != "x" {
		t.Errorf("%q %v", body, err)
	}
	<-c.done
}

func TestIdleConnection_ThatTheUpstreamHasClosedIsNotUsed(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		next[*xhttp2.SettingsFrame](p, func(f *xhttp2.SettingsFrame) bool { return f.IsAck() })
	})
	<-c.Settled()
	<-c.done
	if s, _ := opened(c, true); s != nil {
		t.Error("a stream on a connection that has ended")
	}
	if c.Err() == nil || c.Idle(time.Now()) <= 0 {
		t.Errorf("%v, idle for %s", c.Err(), c.Idle(time.Now()))
	}
}
