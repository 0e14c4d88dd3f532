package main

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestLivez_NamesAListenerThatHasStopped(t *testing.T) {
	p := &pipeline{ctx: t.Context(), env: kit.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	l, err := p.listen("udp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store := series.New(series.Options{})
	l.relay.resume(decode.NewStatsD(store, store.Source("s"), nil))
	p.now.Store(&snapshot{{ears: []*listener{l}}})
	if err := p.Live(); err != nil {
		t.Errorf("before it runs: %v", err)
	}
	breakSocket(t, l.Addresses()[0].(*net.UDPAddr).Port)
	l.run(t.Context(), p.env.Log)
	kittest.Eventually(t, 10*time.Second, func() bool { return p.Live() != nil }, "the listener to stop")
	if err := p.Live(); !strings.Contains(err.Error(), "receive on udp://127.0.0.1:0") {
		t.Error(err)
	}
	l.ended.Wait()
}

// breakSocket puts something that is no socket in the place of the one that is bound to port.
func breakSocket(t *testing.T, port int) {
	t.Helper()
	null, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(null) }()
	for fd := range 1024 {
		if a, err := syscall.Getsockname(fd); err == nil {
			if a, ok := a.(*syscall.SockaddrInet4); ok && a.Port == port {
				if err := syscall.Dup3(null, fd, syscall.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
