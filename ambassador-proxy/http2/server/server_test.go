package server

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

func TestStream_BodyAndTrailersComeBack(t *testing.T) {
	p := serve(t, Config{}, echo)
	id := p.request(false)
	if f := p.want(http2.Headers); f.Stream != id {
		t.Errorf("%+v", f)
	}
	p.write(http2.AppendData(nil, id, []byte("hello"), false))
	if f := p.want(http2.Data); string(f.Payload) != "hello" {
		t.Errorf("%+v", f)
	}
	b := http2.AppendField(http2.BeginHeaders(nil), "x-sum", "5")
	p.write(http2.FinishHeaders(b, 0, id, true, http2.MinFrameBytes))
	f := p.want(http2.Headers)
	if list := p.fields(f); !f.EndsStream() || len(list) != 1 || list[0].Value != "5" {
		t.Errorf("%v", list)
	}
}

func TestUpload_StopsAtTheWindowUntilItIsRead(t *testing.T) {
	read := make(chan struct{})
	p := serve(t, Config{}, func(s *Stream) {
		<-read
		echo(s)
	})
	id := p.request(false)
	piece := make([]byte, 1<<14)
	for range streamWindow / len(piece) {
		p.write(http2.AppendData(nil, id, piece, false))
	}
	p.write(http2.AppendPing(nil, [8]byte{1}, false))
	p.want(http2.Ping) // nothing was announced meanwhile
	close(read)
	for f := p.frame(); f.Type != http2.WindowUpdate; f = p.frame() {
		if f.Type == http2.RSTStream {
			t.Fatal(f)
		}
	}
}

func TestUpload_PastTheWindowIsReset(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	p := serve(t, Config{}, func(s *Stream) { <-done; s.Finish(false) })
	id := p.request(false)
	piece := make([]byte, 1<<14)
	for range streamWindow/len(piece) + 1 {
		p.write(http2.AppendData(nil, id, piece, false))
	}
	if f := p.want(http2.RSTStream); http2.Code(f.Value) != http2.FlowControlError {
		t.Error(http2.Code(f.Value))
	}
}

func TestDownload_KeepsToTheClientsWindows(t *testing.T) {
	const size = 300_000
	p := serve(t, Config{}, func(s *Stream) {
		defer s.Finish(true)
		_ = s.WriteHead(ok(false), false)
		if n, err := s.Write(make([]byte, size), true); n != size || err != nil {
			t.Error(n, err)
		}
	})
	id := p.request(true)
	p.want(http2.Headers)
	got, allowed := 0, http2.DefaultWindow
	for ended := false; !ended; {
		f := p.want(http2.Data)
		if got += len(f.Payload); got > allowed {
			t.Fatalf("%d bytes of %d", got, allowed)
		}
		if ended = f.EndsStream(); got == allowed && !ended {
			p.write(http2.AppendPing(nil, [8]byte{2}, false))
			p.want(http2.Ping) // it waits
			p.write(http2.AppendWindowUpdate(nil, 0, 50_000), http2.AppendWindowUpdate(nil, id, 50_000))
			allowed += 50_000
		}
	}
	if got != size {
		t.Error(got)
	}
}

func TestReset_WakesTheHandler(t *testing.T) {
	errs := make(chan error, 2)
	aborted := make(chan struct{})
	p := serve(t, Config{}, func(s *Stream) {
		s.OnAbort(func() { close(aborted) })
		_, err := s.Read(make([]byte, 1))
		errs <- err
		_, err = s.Write([]byte("x"), true)
		errs <- err
		s.Finish(true)
	})
	id := p.request(false)
	p.write(http2.AppendReset(nil, id, http2.Cancel))
	for range 2 {
		if e, ok := errors.AsType[*http2.Error](<-errs); !ok || e.Code != http2.Cancel {
			t.Error(e)
		}
	}
	<-aborted
}

func TestFinish_OfAnUnreadRequestAsksForNoMore(t *testing.T) {
	p := serve(t, Config{}, func(s *Stream) {
		_ = s.WriteHead(ok(true), true)
		s.Finish(true)
	})
	id := p.request(false)
	if f := p.want(http2.Headers); !f.EndsStream() {
		t.Error(f)
	}
	if f := p.want(http2.RSTStream); http2.Code(f.Value) != http2.NoError {
		t.Error(f)
	}
	// What was under way is no mistake.
	p.write(http2.AppendData(nil, id, []byte("late"), false), http2.FinishHeaders(http2.BeginHeaders(nil), 0, id, true, 1<<14))
	p.write(http2.AppendPing(nil, [8]byte{3}, false))
	p.want(http2.Ping)
}

func TestLength_MustBeThatOfTheBody(t *testing.T) {
	p := serve(t, Config{}, echo)
	for _, row := range []struct {
		length, body string
		end          bool
	}{{"5", "hell", true}, {"5", "hello!", false}} {
		id := p.request(false, "content-length "+row.length)
		p.write(http2.AppendData(nil, id, []byte(row.body), row.end))
		f := p.frame()
		for f.Type != http2.RSTStream {
			f = p.frame()
		}
		if http2.Code(f.Value) != http2.ProtocolError {
			t.Error(http2.Code(f.Value))
		}
	}
}

func TestStreams_MoreThanAllowedAreRefusedAndNotHandled(t *testing.T) {
	done := make(chan struct{})
	p := serve(t, Config{}, func(s *Stream) { <-done; s.Finish(false) })
	defer close(done)
	for range maxStreams + 1 {
		p.request(true)
	}
	if f := p.want(http2.RSTStream); http2.Code(f.Value) != http2.RefusedStream || f.Stream != 2*maxStreams+1 {
		t.Errorf("%+v", f)
	}
}

func TestRapidReset_HasNoMoreHandlersThanStreamsAllowedAndEndsTheConnection(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	var mu sync.Mutex
	handlers := 0
	p := serve(t, Config{}, func(s *Stream) {
		mu.Lock()
		handlers++
		mu.Unlock()
		<-done
		s.Finish(false)
	})
	go func() {
		for range maxStreams + maxWaiting + 10 {
			id := p.next
			p.next += 2
			b := http2.AppendField(http2.AppendField(http2.AppendField(http2.BeginHeaders(nil), ":method", "GET"), ":scheme", "http"), ":path", "/")
			b = http2.AppendReset(http2.FinishHeaders(b, 0, id, true, 1<<14), id, http2.Cancel)
			if _, err := p.conn.Write(b); err != nil {
				return
			}
		}
	}()
	if f := p.want(http2.GoAway); http2.Code(f.Value) != http2.EnhanceYourCalm {
		t.Error(http2.Code(f.Value))
	}
	mu.Lock()
	defer mu.Unlock()
	if handlers > maxStreams {
		t.Errorf("%d handlers", handlers)
	}
}

func TestFloods_OfFramesThatMoveNothingEndTheConnection(t *testing.T) {
	for name, frame := range map[string][]byte{
		"PING":     http2.AppendPing(nil, [8]byte{}, false),
		"SETTINGS": http2.AppendSettings(nil),
		"PRIORITY": append(http2.AppendHeader(nil, 5, http2.Priority, 0, 1), 0, 0, 0, 3, 0),
		"unknown":  http2.AppendHeader(nil, 0, 0x42, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, Config{}, echo)
			go func() {
				for many := bytes.Repeat(frame, 1000); ; {
					if _, err := p.conn.Write(many); err != nil {
						return
					}
				}
			}()
			for f := p.frame(); ; f = p.frame() {
				if f == nil {
					break // the rest of the flood may have reset it
				}
				if f.Type == http2.GoAway {
					if http2.Code(f.Value) != http2.EnhanceYourCalm {
						t.Error(http2.Code(f.Value))
					}
					break
				}
			}
		})
	}
}

func TestIdle_ConnectionIsToldAndClosed(t *testing.T) {
	p := serve(t, Config{Idle: 50 * time.Millisecond}, echo)
	if f := p.want(http2.GoAway); http2.Code(f.Value) != http2.NoError {
		t.Error(f)
	}
	if f := p.frame(); f != nil {
		t.Error(f)
	}
}

func TestIdle_ConnectionOfRefusedRequestsOnlyIsClosedToo(t *testing.T) {
	p := serve(t, Config{Idle: 300 * time.Millisecond}, echo)
	p.request(true, "connection close")
	p.want(http2.RSTStream)
	if f := p.want(http2.GoAway); http2.Code(f.Value) != http2.NoError {
		t.Error(f)
	}
}

func TestQuiet_ClientIsAskedAndGivenUp(t *testing.T) {
	p := serve(t, Config{Quiet: 50 * time.Millisecond, Pong: 50 * time.Millisecond}, func(s *Stream) {
		_, _ = s.Read(make([]byte, 1))
		s.Finish(true)
	})
	p.request(false)
	p.want(http2.Ping)
	if f := p.frame(); f != nil {
		t.Errorf("%+v", f)
	}
}

func TestHead_ThatDoesNotComeEndsTheConnection(t *testing.T) {
	p := serve(t, Config{Head: 50 * time.Millisecond}, echo)
	p.write(http2.AppendHeader(nil, 0, http2.Headers, 0, 1))
	if f := p.want(http2.GoAway); http2.Code(f.Value) != http2.EnhanceYourCalm {
		t.Error(f)
	}
}

func TestCut_InterruptsAReadAndAWrite(t *testing.T) {
	errs := make(chan error, 2)
	p := serve(t, Config{}, func(s *Stream) {
		go s.CutRead(true)
		_, err := s.Read(make([]byte, 1))
		errs <- err
		go s.CutWrite(true)
		_ = s.WriteHead(ok(false), false)
		_, err = s.Write(make([]byte, 1<<20), true)
		errs <- err
		s.Finish(true)
	})
	p.request(false)
	for range 2 {
		if err := <-errs; err != ErrCut { //nolint:errorlint // never wrapped
			t.Error(err)
		}
	}
	for f := p.frame(); f.Type != http2.RSTStream; f = p.frame() {
	}
}

func TestWrite_EndsWithWhatComesWhileTheConnectionIsWritten(t *testing.T) {
	for name, happens := range map[string]func(*peer, *Stream){
		"reset": func(p *peer, s *Stream) { p.write(http2.AppendReset(nil, s.id, http2.Cancel)) },
		"close": func(p *peer, _ *Stream) { p.conn.Close() },
		"cut":   func(_ *peer, s *Stream) { s.CutWrite(true) },
	} {
		t.Run(name, func(t *testing.T) {
			peers, wrote := make(chan *peer, 1), make(chan error, 1)
			p := serve(t, Config{}, func(s *Stream) {
				p := <-peers
				meanwhile := func() {
					happens(p, s)
					for name != "cut" && s.Err() == nil {
						time.Sleep(time.Millisecond)
					}
				}
				for set := false; !set; time.Sleep(time.Millisecond) {
					s.c.mu.Lock()
					if set = !s.c.flushing; set { // so that it is Write that writes
						s.c.t.(*pipe).onWrite = meanwhile
					}
					s.c.mu.Unlock()
				}
				_, err := s.Write(make([]byte, 1001), true)
				wrote <- err
				s.Finish(true)
			})
			p.write(http2.AppendSettings(nil, http2.Setting{ID: http2.InitialWindowSize, Value: 1000}))
			p.request(true)
			peers <- p
			if err := <-wrote; err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestSettings_ThatShrinkTheTableAreAcknowledgedInTheNextBlock(t *testing.T) {
	p := serve(t, Config{}, func(s *Stream) {
		_ = s.WriteHead(ok(true), true)
		s.Finish(true)
	})
	p.write(http2.AppendSettings(nil, http2.Setting{ID: http2.HeaderTableSize, Value: 100}))
	for _, want := range []string{"\x20\x88", "\x88"} {
		p.request(true)
		if f := p.want(http2.Headers); string(f.Payload) != want {
			t.Errorf("%x, want %x", f.Payload, want)
		}
	}
}
