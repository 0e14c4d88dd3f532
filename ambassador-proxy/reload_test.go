package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestReload_UnderLoadDropsNothingAndWebSocketsLiveOn(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			webSocketEcho(w, r)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}), false, false)
	address, std := kittest.FreeAddress(t), kittest.FreeAddress(t)
	text := func(i int) string {
		return fmt.Sprintf("listeners: [{address: %q, to: shop, idle_timeout: %dm}, {address: %q, to: std}]\nupstreams:\n  shop: {url: %q, keep_alive: %ds}\n  std: {url: %q, fault: {percent: 0}}\n",
			address, i+1, std, s.URL, i+10, s.URL)
	}
	admin, file, _ := launched(t, text(0))
	c1, r1 := webSocket(t, address)
	c2, r2 := webSocket(t, std)
	l := loaded(t, 4, "GET", "http://"+address+"/")
	for i := 1; i <= 5; i++ {
		l.more(t, 100)
		write(t, file, text(i))
		reloaded(t, admin, fmt.Sprintf("keep_alive: %ds", i+10))
	}
	l.more(t, 100)
	l.end()
	if l.failed.Load() > 0 {
		t.Errorf("%d of %d failed", l.failed.Load(), l.sent.Load())
	}
	for i, r := range []*bufio.Reader{r1, r2} {
		c := []io.Writer{c1, c2}[i]
		if _, err := c.Write(frame{true, opText, []byte("alive")}.append(nil, true)); err != nil {
			t.Error(err)
		}
		if f, err := readFrame(r); err != nil || string(f.payload) != "alive" {
			t.Errorf("WebSocket %d: %v %v", i, f, err)
		}
	}
}

// reloaded waits until the configuration at work contains text.
func reloaded(t *testing.T, admin, text string) {
	t.Helper()
	kittest.Eventually(t, 20*time.Second, func() bool {
		_, config := kittest.Get("http://" + admin + "/config")
		return strings.Contains(config, text)
	}, "the reload")
}

func TestReload_AppliesWhatIsOnlyOfTheListenerToNewConnections(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	echoes := tcpEcho(t)
	address := kittest.FreeAddress(t)
	upstreams := fmt.Sprintf("upstreams:\n  web: {url: %q}\n  raw: {url: \"tcp://%s\"}\n", s.URL, echoes)
	admin, file, p := launched(t, fmt.Sprintf("listeners: [{address: %q, to: web}]\n%s", address, upstreams))
	old := client(t, false)
	send := func(c *http.Client, n int) int {
		response, _ := do(t, c, "POST", "http://"+address+"/", strings.Repeat("x", n))
		return response.StatusCode
	}
	if got := send(old, 2000); got != 200 {
		t.Fatal(got)
	}
	write(t, file, fmt.Sprintf("startup_wait: 1s\naccess_log: {format: json}\nlisteners: [{address: %q, to: web, max_body: 1KiB, head_timeout: 200ms}]\n%s", address, upstreams))
	reloaded(t, admin, "max_body: 1KiB")
	if got := send(client(t, false), 2000); got != 413 {
		t.Errorf("max_body: a new connection got %d", got)
	}
	c := dialed(t, address)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET / HTT")
	if response, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || response.StatusCode != 408 {
		t.Errorf("head_timeout: %v %v", response, err)
	}
	if got := send(old, 2000); got != 200 {
		t.Errorf("the connection that was open before got %d", got)
	}
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Count(p.Stdout.String(), `"msg":"request"`) >= 3 }, "the access log, of old connections too")

	write(t, file, fmt.Sprintf("listeners: [{address: %q, to: raw}]\n%s", address, upstreams))
	reloaded(t, admin, "protocol: tcp")
	raw := dialed(t, address)
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(raw, "no HTTP at all")
	if got, err := io.ReadAll(io.LimitReader(raw, 14)); err != nil || string(got) != "no HTTP at all" {
		t.Errorf("protocol: %q %v", got, err)
	}
	if got := send(old, 2000); got != 200 {
		t.Errorf("an HTTP connection of a listener that is TCP now got %d", got)
	}
	lines := strings.Count(p.Stdout.String(), `"msg":"request"`)
	if got := send(old, 10); got != 200 || strings.Count(p.Stdout.String(), `"msg":"request"`) != lines {
		t.Errorf("the access log goes on although it is off (%d)", got)
	}
}

func TestReload_OfAListenerThatCannotBeBoundKeepsTheOldConfiguration(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	address := kittest.FreeAddress(t)
	taken := strings.TrimPrefix(s.URL, "http://")
	text := "listeners: [{address: %q, to: web}%s]\nupstreams:\n  web: {url: %q}\n"
	admin, file, p := launched(t, fmt.Sprintf(text, address, "", s.URL))
	write(t, file, fmt.Sprintf(text, address, fmt.Sprintf(", {address: %q, to: web}", taken), s.URL))
	kittest.Eventually(t, 20*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, "ambassador_config_last_reload_successful 0")
	}, "the failed reload")
	if !strings.Contains(p.Stderr.String(), taken) || !strings.Contains(p.Stderr.String(), "the old one goes on") {
		t.Errorf("the log does not say why:\n%s", p.Stderr)
	}
	if response, _ := do(t, client(t, false), "GET", "http://"+address+"/", ""); response.StatusCode != 200 {
		t.Error(response.Status)
	}
}
