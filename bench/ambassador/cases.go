package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// job is one row: a load through one kind of listener. It answers how much work was done.
type job struct {
	name string
	unit string // of the work
	goal float64
	addr func(*peer) string // "": the peer cannot
	load func(addr string, seconds int) (work float64, err error)
}

func cases(dir string) []job {
	plain := func(p *peer) string { return p.http }
	secure := func(p *peer) string { return p.https }
	stream := func(p *peer) string { return p.tcp }
	script := filepath.Join(dir, "post.lua")
	body := `wrk.method = "POST"; wrk.body = string.rep("x", 4096)`
	if err := os.WriteFile(script, []byte(body), 0o644); err != nil {
		panic(err)
	}
	return []job{
		{"128 B, 1 connection", "requests", 1.1, plain, wrk("/small", 1)},
		{"128 B, 32", "requests", 1.1, plain, wrk("/small", 32)},
		{"128 B, 256", "requests", 1.1, plain, wrk("/small", 256)},
		{"16 KiB, 32", "requests", 1.25, plain, wrk("/medium", 32)},
		{"1 MiB, 8", "requests", 1.4, plain, wrk("/large", 8)},
		{"chunked 16 KiB, 32", "requests", 1.3, plain, wrk("/chunked", 32)},
		{"POST 4 KiB, 32", "requests", 1.2, plain, wrk("/post", 32, "-s", script)},
		{"TLS upstream, 128 B, 32", "requests", 1.1, secure, wrk("/small", 32)},
		{"TLS upstream, 1 MiB, 8", "requests", 0.9, secure, wrk("/large", 8)},
		{"TCP stream", "MB", 4, stream, own("stream", 4)},
		{"TCP ping-pong, 32", "messages", 0.9, stream, own("pingpong", 32)},
	}
}

// wrk is a load of GETs; an answer that is not 2xx or a socket error fails the case.
func wrk(path string, connections int, args ...string) func(string, int) (float64, error) {
	requests := regexp.MustCompile(`(\d+) requests in`)
	return func(addr string, seconds int) (float64, error) {
		all := append([]string{"-c", loadCore, "wrk", "-t1", "-c" + strconv.Itoa(connections), fmt.Sprintf("-d%ds", seconds)}, args...)
		out, err := exec.Command("taskset", append(all, "http://"+addr+path)...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("wrk: %w\n%s", err, out)
		}
		if s := string(out); strings.Contains(s, "Socket errors") || strings.Contains(s, "Non-2xx") {
			return 0, fmt.Errorf("wrk saw errors:\n%s", s)
		}
		m := requests.FindSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("wrk printed no total:\n%s", out)
		}
		return strconv.ParseFloat(string(m[1]), 64)
	}
}

// own is a load of this program, started again on the other core; it prints the work done.
func own(role string, connections int) func(string, int) (float64, error) {
	return func(addr string, seconds int) (float64, error) {
		self, err := os.Executable()
		if err != nil {
			return 0, err
		}
		out, err := exec.Command("taskset", "-c", loadCore, self, role, addr, strconv.Itoa(connections), strconv.Itoa(seconds)).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%s: %w\n%s", role, err, out)
		}
		return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	}
}
