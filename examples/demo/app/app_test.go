package app

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// sequence reads the numbers of all lines of the log, rotated files first.
func sequence(t *testing.T, dir string) (numbers []int64, last string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "app.log*"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(files)))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for each := range strings.Lines(string(text)) {
			var l line
			if err := json.Unmarshal([]byte(each), &l); err != nil {
				t.Fatal(err)
			}
			numbers, last = append(numbers, l.Seq), l.Message
		}
	}
	return numbers, last
}

func TestApp_NumbersEveryLineAcrossRotationsAndSaysGoodbye(t *testing.T) {
	dir := t.TempDir()
	var farewells atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/farewell" {
			farewells.Add(1)
		}
	}))
	defer backend.Close()
	err := Main(t.Context(), []string{"--listen=", "--log-dir", dir, "--backend", backend.URL, "--rate=5000", "--orders=200", "--rotate-bytes=10000"})
	if err != nil {
		t.Fatal(err)
	}
	numbers, last := sequence(t, dir)
	if len(numbers) != 201 || last != "farewell" {
		t.Fatalf("%d lines, the last is %q", len(numbers), last)
	}
	for i, n := range numbers {
		if n != int64(i)+1 {
			t.Fatalf("line %d has number %d", i+1, n)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "app.log.*")); len(files) < 2 {
		t.Errorf("rotated into %v", files)
	}
	if farewells.Load() != 1 {
		t.Errorf("%d farewell calls", farewells.Load())
	}
}

func TestApp_FailsWhenItsFarewellCallFails(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	defer backend.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Main(ctx, []string{"--listen=", "--log-dir", t.TempDir(), "--backend", backend.URL})
	if err == nil || !strings.Contains(err.Error(), "farewell call") {
		t.Errorf("got %v", err)
	}
}

func TestApp_SendsStatsDLinesAtItsRate(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begin := time.Now()
	go func() {
		done <- Main(ctx, []string{"--listen=", "--log-dir=", "--farewell=false", "--statsd=" + conn.LocalAddr().String(), "--statsd-rate=2000"})
	}()
	lines := 0
	for packet := make([]byte, 2048); lines < 400; {
		n, _, err := conn.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(packet[:n]), "\n") + 1
	}
	if took := time.Since(begin); took < 150*time.Millisecond {
		t.Errorf("400 lines came in %s, although 2000 lines take a second", took)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
