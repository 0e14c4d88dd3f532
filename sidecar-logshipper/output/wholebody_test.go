package output

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestWholeBodyConn_GoesOnWhereTheSocketWasFull(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_ = client.(*net.TCPConn).SetWriteBuffer(8 << 10)
	body := bytes.Repeat([]byte("0123456789abcde\n"), 1<<18) // 4 MiB, more than any socket takes
	sent := make(chan error, 1)
	go func() {
		bodies := &wholeBodies{data: body}
		next := bodies.next()
		n, err := wholeBodyConn{client.(*net.TCPConn)}.ReadFrom(&io.LimitedReader{R: next, N: int64(len(body))})
		if err == nil && n != int64(len(body)) {
			err = io.ErrShortWrite
		}
		next.Close()
		client.Close()
		sent <- err
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d of %d bytes, %v", len(got), len(body), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestWholeBodyConn_TellsThatTheOtherSideHasLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = server.(*net.TCPConn).SetLinger(0)
	server.Close()
	if _, err := (wholeBodyConn{client.(*net.TCPConn)}).send(make([]byte, 4<<20)); err == nil {
		t.Error("no error")
	}
	_ = client.Close()
	if n, err := (wholeBodyConn{client.(*net.TCPConn)}).send([]byte("x")); n != 0 || err == nil {
		t.Errorf("after Close: %d bytes, %v", n, err)
	}
}
