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

// AccessLog writes a line for each request: all failures, and a sample of the rest.
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

func (a *AccessLog) request(listener, up string, r *layer7.Record) {
	if r.Reason == reason.OK && r.Status < 500 && a.sample < 1 && rand.Float64() >= a.sample {
		return
	}
	endpoint := ""
	if r.Endpoint != nil {
		endpoint = r.Endpoint.Address()
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("listener", listener), slog.String("method", string(r.Method)), slog.String("host", string(r.Host)),
		slog.String("target", string(r.Target)), slog.Int("status", r.Status), slog.String("reason", r.Reason.String()),
		slog.String("detail", r.Detail), slog.String("upstream", up), slog.String("endpoint", endpoint),
		slog.Int("tries", r.Tries), slog.Float64("seconds", r.Duration.Seconds()),
		slog.Int64("bytes_in", r.BytesIn), slog.Int64("bytes_out", r.BytesOut))
}
