package listen

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestSockets_AnIdleConnectionIsNoActivityAndMovedBytesAre(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	app, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSockets()
	if !s.Add(ours) || s.Len() != 1 {
		t.Fatal("a socket was not taken")
	}
	made := s.LastActivity()
	if made.IsZero() || !s.LastActivity().Equal(made) {
		t.Error("an idle connection was called activity")
	}
	if _, err := app.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ours, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if !s.LastActivity().After(made) {
		t.Error("1000 bytes were no activity")
	}
	s.Close()
	if s.Add(ours) {
		t.Error("a socket was taken after Close")
	}
	_ = ours.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := ours.Read(make([]byte, 1)); err == nil {
		t.Error("Close left a socket open")
	}
}
