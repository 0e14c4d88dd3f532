package source

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dd "github.com/DataDog/datadog-go/v5/statsd"
	cactus "github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// running is a push with a StatsD decoder behind it.
type running struct {
	*Push
	t       *testing.T
	store   *series.Store
	decoder *decode.StatsD
	stop    func()
}

func start(t *testing.T, addresses ...string) *running {
	t.Helper()
	s := series.New(series.Options{})
	d := decode.NewStatsD(s, s.Source("statsd"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Listen(ctx, addresses, d, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	r := &running{Push: p, t: t, store: s, decoder: d, stop: func() { cancel(); <-done }}
	t.Cleanup(r.stop)
	return r
}

func (r *running) page() string {
	var b bytes.Buffer
	if err := expose.New(r.store, nil, nil).Write(&b, expfmt.FmtText); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

// shows waits until the page has each of lines.
func (r *running) shows(lines ...string) {
	r.t.Helper()
	for _, l := range lines {
		kittest.Eventually(r.t, 10*time.Second, func() bool { return strings.Contains(r.page(), l+"\n") }, l+" on the page:\n"+r.page())
	}
}

// datadog sends one of everything that the real client can send.
func datadog(t *testing.T, address string) {
	t.Helper()
	c, err := dd.New(address, dd.WithTags([]string{"env:test"}), dd.WithNamespace("shop."), dd.WithoutTelemetry(), dd.WithExtendedClientSideAggregation())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c.Incr("orders", []string{"kind:new"}, 1)
		c.Gauge("queue.length", float64(i), nil, 1)
		c.Distribution("size", float64(i), nil, 1)
		c.Histogram("depth", float64(i), nil, 1)
		c.Timing("latency", time.Duration(i)*time.Millisecond, nil, 1)
		c.Set("users", fmt.Sprint("u", i%7), nil, 1)
	}
	c.GaugeWithTimestamp("stamped", 4, nil, 1, time.Now())
	c.Count("sampled", 1, nil, 1)
	c.Event(&dd.Event{Title: "deploy", Text: "line one\nline two|with a bar", AlertType: dd.Error, Priority: dd.Low})
	c.ServiceCheck(&dd.ServiceCheck{Name: "db.up", Status: dd.Critical, Message: "no | route"})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func datadogLines() []string {
	return []string{
		`shop_orders_total{env="test",kind="new"} 100`, `shop_queue_length{env="test"} 99`,
		`shop_size_count{env="test"} 100`, `shop_depth_sum{env="test"} 4950`, `shop_latency_seconds_count{env="test"} 100`,
		`shop_users{env="test"} 7`, `shop_stamped{env="test"} 4`, `shop_sampled_total{env="test"} 1`,
		`statsd_events_total{alert_type="error",env="test",priority="low"} 1`,
		`statsd_service_check_status{check="db.up",env="test"} 2`,
	}
}

func TestPush_UnderstandsDatadogGoOverUDP(t *testing.T) {
	r := start(t, "udp://127.0.0.1:0")
	datadog(t, r.Addresses()[0].String())
	r.shows(datadogLines()...)
}

func TestPush_UnderstandsDatadogGoOverUnixgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsd.sock")
	r := start(t, "unixgram://"+path)
	datadog(t, "unixgram://"+path)
	r.shows(datadogLines()...)
}

func TestPush_UnderstandsDatadogGoOverUnixStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsd.sock")
	r := start(t, "unix://"+path)
	datadog(t, "unixstream://"+path)
	r.shows(datadogLines()...)
}

func TestPush_UnderstandsAStatsDClientOverTCP(t *testing.T) {
	r := start(t, "tcp://127.0.0.1:0")
	conn, err := net.Dial("tcp", r.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cactus.NewClientWithSender(stream{conn}, "web", cactus.SuffixOctothorpe)
	if err != nil {
		t.Fatal(err)
	}
	region := cactus.Tag{"region", "eu"}
	for range 1000 {
		c.Inc("hits", 2, 1, region)
		c.Timing("time", 20, 1, region)
	}
	c.Gauge("users", 5, 1, region)
	c.GaugeDelta("users", -7, 1, region)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r.shows(`web_hits_total{region="eu"} 2000`, `web_time_seconds_count{region="eu"} 1000`, `web_users{region="eu"} -2`)
}

// stream lets a client that makes packets write to a connection.
type stream struct{ net.Conn }

func (s stream) Send(line []byte) (int, error) { return s.Write(append(line, '\n')) }

func TestPush_TakesPlainLinesOverAUnixStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	r := start(t, "unix://"+path)
	send(t, "unix", path, "a:1|c\na:1|c\nlast:7|g") // the last line without a line feed
	r.shows("a_total 2", "last 7")
}

func send(t *testing.T, network, address, data string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
}

func TestPush_ALineLongerThanTheBufferCostsOnlyItself(t *testing.T) {
	r := start(t, "tcp://127.0.0.1:0")
	send(t, "tcp", r.Addresses()[0].String(), "a:1|c\n"+strings.Repeat("x", 3*streamBytes)+":1|c\na:1|c\n")
	r.shows("a_total 2")
	if n := r.Count().LinesTooLong; n != 1 {
		t.Errorf("%d lines too long, want 1", n)
	}
}

func TestPush_SplitLinesAreJoined(t *testing.T) {
	r := start(t, "tcp://127.0.0.1:0")
	c, err := net.Dial("tcp", r.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, part := range []string{"first:1|", "c\nsec", "ond:2|g\nth", "ird:3|g\n"} {
		if _, err := c.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		kittest.Eventually(t, 5*time.Second, func() bool { return r.Count().Packets >= uint64(i) }, "the part before")
	}
	r.shows("first_total 1", "second 2", "third 3")
}

// TestPush_CountsWhatTheKernelDrops fills the socket of a listener that does not run yet.
func TestPush_CountsWhatTheKernelDrops(t *testing.T) {
	s := series.New(series.Options{})
	d := decode.NewStatsD(s, s.Source("statsd"), nil)
	p, err := Listen(t.Context(), []string{"udp://127.0.0.1:0"}, d, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(p.parts[0].(*datagrams).fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", p.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const sent = 1000
	for range sent {
		if _, err := c.Write([]byte("a:1|c")); err != nil {
			t.Fatal(err)
		}
	}
	before := p.Count().KernelDrops
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil { // takes what the kernel holds
		t.Fatal(err)
	}
	got := p.Count()
	if before == 0 || got.Packets+got.KernelDrops != sent {
		t.Errorf("%d received and %d dropped (%d before) of %d", got.Packets, got.KernelDrops, before, sent)
	}
}

func TestPush_WhatArrivedBeforeTheEndIsDecoded(t *testing.T) {
	r := start(t, "udp://127.0.0.1:0")
	for range 50 {
		send(t, "udp", r.Addresses()[0].String(), "a:1|c")
	}
	r.stop()
	if !strings.Contains(r.page(), "a_total 50\n") {
		t.Error(r.page())
	}
}

func TestPush_ManyConnectionsAtOnceLoseNothing(t *testing.T) {
	r := start(t, "tcp://127.0.0.1:0")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { send(t, "tcp", r.Addresses()[0].String(), strings.Repeat("a:1|c\nb:3|ms\n", 5000)) })
	}
	wg.Wait()
	r.shows("a_total 100000", "b_seconds_count 100000")
}

func TestListen_TakesOverASocketThatAKilledPredecessorLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	old, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), []string{"unixgram://" + path}, nil, nil); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a socket in use: %v", err)
	}
	old.Close() // leaves the file
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	r := start(t, "unixgram://"+path)
	send(t, "unixgram", path, "a:1|c")
	r.shows("a_total 1")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v: an app of another uid cannot write", info.Mode(), err)
	}
}

func TestListen_SaysWhatIsWrongWithAnAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		":8125":            "no scheme (write udp://:8125",
		"udp://8125":       "missing port in address (write udp://:8125)",
		"sctp://:1":        `unknown scheme "sctp" (one of udp, tcp, unixgram, unix)`,
		"unix://" + file:   "is there and no socket (choose another path)",
		"udp://127.0.0.1:": "",
		"udp://":           "missing port in address",
		"udp://:1a":        `the port "1a" is no number below 65536`,
		"tcp://:65536":     `the port "65536" is no number below 65536`,
		"unix://" + filepath.Join(t.TempDir(), "none", "x"): "no such file or directory (is the volume mounted there?)",
		"unix://": "the path of a socket has 1 to 107 bytes",
	} {
		p, err := Listen(t.Context(), []string{"tcp://127.0.0.1:0", address}, nil, nil)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", address, err)
			}
			p.Close()
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

func TestPushMetrics_CountPacketsLinesAndDrops(t *testing.T) {
	r := start(t, "udp://127.0.0.1:0")
	send(t, "udp", r.Addresses()[0].String(), "a:1|c\nb:1|c")
	r.shows("a_total 1", "b_total 1")
	kittest.Eventually(t, 5*time.Second, func() bool { return r.Count().Packets == 1 }, "the packet to be counted")
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(PushMetrics{List: func() []NamedPush { return []NamedPush{{"statsd", r.decoder.Lines, []*Push{r.Push}}} }})
	want := `# HELP adapter_statsd_kernel_drops_total Datagrams that were lost because the socket's buffer was full (raise net.core.rmem_max, or send to a unix socket).
# TYPE adapter_statsd_kernel_drops_total counter
adapter_statsd_kernel_drops_total{source="statsd"} 0
# HELP adapter_statsd_lines_total Lines that a listener received, good and bad.
# TYPE adapter_statsd_lines_total counter
adapter_statsd_lines_total{source="statsd"} 2
# HELP adapter_statsd_packets_total Datagrams, or reads of a stream, that a listener received.
# TYPE adapter_statsd_packets_total counter
adapter_statsd_packets_total{source="statsd"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "adapter_statsd_kernel_drops_total", "adapter_statsd_lines_total", "adapter_statsd_packets_total"); err != nil {
		t.Error(err)
	}
}
