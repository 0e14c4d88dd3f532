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
	kind kind
	goal float64 // of the ratio to HAProxy
	load func(addr string, seconds int) (work float64, err error)
}

func cases(dir string) ([]job, error) {
	script, message := filepath.Join(dir, "post.lua"), filepath.Join(dir, "message")
	body := `wrk.method = "POST"; wrk.body = string.rep("x", 4096)`
	if err := os.WriteFile(script, []byte(body), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(message, append([]byte{0, 0, 0, 0, 128}, make([]byte, 128)...), 0o644); err != nil {
		return nil, err
	}
	call := []string{"-d", message, "-H", "content-type: application/grpc", "-H", "te: trailers"}
	return []job{
		{"128 B, 1 connection", plain, 1.1, wrk("/small", 1)},
		{"128 B, 32", plain, 1.1, wrk("/small", 32)},
		{"128 B, 256", plain, 1.1, wrk("/small", 256)},
		{"16 KiB, 1", plain, 1.25, wrk("/medium", 1)},
		{"16 KiB, 32", plain, 1.25, wrk("/medium", 32)},
		{"16 KiB, 256", plain, 1.25, wrk("/medium", 256)},
		{"1 MiB, 8", plain, 1.4, wrk("/large", 8)},
		{"chunked 16 KiB, 32", plain, 1.3, wrk("/chunked", 32)},
		{"POST 4 KiB, 32", plain, 1.2, wrk("/post", 32, "-s", script)},
		{"TLS upstream, 128 B, 32", secure, 1.1, wrk("/small", 32)},
		{"TLS upstream, 1 MiB, 8", secure, 0.9, wrk("/large", 8)},
		{"TLS full handshake, X25519, 8", full, 1.4, wrk("/small", 8)},
		{"TLS resumed, X25519, 8", resumed, 1.4, wrk("/small", 8)},
		{"h2c, 128 B, 4 × 8 streams", h2c, 0.6, h2load("/small", 4, 8)},
		{"gRPC unary, 4 × 8 streams", grpc, 0.6, h2load("/bench.Echo/Unary", 4, 8, call...)},
		{"TCP stream", tcp, 4, own("stream", 4)},
		{"TCP ping-pong, 32", tcp, 0.9, own("pingpong", 32)},
	}, nil
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

// h2load is a load over HTTP/2 with prior knowledge; an answer that is not 2xx or a stream error fails the case.
func h2load(path string, connections, streams int, args ...string) func(string, int) (float64, error) {
	done := regexp.MustCompile(`(\d+) done, (\d+) succeeded, (\d+) failed`)
	return func(addr string, seconds int) (float64, error) {
		all := append([]string{"-c", loadCore, "h2load", "-t1", "-c", strconv.Itoa(connections), "-m", strconv.Itoa(streams),
			"-D", strconv.Itoa(seconds)}, args...)
		out, err := exec.Command("taskset", append(all, "http://"+addr+path)...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("h2load: %w\n%s", err, out)
		}
		m := done.FindSubmatch(out)
		if m == nil || string(m[1]) != string(m[2]) || string(m[1]) == "0" {
			return 0, fmt.Errorf("h2load saw errors:\n%s", out)
		}
		return strconv.ParseFloat(string(m[2]), 64)
	}
}

// own is a load of this program, started again on the other core; it prints the work done.
func own(role string, connections int) func(string, int) (float64, error) {
	return func(addr string, seconds int) (float64, error) {
		out, err := again(role, addr, strconv.Itoa(connections), strconv.Itoa(seconds))
		if err != nil {
			return 0, err
		}
		return strconv.ParseFloat(out, 64)
	}
}

// again runs this program in a role on the core of the load and returns what it prints.
func again(role string, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	out, err := exec.Command("taskset", append([]string{"-c", loadCore, self, role}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", role, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
