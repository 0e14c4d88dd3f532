package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// TestReal_AMillionLinesReachVictoriaLogsAcrossRotationsAndKillMinus9 writes a million numbered lines into a file that rotates
// by rename, kills the shipper twice on the way, and asks the log store for every number.
func TestReal_AMillionLinesReachVictoriaLogsAcrossRotationsAndKillMinus9(t *testing.T) {
	const lines, perFile = 1_000_000, 150_000
	web, _ := kittest.VictoriaLogs(t)
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "app.log")
	start := func() *kittest.Process {
		address := kittest.FreeAddress(t)
		p := kittest.Start(t, nil, "sidecar-logshipper", "--admin-address", address, "--path", path, "--state", state,
			"--to", "victorialogs+http://"+web, "--drain-timeout", "2m")
		p.WaitReady(address)
		return p
	}
	shipper := start()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 64<<10)
	for n := range lines {
		fmt.Fprintf(w, "n%07d GET /index.html 200 \"quoted\" %s\n", n, strings.Repeat("x", 60))
		if n%perFile == perFile-1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			f = renamed(t, f, path, n/perFile)
			w.Reset(f)
		}
		if n == lines/3 || n == 2*lines/3 {
			kill(shipper)
			shipper = start()
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	shipper.Signal(syscall.SIGTERM)
	if code := shipper.Wait(3 * time.Minute); code != 0 {
		t.Fatalf("the shipper left work behind: exit code %d", code)
	}
	seen := make([]bool, lines)
	kittest.Eventually(t, time.Minute, func() bool { return found(t, web, seen) == lines }, "every line to be found by query")
}

func renamed(t *testing.T, f *os.File, path string, n int) *os.File {
	t.Helper()
	f.Close()
	if err := os.Rename(path, fmt.Sprintf("%s.%d", path, n)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// found marks the numbers that the store knows and counts them.
func found(t *testing.T, web string, seen []bool) (count int) {
	t.Helper()
	response, err := http.PostForm("http://"+web+"/select/logsql/query", url.Values{"query": {"* | fields _msg"}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	rows := bufio.NewScanner(response.Body)
	rows.Buffer(nil, 1<<20)
	for rows.Scan() {
		var row struct {
			Message string `json:"_msg"`
		}
		var n int
		if err := json.Unmarshal(rows.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(row.Message, "n%d ", &n); err != nil {
			t.Fatalf("a line that nobody wrote: %s", row.Message)
		}
		seen[n] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, s := range seen {
		if s {
			count++
		}
	}
	return count
}
