package layer4

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMove_KeepsEveryByteOfMessagesAndOfStreams(t *testing.T) {
	app, near := pair(t)
	far, server := pair(t)
	sent := make([]byte, 10<<20) // more than one turn of splice
	rand.NewChaCha8([32]byte{}).Read(sent)
	done := make(chan int64, 1)
	go func() { done <- carry(far, near, nil, func(err error) { t.Error(err) }) }()
	go func() {
		for at, n := 0, 1; at < len(sent); at, n = at+n, min(n*3, len(sent)) { // from messages to a stream
			if _, err := app.Write(sent[at:min(at+n, len(sent))]); err != nil {
				break
			}
		}
		app.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d arrived the same, %v", len(got), len(sent), err)
	}
	if n := <-done; n != int64(len(sent)) {
		t.Errorf("%d bytes counted", n)
	}
}

func TestReader_HoldsNoBufferWhileItWaits(t *testing.T) {
	near, far := pair(t)
	r := newReader(near)
	look := func() (there bool) {
		if err := r.raw.Control(func(fd uintptr) { there = r.take(fd) }); err != nil {
			t.Fatal(err)
		}
		return there
	}
	if look() || r.buf != nil {
		t.Error("a buffer is held without a byte to read")
	}
	if _, err := far.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got, err := r.next(); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if r.done(); r.buf != nil {
		t.Error("the buffer is held after its bytes were taken")
	}
}
