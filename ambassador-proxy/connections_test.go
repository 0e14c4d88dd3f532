package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// lines of an access log that have all these facts.
func linesWith(t *testing.T, log string, facts map[string]any) (n int) {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		var got map[string]any
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, lines.Bytes())
		}
		all := true
		for key, want := range facts {
			all = all && got[key] == want
		}
		if all {
			n++
		}
	}
	return n
}

func TestAccessLog_TellsOfEachTCPConnectionAndTunnel(t *testing.T) {
	echo := tcpEcho(t)
	resets := kittest.Serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	tcp, broken, dead, egress := kittest.FreeAddress(t), kittest.FreeAddress(t), kittest.FreeAddress(t), kittest.FreeAddress(t)
	admin, _, p := launched(t, fmt.Sprintf(`
access_log: {format: json}
listeners: [{address: %q, to: tcp}, {address: %q, to: broken}, {address: %q, to: dead}, {address: %q, protocol: forward, allow: [%q]}]
upstreams: {tcp: {url: "tcp://%[5]s"}, broken: {url: "tcp://%s"}, dead: {url: "tcp://127.0.0.1:1", retry: off}}
`, tcp, broken, dead, egress, echo, resets))
	say := func(address, first string) string {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err.Error() // the reset of a dead upstream may be that quick
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, first)
		_ = c.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c)
		return string(got)
	}
	if got := say(tcp, "hello"); got != "hello" {
		t.Errorf("TCP: %q", got)
	}
	say(broken, "x")
	say(dead, "x")
	if got := say(egress, "CONNECT "+echo+" HTTP/1.1\r\nHost: x\r\n\r\nhello"); !strings.HasSuffix(got, "\r\n\r\nhello") {
		t.Errorf("tunnel: %q", got)
	}
	say(egress, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []map[string]any{
		{"msg": "connection", "listener": tcp, "reason": "ok", "upstream": "tcp", "endpoint": echo, "tries": 1.0, "bytes_in": 5.0, "bytes_out": 5.0},
		{"msg": "connection", "listener": broken, "reason": "upstream_reset", "upstream": "broken"},
		{"msg": "connection", "listener": dead, "reason": "connect_refused", "upstream": "dead", "tries": 1.0},
		{"msg": "request", "listener": egress, "method": "CONNECT", "target": echo, "status": 200.0, "reason": "ok", "upstream": echo, "bytes_in": 5.0, "bytes_out": 5.0},
		{"msg": "request", "listener": egress, "method": "CONNECT", "target": "127.0.0.1:1", "status": 403.0, "reason": "forbidden"},
	} {
		kittest.Eventually(t, 5*time.Second, func() bool { return linesWith(t, p.Stdout.String(), want) == 1 }, fmt.Sprint("a line with ", want))
	}
	_, metrics := kittest.Get("http://" + admin + "/metrics")
	for _, want := range []string{
		fmt.Sprintf(`ambassador_requests_total{code="none",listener=%q,reason="upstream_reset",upstream="broken"} 1`, broken),
		fmt.Sprintf(`ambassador_requests_total{code="2xx",listener=%q,reason="ok",upstream=""} 1`, egress),
		fmt.Sprintf(`ambassador_requests_total{code="%dxx",listener=%q,reason="forbidden",upstream=""} 1`, http.StatusForbidden/100, egress),
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is not among the metrics", want)
		}
	}
}
