package layer7

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// guarded is what a guard lets through of what a client sends in pieces of a size.
func guarded(t *testing.T, sent string, size int) string {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		defer client.Close()
		for rest := sent; rest != ""; {
			n := min(size, len(rest))
			if _, err := io.WriteString(client, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	got, err := io.ReadAll(newGuard(server, time.Minute))
	server.Close()
	if err != nil {
		t.Errorf("pieces of %d: %v", size, err)
	}
	return string(got)
}

func TestGuard_PassesWhatIsWellFormedHoweverItArrives(t *testing.T) {
	messages := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" +
		"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n" +
		"GET /d HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 10000) + "\r\n\r\n"
	for name, sent := range map[string]string{
		"requests":  messages,
		"WebSocket": messages + "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x03abc\x00\n\n",
	} {
		for _, size := range []int{1, 2, 3, 7, 100, 4096, len(sent)} {
			if got := guarded(t, sent, size); got != sent {
				t.Errorf("%s in pieces of %d: %d of %d bytes, or others", name, size, len(got), len(sent))
			}
		}
	}
}

func TestGuard_PassesNothingOfWhatItRefusesNorOfWhatFollows(t *testing.T) {
	const good = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, bad := range map[string]string{
		"head":  "GET /evil HTTP/1.1\nHost: a\n\n",
		"chunk": "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\nevil\r\n0\r\n\r\n",
	} {
		for _, size := range []int{1, 5, 1000} {
			got := guarded(t, good+bad+"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n", size)
			if !strings.HasPrefix(got, good) || strings.Contains(got, "evil") {
				t.Errorf("%s in pieces of %d: %q", name, size, got)
			}
		}
	}
}

func TestReplay_WhatATryReadsThatIsOverTheNextOneGetsToo(t *testing.T) {
	body, client := io.Pipe()
	b := newReplay(body, 100)
	first, second := b.reader(nil), b.reader(nil)
	over := make(chan int, 1)
	go func() { n, _ := first.Read(make([]byte, 10)); over <- n }()
	go func() {
		_, _ = io.WriteString(client, "hello")
		_, _ = io.WriteString(client, " world")
		client.Close()
	}()
	if n := <-over; n != 5 {
		t.Fatal(n)
	}
	first.Close()
	if got, err := io.ReadAll(second); err != nil || string(got) != "hello world" {
		t.Errorf("%q %v", got, err)
	}
	if b.bytes() != 11 || !b.replayable() {
		t.Errorf("%d bytes, replayable %v", b.bytes(), b.replayable())
	}
	if n, err := first.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("a closed reader gave %d bytes, %v", n, err)
	}
}

func TestReplay_ABodyThatIsTooLongIsNotSentAgainByHalves(t *testing.T) {
	b := newReplay(io.NopCloser(strings.NewReader(strings.Repeat("x", 300))), 100)
	if got, err := io.ReadAll(b.reader(nil)); err != nil || len(got) != 300 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if b.replayable() {
		t.Error("it is called replayable")
	}
	if got, err := io.ReadAll(b.reader(nil)); err == nil {
		t.Errorf("a second try was given %d bytes as the whole", len(got))
	}
}
