package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// memory is what a process holds of the machine's.
func memory(t *testing.T, p *kittest.Process) (bytes int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// descriptors raises the limit of open files of this process, and of those that it starts, to what n connections need.
func descriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("%d open files are needed (ulimit -Hn): %v", n, err)
	}
}

func TestIdleConnections_TenThousandAreServedInBoundedMemory(t *testing.T) {
	const many, most = 10_000, instrumented * 100 << 20 // bytes; 60 MiB were measured, 540 with the race detector
	descriptors(t, many+1000)
	s := server(t, http.HandlerFunc(echo), false, false)
	address, admin, p := proxied(t, s.URL)
	before := memory(t, p)
	conns := make([]net.Conn, many)
	var opening sync.WaitGroup
	var failed atomic.Int64
	request := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for worker := range 8 {
		opening.Go(func() {
			for i := worker; i < many; i += 8 {
				c, err := net.Dial("tcp", address)
				if err == nil {
					conns[i] = c
					_, err = c.Write(request)
				}
				if err == nil {
					var response *http.Response
					if response, err = http.ReadResponse(bufio.NewReader(c), nil); err == nil && response.StatusCode != 200 {
						err = errors.New(response.Status)
					}
				}
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	opening.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	if failed.Load() > 0 {
		t.Fatalf("%d of %d failed", failed.Load(), many)
	}
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); !strings.Contains(metrics, fmt.Sprintf(`side="app",state="open",upstream=""} %d`, many)) && !strings.Contains(metrics, `side="app",state="open",upstream=""} 1e+04`) {
		t.Error("they are not in the metrics")
	}
	after := memory(t, p)
	t.Logf("%d MiB before, %d MiB with %d idle connections", before>>20, after>>20, many)
	if after-before > most {
		t.Errorf("%d idle connections cost %d MiB", many, (after-before)>>20)
	}
	for _, i := range []int{0, many / 2, many - 1} {
		if _, err := conns[i].Write(request); err != nil {
			t.Error(err)
		}
		if response, err := http.ReadResponse(bufio.NewReader(conns[i]), nil); err != nil || response.StatusCode != 200 {
			t.Errorf("connection %d: %v %v", i, response, err)
		}
	}
}

// A flood of heads that never end, and of bodies that nobody reads: what one connection may hold is bounded.
func TestFloods_OfHeadsAndBodiesStayInBoundedMemory(t *testing.T) {
	const clients, each, most = 40, 4 << 20, (56 + 8*instrumented) << 20 // bytes of a client, bytes of memory
	release := make(chan struct{})
	s := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-release }), false, false)
	t.Cleanup(func() { close(release) }) // before the server is closed, which waits
	fast, std := kittest.FreeAddress(t), kittest.FreeAddress(t)
	_, _, p := launched(t, fmt.Sprintf("listeners: [{address: %q, to: fast}, {address: %q, to: std}]\nupstreams:\n  fast: {url: %q}\n  std: {url: %q, fault: {percent: 0}}\n", fast, std, s.URL, s.URL))
	before := memory(t, p)
	field, part := "X: "+strings.Repeat("a", 1000)+"\r\n", strings.Repeat("x", 64<<10)
	for name, flood := range map[string]struct{ head, rest string }{
		"heads":  {"GET / HTTP/1.1\r\nHost: x\r\n", field},
		"bodies": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", part},
		"chunks": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(part), part)},
	} {
		var sent atomic.Int64
		var flooding sync.WaitGroup
		var conns []net.Conn
		for i := range clients {
			c := dialed(t, []string{fast, std}[i%2])
			conns = append(conns, c)
			flooding.Go(func() {
				_, err := io.WriteString(c, flood.head)
				for all := 0; err == nil && all < each; {
					var n int
					n, err = io.WriteString(c, flood.rest)
					all += n
					sent.Add(int64(n))
				}
			})
		}
		last, still := int64(-1), time.Now()
		kittest.Eventually(t, 60*time.Second, func() bool {
			if n := sent.Load(); n != last {
				last, still = n, time.Now()
			}
			return time.Since(still) > 300*time.Millisecond
		}, "the flood of "+name+" to be over, held back or refused")
		used := memory(t, p) - before
		t.Logf("%s: %d MiB sent, %d MiB of memory", name, sent.Load()>>20, used>>20)
		if used > most {
			t.Errorf("%s: %d MiB of memory for %d clients", name, used>>20, clients)
		}
		for _, c := range conns {
			c.Close()
		}
		flooding.Wait()
	}
}
