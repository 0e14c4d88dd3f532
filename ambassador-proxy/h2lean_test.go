package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// bothUpstreams starts an ambassador in front of h over HTTP/1.1 and over HTTP/2, for clients of HTTP/2. Options follow the URL.
func bothUpstreams(t *testing.T, h http.Handler, options string) (addresses map[string]string, p *kittest.Process) {
	h1, h2 := server(t, h, false, false), server(t, h, false, true)
	one, two := kittest.FreeAddress(t), kittest.FreeAddress(t)
	_, _, p = launched(t, fmt.Sprintf("listeners: [{address: %q, to: one}, {address: %q, to: two}]\nupstreams:\n  one: {url: %q}\n  two: {url: %q}\n",
		one, two, h1.URL+options, strings.Replace(h2.URL, "http:", "h2c:", 1)+options))
	return map[string]string{"HTTP/1.1": one, "HTTP/2": two}, p
}

func TestH2_BodiesOfAnyLengthAndTrailersGoThroughBothWays(t *testing.T) {
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		sum := sha256.New()
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, io.TeeReader(r.Body, sum))
		w.Header().Set("X-Sum", fmt.Sprintf("%x,%s", sum.Sum(nil), r.Trailer.Get("X-From")))
	}), "")
	c := client(t, true)
	for upstream, address := range addresses {
		for _, size := range []int{0, 1, 1000, 16 << 10, 40_000, 3 << 20} {
			for _, known := range []bool{true, false} {
				body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				r, err := http.NewRequest("POST", "http://"+address+"/", struct{ io.Reader }{strings.NewReader(body)})
				if err != nil {
					t.Fatal(err)
				}
				from := ""
				if r.ContentLength = -1; known {
					r.ContentLength = int64(size)
				} else {
					from = "app"
					r.Trailer = http.Header{"X-From": {from}}
				}
				if known && size == 0 {
					r.Body = nil
				}
				response, err := c.Do(r)
				if err != nil {
					t.Fatalf("%s, %d bytes, known %v: %v", upstream, size, known, err)
				}
				got, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || string(got) != body {
					t.Errorf("%s, %d bytes, known %v: %d bytes, %v", upstream, size, known, len(got), err)
				}
				want := fmt.Sprintf("%x,%s", sha256.Sum256([]byte(body)), from)
				if sum := response.Trailer.Get("X-Sum"); sum != want && (upstream == "HTTP/2" || !known) {
					t.Errorf("%s, %d bytes, known %v: trailer %q, want %q", upstream, size, known, sum, want)
				}
			}
		}
	}
}

func TestH2_AnswersWithoutABodyAndInterimOnesAreWhatTheyWere(t *testing.T) {
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(304)
		case "/103":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			fmt.Fprint(w, "after")
		default:
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hello")
		}
	}), "")
	c := client(t, true)
	for upstream, address := range addresses {
		for _, row := range []struct {
			method, path string
			status       int
			body         string
		}{{"GET", "/204", 204, ""}, {"GET", "/304", 304, ""}, {"HEAD", "/", 200, ""}, {"GET", "/", 200, "hello"}, {"GET", "/103", 200, "after"}} {
			hints := ""
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints = fmt.Sprint(code, h.Get("Link"))
				return nil
			}})
			r, _ := http.NewRequestWithContext(ctx, row.method, "http://"+address+row.path, nil)
			response, err := c.Do(r)
			if err != nil {
				t.Fatal(upstream, row, err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != row.status || string(body) != row.body || row.method == "HEAD" && response.ContentLength != 5 {
				t.Errorf("%s %+v: %v %q %v", upstream, row, response, body, err)
			}
			if (hints == "103</a>") != (row.path == "/103") {
				t.Errorf("%s %s: interim answer %q", upstream, row.path, hints)
			}
		}
	}
}

func TestH2_HeadersAreForwardedAndCleaned(t *testing.T) {
	got := make(chan *http.Request, 1)
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
	}), "?host=keep")
	c := client(t, true)
	for upstream, address := range addresses {
		r, _ := http.NewRequest("GET", "http://"+address+"/a%2fb?c=%zz;d", nil)
		r.Host = "some.host:1"
		r.Header = http.Header{"Cookie": {"a=1; b=2"}, "Te": {"trailers"}, "X-Forwarded-For": {"10.0.0.1"}, "Proxy-Authorization": {"secret"},
			"User-Agent": {"app"}, "Accept-Encoding": {"identity"}}
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		saw := <-got
		delete(saw.Header, "Connection") // of HTTP/1.1, for TE
		h := saw.Header
		if len(h) != 5 || h.Get("Cookie") != "a=1; b=2" || h.Get("Te") != "trailers" || h.Get("X-Forwarded-For") != "10.0.0.1" || saw.Host != "some.host:1" || saw.RequestURI != "/a%2fb?c=%zz;d" {
			t.Errorf("%s: the upstream saw %s %s %v", upstream, saw.Host, saw.RequestURI, h)
		}
		if cookies := response.Header["Set-Cookie"]; len(cookies) != 2 || upstream == "HTTP/1.1" && response.Header.Get("X-Hop") != "" {
			t.Errorf("%s: the app saw %v", upstream, response.Header)
		}
	}
}

func TestH2_AClientThatGivesUpEndsTheRequestUpstream(t *testing.T) {
	ended := make(chan struct{}, 1)
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		ended <- struct{}{}
	}), "")
	c := client(t, true)
	for upstream, address := range addresses {
		for _, path := range []string{"/silent", "/begun"} {
			ctx, cancel := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address+path, nil)
			time.AfterFunc(100*time.Millisecond, cancel)
			response, err := c.Do(r)
			if err == nil {
				_, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s %s: %v", upstream, path, err)
			}
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Errorf("%s %s: the upstream goes on", upstream, path)
			}
		}
	}
}

func TestH2_TheUpstreamIsHeldBackForASlowReaderAndOthersAreNot(t *testing.T) {
	var taken atomic.Int64
	addresses, p := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			fmt.Fprint(w, "quick")
			return
		}
		endless(&taken).ServeHTTP(w, r)
	}), "")
	before := memory(t, p)
	for upstream, address := range addresses {
		taken.Store(0)
		c := client(t, true)
		c.Timeout = 0
		var slow []*http.Response
		for range 3 {
			response, err := c.Get("http://" + address + "/")
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, response)
		}
		last, still := int64(-1), time.Now()
		kittest.Eventually(t, 30*time.Second, func() bool {
			if n := taken.Load(); n != last {
				last, still = n, time.Now()
			}
			return time.Since(still) > 500*time.Millisecond
		}, "the upstream to be held back")
		if used := memory(t, p) - before; used > instrumented*64<<20 || last > 64<<20 {
			t.Errorf("%s: %d MiB were taken, %d MiB are held", upstream, last>>20, used>>20)
		}
		if _, body := do(t, client(t, true), "GET", "http://"+address+"/quick", ""); body != "quick" {
			t.Errorf("%s: %q", upstream, body)
		}
		for _, response := range slow {
			response.Body.Close()
		}
	}
}

func TestH2_ManyStreamsAtOnceGetTheirOwnAnswers(t *testing.T) {
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.RequestURI, body)
	}), "")
	for upstream, address := range addresses {
		c := client(t, true)
		c.Timeout = time.Minute
		var all sync.WaitGroup
		for worker := range 40 {
			all.Go(func() {
				for i := range 25 {
					path, body := fmt.Sprintf("/%d/%d", worker, i), strings.Repeat("x", worker*i*20)
					response, err := c.Post("http://"+address+path, "text/plain", strings.NewReader(body))
					if err != nil {
						t.Error(upstream, err)
						return
					}
					got, err := io.ReadAll(response.Body)
					response.Body.Close()
					if want := path + " " + body; err != nil || string(got) != want {
						t.Errorf("%s %s: %d bytes instead of %d, %v", upstream, path, len(got), len(want), err)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestH2_MalformedRequestsReachNoUpstream(t *testing.T) {
	var seen atomic.Int64
	addresses, _ := bothUpstreams(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }), "")
	for upstream, address := range addresses {
		for _, fields := range [][]string{
			{"transfer-encoding", "chunked"}, {"a", "b\r\nc: d"}, {"a\r\nb", "c"}, {"A", "b"}, {"a", "b\x00"}, {":path", "/again"}, {"host", "other"},
		} {
			conn := dialed(t, address)
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			var block []byte
			for i, s := range append([]string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/"}, fields...) {
				if i%2 == 0 {
					block = append(block, 0) // a literal
				}
				block = append(append(block, byte(len(s))), s...)
			}
			reset(t, conn, block, upstream+" "+fields[0])
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("%d requests reached an upstream", n)
	}
}

// reset sends a request whose body is empty, and wants its stream to be reset.
func reset(t *testing.T, conn net.Conn, block []byte, name string) {
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	_ = f.WriteSettings()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
	_ = f.WriteData(1, true, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			if frame.ErrCode != http2.ErrCodeProtocol {
				t.Errorf("%s: %v", name, frame)
			}
			return
		case *http2.HeadersFrame:
			t.Errorf("%s was answered", name)
			return
		}
	}
}
