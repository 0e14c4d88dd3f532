package client

import (
	"bytes"
	"io"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestCancel_EndsTheStreamAndLeavesTheConnection(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		p.answer(id, false, ":status", "200", "x-indexed", "later")
		_ = p.WriteData(id, false, make([]byte, 100))
		if code := p.reset(); code != xhttp2.ErrCodeCancel {
			t.Error(code)
		}
		_ = p.WriteData(id, false, make([]byte, 100)) // late
		p.answer(id, true, "x-trailer", "late")
		id = p.request()
		p.answer(id, true, ":status", "200", "x-indexed", "later", "x-trailer", "late")
		p.drain()
	})
	s, wake := opened(c, true)
	for s.Next(0).Head == nil {
		<-wake
	}
	s.Cancel(http2.Cancel)
	s.Cancel(http2.Cancel)
	if e := s.Next(0); e.Err == nil {
		t.Errorf("%+v", e)
	}
	s.Release()
	response, _, err := asked(t, c, "GET", nil)
	if err != nil || response.Header.Get("X-Indexed") != "later" || response.Header.Get("X-Trailer") != "late" {
		t.Errorf("%v %v: the decoder is out of step", response, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unread != 0 {
		t.Errorf("%d bytes wait for nobody", c.unread)
	}
}

func TestStreams_AreAsManyAsTheUpstreamTakesAlsoWhenItTakesFewer(t *testing.T) {
	lower := make(chan struct{})
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 2})
		first, second := p.request(), p.request()
		<-lower
		_ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1})
		p.ok(first, "1")
		p.ok(second, "2")
		p.drain()
	})
	<-c.Settled()
	first, wake1 := opened(c, true)
	second, wake2 := opened(c, true)
	if s, _ := opened(c, true); s != nil {
		t.Error("a third stream")
	}
	close(lower)
	for i, s := range []*Stream{first, second} {
		if _, err := whole(t, s, []chan struct{}{wake1, wake2}[i]); err != nil {
			t.Error(err)
		}
	}
	if s, _ := opened(c, true); s == nil {
		t.Error("no stream where one is allowed")
	}
	if s, _ := opened(c, true); s != nil {
		t.Error("two streams where one is allowed")
	}
}

func TestStreams_AfterTheLastIdentifierNeedANewConnection(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		p.ok(p.request(), "last")
		p.drain()
	})
	c.mu.Lock()
	c.next = http2.MaxStream
	c.mu.Unlock()
	s, wake := opened(c, true)
	if other, _ := opened(c, true); other != nil {
		t.Error("a stream beyond the last identifier")
	}
	if body, err := whole(t, s, wake); err != nil || string(body) != "last" {
		t.Errorf("%q %v", body, err)
	}
	<-c.done
}

func TestHeaderTable_IsNoLargerThanTheUpstreamAllows(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		p.dec.SetAllowedMaxDynamicTableSize(0)
		_ = p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			h, ok := f.(*xhttp2.HeadersFrame)
			if !ok {
				continue
			}
			if _, err := p.dec.Write(h.HeaderBlockFragment()); err != nil {
				t.Error(err)
			}
			p.ok(h.StreamID, "x")
		}
	})
	<-c.Settled()
	for range 3 {
		if _, _, err := asked(t, c, "GET", nil); err != nil {
			t.Error(err)
		}
	}
}

func TestHead_ThatIsLargerThanAFrameGoesOnInContinuations(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		p.ReadMetaHeaders, p.MaxHeaderListSize = p.dec, 1<<20
		f := next[*xhttp2.MetaHeadersFrame](p, nil)
		if f == nil || len(f.RegularFields()[0].Value) != 40<<10 {
			t.Errorf("%v", f)
			return
		}
		p.ok(f.StreamID, "x")
		p.drain()
	})
	fields := append(append(get[:0:0], get...), get[0])
	fields[4].Name, fields[4].Value = "x-large", string(bytes.Repeat([]byte{0xff}, 40<<10))
	wake := make(chan struct{}, 1)
	s := c.Open(&Request{Fields: fields, End: true, Event: wake, Room: wake})
	if _, err := whole(t, s, wake); err != nil {
		t.Error(err)
	}
}

func TestTrailers_OfARequestAreSent(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		if f := next[*xhttp2.HeadersFrame](p, nil); f == nil || !f.StreamEnded() {
			t.Errorf("%v", f)
		}
		p.ok(id, "x")
		p.drain()
	})
	s, wake := opened(c, false)
	s.Write([]byte("body"), false)
	s.Trailers(get[:0])
	if _, err := whole(t, s, wake); err != nil {
		t.Error(err)
	}
}

func TestEnd_OfTheConnectionReachesEveryStream(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		for range 3 {
			p.request()
		}
	})
	for range 3 {
		s, wake := opened(c, false)
		go func() { s.Write(make([]byte, 1<<20), false) }()
		defer func() {
			if _, err := whole(t, s, wake); reasonOf(err) != reason.UpstreamReset {
				t.Error(err)
			}
		}()
	}
}

func TestAnswerBody_ThatIsClosedEarlyIsCalledOff(t *testing.T) {
	codes := make(chan xhttp2.ErrCode, 1)
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		p.answer(id, false, ":status", "200")
		codes <- p.reset()
		p.drain()
	})
	r := newRequest(t)
	x := NewExchange(r, "http")
	response, err := x.Response(c.Open(&x.Request))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if _, err := response.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Error(err)
	}
	if code := <-codes; code != xhttp2.ErrCodeCancel {
		t.Error(code)
	}
}
