package peek

import (
	"net"
	"testing"
	"time"
)

func TestLook_SeesBytesAndTheEndAndTakesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var p Peeker
	p.Start(conn)
	become := func(gone, extra bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			g, e := p.Look()
			if g == gone && e == extra {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("gone %v, extra %v", g, e)
			}
		}
	}
	become(false, false)
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	become(false, true)
	if n, err := conn.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	peer.Close()
	become(true, false)
	if n := testing.AllocsPerRun(100, func() { p.Look() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	conn.Close()
	become(true, false)
}

func TestLook_SeesNothingWhereThereIsNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	b.Close()
	var p Peeker
	p.Start(a)
	if gone, extra := p.Look(); gone || extra {
		t.Error(gone, extra)
	}
}
