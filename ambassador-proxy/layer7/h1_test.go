package layer7

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestH1_ForwardsTheBytesOfARequestAndItsAnswer(t *testing.T) {
	got := make(chan string, 1)
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		h := head(r)
		body := make([]byte, 5)
		io.ReadFull(r, body)
		got <- h + string(body)
		io.WriteString(c, "HTTP/1.1 201 Very Created\r\nx-ODD-case:  kept \r\nConnection: x-mine\r\nX-Mine: 1\r\nContent-Length: 2\r\n\r\nok")
		io.Copy(io.Discard, r)
	})
	p := poolOf(up)
	p.settings.Host, p.settings.Drop, p.inject = "api.example.com", []string{"x-key"}, "X-Key: ours\r\n"
	_, addr := engine(t, p)
	answer := talk(t, addr, "POST /a;b//%2F?q=%zz;1 HTTP/1.1\r\nhOsT: localhost\r\nX_Key: theirs\r\nx-Last:\t1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	want := "POST /a;b//%2F?q=%zz;1 HTTP/1.1\r\nhOsT: api.example.com\r\nx-Last:\t1\r\nContent-Length: 5\r\nX-Key: ours\r\n\r\nhello"
	if g := <-got; g != want {
		t.Errorf("upstream got\n%q, want\n%q", g, want)
	}
	want = "HTTP/1.1 201 Very Created\r\nx-ODD-case:  kept \r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	if answer != want {
		t.Errorf("client got\n%q, want\n%q", answer, want)
	}
}

func TestH1_CarriesLargeBodiesBothWays(t *testing.T) {
	const size = 3<<20 + 17
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	_, addr := engine(t, poolOf(up))
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			r, err := http.NewRequest("POST", "http://"+addr+"/", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if chunked {
				r.ContentLength = -1
			}
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			res, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != body {
				t.Errorf("%d bytes came back, %v; want %d", len(got), err, size)
			}
		})
	}
}

func TestH1_ReusesTheUpstreamConnectionAndTheClients(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	for i := range 100 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprintf("/%d", i) {
			t.Fatalf("request %d answered %q", i, b)
		}
	}
	if n := up.dialed(); n != 1 {
		t.Errorf("%d upstream connections, want 1", n)
	}
}

func TestH1_AnswersPipelinedRequestsInOrder(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s=%s;", r.URL.Path, b)
	})
	_, addr := engine(t, poolOf(up))
	var raw strings.Builder
	for i := range 50 {
		fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d", i, i)
	}
	raw.WriteString("GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(strings.NewReader(talk(t, addr, raw.String())))
	for i := range 50 {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprintf("/%d=%02d;", i, i) {
			t.Fatalf("answer %d is %q", i, b)
		}
	}
}
