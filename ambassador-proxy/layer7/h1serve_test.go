package layer7

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestH1_HearsWhatTheClientSendsWhileItIsAnswered(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			asked <- struct{}{}
			<-answer
		}
		io.WriteString(w, r.URL.Path)
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
		<-asked
		io.WriteString(c, "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
		answer <- struct{}{}
		for _, want := range []string{"/first", "/second"} {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(res.Body); string(b) != want {
				t.Fatalf("%q instead of %q", b, want)
			}
		}
	}
}

func TestH1_EndsWithAClientThatEndedBehindItsRequest(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	e, _ := engine(t, poolOf(up))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := dial(t, ln.Addr().String())
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// Both are there before the poller is asked for the first time.
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.(*net.TCPConn).CloseWrite()
	served := make(chan struct{})
	go func() { e.Serve(ours); close(served) }()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v, want the end", n, err)
	}
	<-served
}

func TestH1_AnswersARequestThatComesInPieces(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.URL.Path+string(b))
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	const raw = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /c HTTP/1.1\r\nHost: a\r\n\r\n"
	for cut := range len(raw) {
		io.WriteString(c, raw[:cut])
		io.WriteString(c, raw[cut:])
		for _, want := range []string{"/a", "/bbody", "/c"} {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if b, _ := io.ReadAll(res.Body); string(b) != want {
				t.Fatalf("cut at %d: %q instead of %q", cut, b, want)
			}
		}
	}
}
