package client

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestAnswer_HeadBodyAndTrailersComeWhole(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		next(p, func(f *xhttp2.DataFrame) bool { return f.StreamEnded() })
		p.answer(id, false, ":status", "200", "content-type", "x", "set-cookie", "a=1", "set-cookie", "b=2", "connection", "close", "x-space", " y ")
		_ = p.WriteDataPadded(id, false, []byte("hel"), make([]byte, 7))
		_ = p.WriteData(id, false, []byte("lo"))
		p.answer(id, true, "grpc-status", "0")
		p.drain()
	})
	response, body, err := ask(t, c, "POST", "question")
	if err != nil || body != "hello" || response.StatusCode != 200 || response.ContentLength != -1 {
		t.Fatalf("%v %q %v", response, body, err)
	}
	if h := response.Header; h.Get("Content-Type") != "x" || len(h["Set-Cookie"]) != 2 || h["Connection"] != nil || h.Get("X-Space") != "y" {
		t.Errorf("%v", h)
	}
	if response.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("trailers %v", response.Trailer)
	}
}

// Each row is what a server does with its first request.
func TestAnswer_ThatBreaksTheRulesIsMalformed(t *testing.T) {
	long := strings.Repeat("x", 1000)
	var many []string
	for range 80 {
		many = append(many, "x-long", long)
	}
	for name, row := range map[string]struct {
		method string
		breaks func(p *peer, id uint32)
		fatal  bool // the connection ends with it
	}{
		"no status":                       {"GET", func(p *peer, id uint32) { p.answer(id, true, "x", "y") }, false},
		"status of two digits":            {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "20") }, false},
		"status 101":                      {"GET", func(p *peer, id uint32) { p.answer(id, false, ":status", "101") }, false},
		"status 600":                      {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "600") }, false},
		"name in upper case":              {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "200", "X-Y", "z") }, false},
		"line feed in a value":            {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "200", "x", "a\nb: c") }, false},
		"pseudo field of a request":       {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "200", ":path", "/") }, false},
		"interim answer at the end":       {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "103") }, false},
		"more interim answers than taken": {"GET", func(p *peer, id uint32) { p.interim(id, maxInterim+1) }, false},
		"body before its head":            {"GET", func(p *peer, id uint32) { _ = p.WriteData(id, true, []byte("x")) }, false},
		"body longer than declared": {"GET", func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200", "content-length", "1")
			_ = p.WriteData(id, true, []byte("xy"))
		}, false},
		"body shorter than declared": {"GET", func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200", "content-length", "3")
			_ = p.WriteData(id, true, []byte("xy"))
		}, false},
		"no body where one is declared": {"GET", func(p *peer, id uint32) { p.answer(id, true, ":status", "200", "content-length", "3") }, false},
		"two lengths": {"GET", func(p *peer, id uint32) {
			p.answer(id, true, ":status", "200", "content-length", "3", "content-length", "4")
		}, false},
		"body for a HEAD": {"HEAD", func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200")
			_ = p.WriteData(id, true, []byte("x"))
		}, false},
		"pseudo field in trailers": {"GET", func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200")
			p.answer(id, true, ":status", "200")
		}, false},
		"two heads": {"GET", func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200")
			p.answer(id, false, ":status", "200")
		}, false},
		"more fields than announced": {"GET", func(p *peer, id uint32) { p.answer(id, true, append([]string{":status", "200"}, many...)...) }, false},
		"WINDOW_UPDATE by nothing":   {"GET", func(p *peer, id uint32) { _ = p.WriteRawFrame(xhttp2.FrameWindowUpdate, 0, id, make([]byte, 4)) }, false},
		"window beyond 31 bits":      {"GET", func(p *peer, id uint32) { _ = p.WriteWindowUpdate(id, 1<<31-1) }, false},

		"compression error":       {"GET", func(p *peer, id uint32) { _ = p.WriteRawFrame(xhttp2.FrameHeaders, 5, id, []byte{0xff, 0xff, 0xff}) }, true},
		"frame that is too large": {"GET", func(p *peer, id uint32) { _ = p.WriteRawFrame(xhttp2.FrameData, 0, id, make([]byte, 1<<14+1)) }, true},
		"frame within a head": {"GET", func(p *peer, id uint32) {
			_ = p.WriteRawFrame(xhttp2.FrameHeaders, 0, id, nil)
			_ = p.WritePing(false, [8]byte{})
		}, true},
		"stream that was never opened": {"GET", func(p *peer, id uint32) { p.answer(id+2, true, ":status", "200") }, true},
		"stream of the server's":       {"GET", func(p *peer, id uint32) { p.answer(2, true, ":status", "200") }, true},
		"PUSH_PROMISE": {"GET", func(p *peer, id uint32) {
			_ = p.WritePushPromise(xhttp2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
		}, true},
		"SETTINGS of a bad window": {"GET", func(p *peer, id uint32) {
			_ = p.WriteRawFrame(xhttp2.FrameSettings, 0, 0, []byte{0, 4, 0xff, 0xff, 0xff, 0xff})
		}, true},
		"connection's window too large": {"GET", func(p *peer, id uint32) { _ = p.WriteWindowUpdate(0, 1<<31-1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connected(t, Config{}, func(p *peer) {
				_ = p.WriteSettings()
				row.breaks(p, p.request())
				for id := p.request(); id != 0; id = p.request() {
					p.ok(id, "fine")
				}
			})
			_, _, err := asked(t, c, row.method, nil)
			if reasonOf(err) != reason.UpstreamBadResponse || safe(err) {
				t.Fatalf("%v (%s), safe %v", err, reasonOf(err), safe(err))
			}
			if row.fatal {
				<-c.done
				return
			}
			if _, body, err := asked(t, c, "GET", nil); err != nil || body != "fine" {
				t.Errorf("the next request of the connection: %q %v", body, err)
			}
		})
	}
}

func (p *peer) interim(id uint32, n int) {
	for range n {
		p.answer(id, false, ":status", "103", "link", "</x>")
	}
}

func TestFirstFrame_OfAServerIsSettings(t *testing.T) {
	for says, what := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":              "HTTP/1.1",
		"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678":  "SETTINGS",
		"220 smtp.example.com ESMTP ready when you are": "SETTINGS",
	} {
		c := connected(t, Config{}, func(p *peer) {
			for {
				if f, err := p.ReadFrame(); err != nil || f.Header().Type == xhttp2.FrameHeaders {
					break
				}
			}
			_, _ = io.WriteString(p.c, says)
			p.drain()
		})
		if _, _, err := asked(t, c, "GET", nil); reasonOf(err) != reason.UpstreamBadResponse || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// Safe is what the retry of any method hangs on.
func TestRequest_IsSafeToRepeatOnlyWhenItWasNotLookedAt(t *testing.T) {
	for name, row := range map[string]struct {
		ends func(p *peer, id uint32)
		safe bool
	}{
		"REFUSED_STREAM":          {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream) }, true},
		"GOAWAY below":            {func(p *peer, id uint32) { _ = p.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }, true},
		"GOAWAY with it, and end": {func(p *peer, id uint32) { _ = p.WriteGoAway(id, xhttp2.ErrCodeNo, nil); p.c.Close() }, false},
		"two GOAWAYs": {func(p *peer, id uint32) {
			_ = p.WriteGoAway(1<<31-1, xhttp2.ErrCodeNo, nil)
			_ = p.WriteGoAway(0, xhttp2.ErrCodeNo, nil)
		}, true},
		"CANCEL":   {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, xhttp2.ErrCodeCancel) }, false},
		"NO_ERROR": {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, xhttp2.ErrCodeNo) }, false},
		"end":      {func(p *peer, id uint32) { p.c.Close() }, false},
		"REFUSED_STREAM behind a head": {func(p *peer, id uint32) {
			p.answer(id, false, ":status", "200")
			_ = p.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connected(t, Config{}, func(p *peer) {
				_ = p.WriteSettings()
				row.ends(p, p.request())
				p.drain()
			})
			_, _, err := asked(t, c, "GET", nil)
			if reasonOf(err) != reason.UpstreamReset || safe(err) != row.safe {
				t.Errorf("%v (%s), safe %v", err, reasonOf(err), safe(err))
			}
		})
	}
}

func TestGoAway_WhatIsBelowFinishesAndThenTheConnectionEnds(t *testing.T) {
	begun := make(chan struct{})
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		first, second := p.request(), p.request()
		p.answer(first, false, ":status", "200")
		_ = p.WriteGoAway(first, xhttp2.ErrCodeNo, nil)
		<-begun
		_ = p.WriteData(first, true, []byte("whole"))
		if second == 0 {
			t.Error("no second request")
		}
		p.drain()
	})
	first, wake := opened(c, true)
	second, woken := opened(c, true)
	for second.Next(0).Err == nil {
		<-woken
	}
	if err := second.Next(0).Err; !safe(err) {
		t.Errorf("beyond it: %v", err)
	}
	if s, _ := opened(c, true); s != nil {
		t.Error("a new stream after GOAWAY")
	}
	close(begun)
	for got := ""; ; <-wake {
		e := first.Next(len(got))
		if got = string(e.Data); e.End {
			if got != "whole" {
				t.Errorf("below it: %q", got)
			}
			break
		}
		if e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	<-c.done
}

func TestInterimAnswers_ComeBeforeTheHead(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		p.interim(id, 3)
		p.ok(id, "x")
		p.drain()
	})
	s, wake := opened(c, true)
	for interim := 0; ; {
		e := s.Next(0)
		switch {
		case e.Interim != nil:
			interim++
			continue
		case e.Head != nil:
			if interim != 3 {
				t.Errorf("%d interim answers", interim)
			}
			s.Release()
			return
		case e.Err != nil:
			t.Fatal(e.Err)
		}
		<-wake
	}
}

// The client of a net/http server would wait for its own body's end (golang/go#80085).
func TestAnswer_ThatEndsBeforeTheRequestsBodyIsWholeAndTheBodyIsCalledOff(t *testing.T) {
	for name, reset := range map[string]bool{"the upstream resets": true, "the upstream waits": false} {
		codes := make(chan xhttp2.ErrCode, 1)
		c := connected(t, Config{}, func(p *peer) {
			_ = p.WriteSettings()
			id := p.request()
			p.ok(id, "enough")
			if reset {
				_ = p.WriteRSTStream(id, xhttp2.ErrCodeNo)
				codes <- xhttp2.ErrCodeNo
			} else {
				codes <- p.reset()
			}
			p.drain()
		})
		body, never := io.Pipe()
		_, got, err := asked(t, c, "POST", body)
		if err != nil || got != "enough" {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if code := <-codes; code != xhttp2.ErrCodeNo {
			t.Errorf("%s: %s", name, code)
		}
		never.Close()
	}
}

func TestRequestBody_ThatFailsIsNotEnded(t *testing.T) {
	codes := make(chan xhttp2.ErrCode, 1)
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		p.request()
		codes <- p.reset()
		p.drain()
	})
	body, source := io.Pipe()
	go func() {
		_, _ = source.Write([]byte("half"))
		source.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if _, _, err := asked(t, c, "POST", body); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if code := <-codes; code != xhttp2.ErrCodeCancel {
		t.Error(code)
	}
}

func TestExpectContinue_TheBodyWaitsToBeAskedFor(t *testing.T) {
	c := connected(t, Config{}, func(p *peer) {
		_ = p.WriteSettings()
		id := p.request()
		_ = p.c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if f, _ := p.ReadFrame(); f != nil && f.Header().Type == xhttp2.FrameData {
			t.Error("the body came before it was asked for")
		}
		_ = p.c.SetReadDeadline(time.Now().Add(10 * time.Second))
		p.answer(id, false, ":status", "100")
		next(p, func(f *xhttp2.DataFrame) bool { return f.StreamEnded() })
		p.ok(id, "x")
		p.drain()
	})
	r, _ := http.NewRequest("POST", "http://shop/", strings.NewReader("body"))
	r.Header.Set("Expect", "100-continue")
	if _, got, err := sent(t, c, r); err != nil || got != "x" {
		t.Errorf("%q %v", got, err)
	}
}
