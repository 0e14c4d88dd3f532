package client

import (
	"bytes"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// whole takes an answer by the lean interface.
func whole(t *testing.T, s *Stream, wake chan struct{}) (body []byte, err error) {
	t.Helper()
	taken := 0
	for {
		e := s.Next(taken)
		body, taken = append(body, e.Data...), len(e.Data)
		switch {
		case e.End:
			return body, nil
		case e.Err != nil:
			return body, e.Err
		case taken > 0:
			continue
		}
		select {
		case <-wake:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing comes")
		}
	}
}

func TestWindow_OfARequestIsHonouredWhenItGrowsShrinksAndGetsNegative(t *testing.T) {
	sizes := make(chan []int, 1)
	c := connected(t, Config{}, func(p *peer) {
		window := func(n uint32) { _ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: n}) }
		window(10)
		id := p.request()
		var got []int
		take := func() {
			if f := next[*xhttp2.DataFrame](p, nil); f != nil {
				got = append(got, len(f.Data()))
			}
		}
		take()    // 10
		window(5) // it has got -5 now
		_ = p.WriteWindowUpdate(id, 5)
		_ = p.WritePing(false, [8]byte{1}) // nothing may come before its answer
		for {
			f, err := p.ReadFrame()
			if err != nil {
				break
			}
			if _, ok := f.(*xhttp2.DataFrame); ok {
				t.Error("DATA beyond the window")
			}
			if _, ok := f.(*xhttp2.PingFrame); ok {
				break
			}
		}
		_ = p.WriteWindowUpdate(id, 3)
		take() // 3
		window(12)
		take() // 7
		sizes <- got
		p.ok(id, "")
		p.drain()
	})
	<-c.Settled()
	s, wake := opened(c, false)
	for body := make([]byte, 20); len(body) > 0; {
		if body = body[s.Write(body, true):]; len(body) > 0 {
			<-wake
		}
	}
	if _, err := whole(t, s, wake); err != nil {
		t.Error(err)
	}
	if got := <-sizes; len(got) != 3 || got[0] != 10 || got[1] != 3 || got[2] != 7 {
		t.Errorf("frames of %v bytes", got)
	}
}

func TestWindow_OfTheConnectionIsSharedAndNobodyStarves(t *testing.T) {
	const each, bodies = 100 << 10, 5
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
		left := map[uint32]int{}
		for ended := 0; ended < bodies; {
			f := next[*xhttp2.DataFrame](p, nil)
			if f == nil {
				return
			}
			left[f.StreamID] += len(f.Data())
			if len(f.Data()) > 0 {
				_ = p.WriteWindowUpdate(0, uint32(len(f.Data())))
			}
			if f.StreamEnded() {
				if ended++; left[f.StreamID] != each {
					t.Errorf("%d bytes of a body", left[f.StreamID])
				}
				p.ok(f.StreamID, "x")
			}
		}
		p.drain()
	})
	done := make(chan error, bodies)
	for range bodies {
		go func() {
			_, _, err := asked(t, c, "POST", bytes.NewReader(make([]byte, each)))
			done <- err
		}()
	}
	for range bodies {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWindow_IsGivenBackForWhatWasTakenOnly(t *testing.T) {
	taken, full := make(chan struct{}), make(chan struct{})
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		p.answer(id, false, ":status", "200")
		for range streamWindow / (1 << 14) {
			_ = p.WriteData(id, false, make([]byte, 1<<14))
		}
		_ = p.WritePing(false, [8]byte{1})
		for more := true; more; {
			f, err := p.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			if u, ok := f.(*xhttp2.WindowUpdateFrame); ok && u.StreamID != 0 {
				t.Error("window given back for what nobody has taken")
			}
			_, answered := f.(*xhttp2.PingFrame)
			more = !answered
		}
		close(full)
		<-taken
		given := 0
		for given < streamWindow/2 {
			u := next(p, func(f *xhttp2.WindowUpdateFrame) bool { return f.StreamID == id })
			if u == nil {
				t.Error("no window")
				return
			}
			given += int(u.Increment)
		}
		_ = p.WriteData(id, true, []byte("end"))
		p.drain()
	})
	s, wake := opened(c, true)
	<-full
	if other, _ := opened(c, true); other == nil {
		t.Error("a quarter of the window is held, and there is no room")
	}
	close(taken)
	if body, err := whole(t, s, wake); err != nil || len(body) != streamWindow+3 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	s.Release()
}

func TestWindow_MoreThanItEndsTheStream(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		p.answer(id, false, ":status", "200")
		for range streamWindow/(1<<14) + 1 {
			_ = p.WriteData(id, false, make([]byte, 1<<14))
		}
		if code := p.reset(); code != xhttp2.ErrCodeFlowControl {
			t.Error(code)
		}
		p.drain()
	})
	s, wake := opened(c, true)
	for {
		if e := s.Next(0); c.streamsOpen() == 0 {
			_ = e
			break
		}
		<-wake
	}
	if _, err := whole(t, s, wake); reasonOf(err) != reason.UpstreamBadResponse {
		t.Error(err)
	}
}

func (c *Conn) streamsOpen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

func TestSlowReaders_HoldUpTheirConnectionForNobodyNew(t *testing.T) {
	const slow = 3
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		for range slow {
			id := p.request()
			p.answer(id, false, ":status", "200")
			for range streamWindow / (1 << 14) {
				_ = p.WriteData(id, false, make([]byte, 1<<14))
			}
		}
		_ = p.WriteGoAway(1<<31-1, xhttp2.ErrCodeNo, nil) // a mark that all of it has been read
		p.drain()
	})
	var all []*Stream
	for range slow {
		s, _ := opened(c, true)
		all = append(all, s)
	}
	for {
		c.mu.Lock()
		unread, leaving := c.unread, c.leaving
		c.leaving = false
		c.mu.Unlock()
		if leaving {
			if unread != slow*streamWindow {
				t.Fatalf("%d bytes wait", unread)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	if s, _ := opened(c, true); s != nil {
		t.Error("a stream on a connection that is held up")
	}
	for _, s := range all {
		s.Release() // what nobody has taken is given back
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unread != 0 {
		t.Errorf("%d bytes wait for nobody", c.unread)
	}
}
