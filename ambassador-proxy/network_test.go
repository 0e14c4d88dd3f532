package main

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestTLS_AnUnknownCertificateIsRefusedInWords(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), true, false)
	address, _, _ := proxied(t, s.URL)
	for _, h2 := range []bool{false, true} {
		response, body := do(t, client(t, h2), "GET", "http://"+address+"/", "")
		if response.StatusCode != 502 || response.Header.Get("X-Ambassador-Error") != "tls_verify_failed" {
			t.Errorf("h2 %v: %d %q", h2, response.StatusCode, body)
		}
	}
}

// The proxy on the way is a second ambassador in forward mode.
func TestVia_DialsThroughAProxyAndSaysWhenItRefuses(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	host := strings.TrimPrefix(s.URL, "http://")
	egress, admin := kittest.FreeAddress(t), kittest.FreeAddress(t)
	kittest.Start(t, nil, "ambassador-proxy", "--admin-address", admin, "--forward", egress, "--allow", host).WaitReady(admin)
	address, _, _ := proxied(t, s.URL, "--via", "http://"+egress)
	if response, body := do(t, client(t, false), "GET", "http://"+address+"/x", ""); response.StatusCode != 200 || !strings.Contains(body, "GET /x") {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	other, _, _ := proxied(t, "http://127.0.0.1:1", "--via", "http://"+egress)
	response, body := do(t, client(t, false), "GET", "http://"+other+"/", "")
	if response.StatusCode != 502 || response.Header.Get("X-Ambassador-Error") != "via_failed" || !strings.Contains(body, "403 Forbidden") {
		t.Errorf("%d %q", response.StatusCode, body)
	}
	nobody := kittest.FreeAddress(t)
	lost, _, _ := proxied(t, s.URL, "--via", "http://"+nobody)
	if _, body := do(t, client(t, false), "GET", "http://"+lost+"/", ""); !strings.Contains(body, "via "+nobody+": dial tcp "+nobody+": connect: connection refused") {
		t.Errorf("without a proxy: %q", body)
	}
}

func TestPROXYProtocol_AnnouncesTheApp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	line := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		text, _ := bufio.NewReader(c).ReadString('\n')
		line <- text
	}()
	address, _, _ := proxied(t, "tcp://"+l.Addr().String()+"?proxy_protocol=v1")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	from, to := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
	want := "PROXY TCP4 127.0.0.1 127.0.0.1 " + strings.Split(from.String(), ":")[1] + " " + strings.Split(to.String(), ":")[1] + "\r\n"
	if got := <-line; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUnixSockets_WorkOnBothSides(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/up.sock")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(echo)}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	admin := kittest.FreeAddress(t)
	kittest.Start(t, nil, "ambassador-proxy", "--admin-address", admin, "--proxy", "unix:"+dir+"/app.sock=unix:"+dir+"/up.sock").WaitReady(admin)
	c, err := net.Dial("unix", dir+"/app.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /u HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || response.StatusCode != 200 {
		t.Errorf("%v %v", response, err)
	}
}
