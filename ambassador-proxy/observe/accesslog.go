package observe

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// AccessLog writes a line for each request, tunnel and TCP connection: all failures, and a sample of the rest.
type AccessLog struct {
	log    *slog.Logger
	sample float64
}

// NewAccessLog writes to w; nil when it is off.
func NewAccessLog(w io.Writer, c config.AccessLog) *AccessLog {
	a := &AccessLog{sample: c.Sample}
	if a.sample == 0 {
		a.sample = 1
	}
	switch c.Format {
	case "json":
		a.log = slog.New(slog.NewJSONHandler(w, nil))
	case "text":
		a.log = slog.New(slog.NewTextHandler(w, nil))
	default:
		return nil
	}
	return a
}

// skips tells whether r is among the successful ones that are left out.
func (a *AccessLog) skips(r *layer7.Record) bool {
	return r.Reason == reason.OK && r.Status < 500 && a.sample < 1 && rand.Float64() >= a.sample
}

func (a *AccessLog) request(listener, up string, r *layer7.Record) {
	if a.skips(r) {
		return
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("listener", listener), slog.String("method", string(r.Method)), slog.String("host", string(r.Host)),
		slog.String("target", string(r.Target)), slog.Int("status", r.Status), slog.String("reason", r.Reason.String()),
		slog.String("detail", r.Detail), slog.String("upstream", up), slog.String("endpoint", endpointOf(r)),
		slog.Int("tries", r.Tries), slog.Float64("seconds", r.Duration.Seconds()),
		slog.Int64("bytes_in", r.BytesIn), slog.Int64("bytes_out", r.BytesOut))
}

func (a *AccessLog) connection(listener, up string, r *layer7.Record) {
	if a.skips(r) {
		return
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "connection",
		slog.String("listener", listener), slog.String("reason", r.Reason.String()),
		slog.String("detail", r.Detail), slog.String("upstream", up), slog.String("endpoint", endpointOf(r)),
		slog.Int("tries", r.Tries), slog.Float64("seconds", r.Duration.Seconds()),
		slog.Int64("bytes_in", r.BytesIn), slog.Int64("bytes_out", r.BytesOut))
}

func endpointOf(r *layer7.Record) string {
	if r.Endpoint == nil {
		return ""
	}
	return r.Endpoint.Address()
}
