package output

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// collected starts the receivers of the OpenTelemetry Collector and returns their addresses, and what they have taken.
func collected(t *testing.T) (grpc, forward string, messages func() []string) {
	t.Helper()
	program := kittest.Pinned(t, "otelreceivers", "otelreceivers-0.159.0", ".")
	grpc, forward = kittest.FreeAddress(t), kittest.FreeAddress(t)
	p := kittest.Start(t, nil, program, "-grpc", grpc, "-forward", forward)
	for _, address := range []string{grpc, forward} {
		kittest.Eventually(t, 20*time.Second, func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}, "the receivers to listen")
	}
	return grpc, forward, func() []string { return splitLines(p.Stdout.String()) }
}

func (s *shipper) reaches(t *testing.T, messages func() []string) {
	t.Helper()
	all := numbered(5000)
	for part := range slices.Chunk(all, 1000) {
		s.ship(part...)
	}
	kittest.Eventually(t, 20*time.Second, func() bool { return len(messages()) >= len(all) }, "all records")
	if got := messages(); !slices.Equal(got, all) {
		t.Errorf("%d records, or another order: %.200q", len(got), strings.Join(got, "\n"))
	}
}

func TestReal_TheCollectorHasEveryRecordByTheForwardProtocol(t *testing.T) {
	for _, compression := range []string{"none", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			_, address, messages := collected(t)
			open(t, Config{Fluent: &FluentConfig{URL: "tcp://" + address, Compression: compression}}).reaches(t, messages)
		})
	}
}
