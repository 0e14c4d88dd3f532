package output

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	if _, err := (wholeBodyConn{client.(*net.TCPConn)}).send(make([]byte, 4<<20), 0); err == nil {
		t.Error("no error")
	}
	_ = client.Close()
	if n, err := (wholeBodyConn{client.(*net.TCPConn)}).send([]byte("x"), 0); n != 0 || err == nil {
		t.Errorf("after Close: %d bytes, %v", n, err)
	}
}

func TestWholeBodyConn_HoldsTheHeadOfARequestBackUntilItsBodyFollows(t *testing.T) {
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
	defer server.Close()
	conn := wholeBodyConn{client.(*net.TCPConn)}
	const head, body = "POST / HTTP/1.1\r\n\r\n", "body"
	var got [64]byte
	held := false
	for i := 0; i < 20 && !held; i++ { // a test that does not get the processor for 200 ms is too late to see it
		if n, err := conn.Write([]byte(head)); n != len(head) || err != nil {
			t.Fatal(n, err)
		}
		held = queued(t, server.(*net.TCPConn)) == 0
		if n, err := conn.send([]byte(body), 0); n != len(body) || err != nil {
			t.Fatal(n, err)
		}
		if _, err := io.ReadFull(server, got[:len(head+body)]); err != nil || string(got[:len(head+body)]) != head+body {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if !held {
		t.Error("the head left on its own")
	}
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(got[:]); string(got[:n]) != head || err != nil {
		t.Errorf("without a body came %q, %v", got[:n], err)
	}
}

// queued is how many bytes wait to be read.
func queued(t *testing.T, conn *net.TCPConn) (n int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }), err); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWholeBodyConn_ReadsWhatComesAndTellsTheEndATimeoutAndAReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (wholeBodyConn, *net.TCPConn) {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(); server.Close() })
		return wholeBodyConn{client.(*net.TCPConn)}, server.(*net.TCPConn)
	}
	conn, server := pair()
	_ = conn.SetReadDeadline(time.Unix(1, 0))
	_, err = conn.Read(make([]byte, 10))
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() { // as crypto/tls looks at it
		t.Errorf("after the deadline: %v", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	got := make(chan []byte)
	go func() {
		all, err := io.ReadAll(conn) // waits, takes both parts, and the end
		if err != nil {
			t.Error(err)
		}
		got <- all
	}()
	for _, part := range []string{"one ", "two"} {
		_, _ = server.Write([]byte(part))
	}
	server.Close()
	if all := <-got; string(all) != "one two" {
		t.Errorf("read %q", all)
	}
	conn, server = pair()
	_ = server.SetLinger(0)
	server.Close()
	if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	conn.Close()
	if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
