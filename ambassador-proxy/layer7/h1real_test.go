package layer7

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// listening starts a server that runs in the foreground and waits until it listens.
func listening(t *testing.T, addr, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.String())
		}
	})
	kittest.Eventually(t, 10*time.Second, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, name+" to listen")
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// nginx starts a server of its own with what stands inside its server block.
func nginx(t *testing.T, block string) (addr string) {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	addr = kittest.FreeAddress(t)
	conf := write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 100; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; large_client_header_buffers 4 64k;
server { listen %[2]s; %[3]s } }
`, dir, addr, block))
	listening(t, addr, "nginx", "-c", conf)
	return addr
}

func TestReal_WrkSeesNoErrorInFrontOfNginx(t *testing.T) {
	kittest.NeedReal(t, "nginx", "wrk")
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	for name, size := range map[string]int{"small": 128, "medium": 16 << 10, "large": 1 << 20} {
		write(t, filepath.Join(dir, name), strings.Repeat("x", size))
	}
	// nginx closes each connection after 100 requests: stale connections all the time.
	up := at("tcp", nginx(t, "root "+dir+"; location = /chunked { ssi on; ssi_types *; alias "+dir+"/medium; } location = /post { return 200 ok; }"))
	_, addr := engine(t, poolOf(up))
	post := write(t, filepath.Join(dir, "post.lua"), `wrk.method = "POST"; wrk.body = string.rep("x", 4096)`)
	for _, args := range [][]string{
		{"-c1", "/small"}, {"-c64", "/small"}, {"-c32", "/medium"}, {"-c8", "/large"}, {"-c32", "/chunked"}, {"-c32", "-s" + post, "/post"},
	} {
		path := args[len(args)-1]
		run := append([]string{"-t1", "-d1s"}, args[:len(args)-1]...)
		out, err := exec.Command("wrk", append(run, "http://"+addr+path)...).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("Socket errors")) || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte(" 0 requests in")) {
			t.Errorf("wrk %v: %v\n%s", args, err, out)
		}
	}
}

// oddRequests are those on which proxies disagree.
func oddRequests() [][2]string {
	get, post := "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\n"
	return [][2]string{
		{"Content-Length and Transfer-Encoding", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"the same Content-Length twice", post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
		{"two Content-Lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"},
		{"Content-Length: 1, 1", post + "Content-Length: 1, 1\r\n\r\nx"},
		{"Content-Length: +1", post + "Content-Length: +1\r\n\r\nx"},
		{"Transfer-Encoding: identity", post + "Transfer-Encoding: identity\r\n\r\n"},
		{"Transfer-Encoding: gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"Transfer-Encoding : chunked", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"chunk size 0x1", post + "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n"},
		{"bare LF in a chunk size", post + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n"},
		{"bare LF after chunk data", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n"},
		{"Content-Length in a trailer", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n"},
		{"bare LF between lines", "GET / HTTP/1.1\nHost: a\n\n"},
		{"bare CR in a value", get + "X: a\rb\r\n\r\n"},
		{"NUL in a value", get + "X: a\x00b\r\n\r\n"},
		{"folded field", get + "X: a\r\n b\r\n\r\n"},
		{"field without a colon", get + "X\r\n\r\n"},
		{"space in a name", get + "X Y: b\r\n\r\n"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n"},
		{"two Hosts", get + "Host: b\r\n\r\n"},
		{"Host: a b", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{"Host: u@a", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
		{"fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"odd bytes in the query", "GET /?a;b&c=%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"},
		{"HTTP/0.9", "GET /\r\n\r\n"},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
		{"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n"},
		{"Upgrade: h2c", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"},
		{"Connection: x-a", get + "Connection: x-a\r\nX-A: 1\r\n\r\n"},
		{"Connection: host", get + "Connection: host\r\n\r\n"},
		{"an empty line before", "\r\n" + get + "\r\n"},
	}
}

// TestReal_OddRequestsBesideHAProxyAndNginx records what the three do. Other versions of the peers do other things: the
// file is compared only where they are those that it was written with.
func TestReal_OddRequestsBesideHAProxyAndNginx(t *testing.T) {
	kittest.NeedReal(t, "nginx", "haproxy")
	got := make(chan string, 16)
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		h := head(r)
		if h == "" {
			return
		}
		got <- h
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, r) // until the proxy has let go: a body must not meet a closed port
	})
	ha := kittest.FreeAddress(t)
	conf := write(t, filepath.Join(t.TempDir(), "haproxy.cfg"), fmt.Sprintf("defaults\n mode http\n timeout connect 2s\n timeout client 2s\n timeout server 2s\nlisten l\n bind %s\n server s %s\n", ha, up.addr))
	listening(t, ha, "haproxy", "-f", conf)
	ng := nginx(t, "location / { proxy_pass http://"+up.addr+"; proxy_http_version 1.1; }")
	_, ours := engine(t, poolOf(up))
	var table strings.Builder
	fmt.Fprintf(&table, "%-40s%-30s%-30s%s\n", "request", version(t, "haproxy", "-v"), version(t, "nginx", "-v"), "ambassador-proxy")
	for _, odd := range oddRequests() {
		fmt.Fprintf(&table, "%-40s", odd[0])
		for i, addr := range []string{ha, ng, ours} {
			fmt.Fprintf(&table, []string{"%-30s", "%-30s", "%s\n"}[i], outcome(t, addr, odd[1], got))
		}
	}
	first, _, _ := strings.Cut(table.String(), "\n")
	if old, err := os.ReadFile("testdata/odd-requests.txt"); err == nil && !strings.HasPrefix(string(old), first+"\n") && !kittest.Update() {
		t.Skipf("recorded with other versions; these are %s", first)
	}
	kittest.Golden(t, "odd-requests.txt", table.String())
}

func version(t *testing.T, name, flag string) string {
	t.Helper()
	out, err := exec.Command(name, flag).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(strings.ReplaceAll(string(out), "/", " ")) {
		if f[0] >= '0' && f[0] <= '9' {
			v, _, _ := strings.Cut(f, "-")
			return name + " " + v
		}
	}
	return name
}

// outcome is the status of the answer, and whether the upstream saw the request.
func outcome(t *testing.T, addr, raw string, upstream chan string) string {
	t.Helper()
	c := dial(t, addr)
	c.SetDeadline(time.Now().Add(3 * time.Second))
	io.WriteString(c, raw)
	answer := "closed"
	if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
		answer = res.Status[:3]
	}
	c.Close()
	select {
	case h := <-upstream:
		line, _, _ := strings.Cut(raw, "\n")
		if first, _, _ := strings.Cut(h, "\n"); strings.TrimSpace(line) != "" && strings.TrimSpace(first) != strings.TrimSpace(line) {
			return answer + " forwarded, changed"
		}
		return answer + " forwarded"
	default:
		return answer
	}
}
