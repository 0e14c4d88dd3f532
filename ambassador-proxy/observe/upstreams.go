package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Upstreams collects what upstreams count themselves when it is scraped.
type Upstreams struct {
	all   func() []*upstream.Upstream
	limit *listen.Limit

	attempts, retries, tokens, connections, pending, endpoints, ejections, refresh, age, cert, panics, rejected, refused, missed *prometheus.Desc
}

// NewUpstreams collects from the upstreams that all returns, and what limit counts of the app's connections.
func NewUpstreams(all func() []*upstream.Upstream, limit *listen.Limit) *Upstreams {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ambassador_"+name, help, labels, nil)
	}
	return &Upstreams{all: all, limit: limit,
		attempts:    desc("upstream_attempts_total", "Tries, by how they ended.", "upstream", "result"),
		retries:     desc("retries_total", "Further tries that the budget allowed, by what made them necessary.", "upstream", "reason"),
		refused:     desc("retries_refused_total", "Further tries that the budget did not allow.", "upstream"),
		missed:      desc("mirror_dropped_total", "Copies of requests that were not sent, by reason: body, busy, or why there was no place or address.", "upstream", "reason"),
		tokens:      desc("retry_budget_tokens", "Retries that could be made now.", "upstream"),
		connections: desc("connections", "Open connections of the app and to endpoints.", "upstream", "side", "state"),
		rejected:    desc("rejected_connections_total", "Connections of the app that were reset at once because of max_connections."),
		pending:     desc("pending", "Requests that wait for a place.", "upstream"),
		endpoints:   desc("endpoints", "Known endpoints by health.", "upstream", "state"),
		ejections:   desc("endpoint_ejections_total", "Endpoints taken out, by reason.", "upstream", "reason"),
		refresh:     desc("dns_refresh_total", "Lookups of the endpoints.", "upstream", "result"),
		age:         desc("dns_age_seconds", "Time since the last good answer.", "upstream"),
		cert:        desc("tls_cert_not_after_seconds", "When the client certificate expires, in Unix time.", "upstream"),
		panics:      desc("upstream_panic", "Whether so few endpoints are well that health is not believed.", "upstream"),
	}
}

// Describe is prometheus.Collector.
func (u *Upstreams) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{u.attempts, u.retries, u.tokens, u.connections, u.pending, u.endpoints, u.ejections, u.refresh, u.age, u.cert, u.panics, u.rejected, u.refused, u.missed} {
		c <- d
	}
}

// Collect is prometheus.Collector.
func (u *Upstreams) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.MustNewConstMetric(u.connections, prometheus.GaugeValue, float64(u.limit.Open()), "", "app", "open")
	c <- prometheus.MustNewConstMetric(u.rejected, prometheus.CounterValue, float64(u.limit.Rejected.Load()))
	now := time.Now()
	for _, up := range u.all() {
		u.collect(c, up, now)
	}
}

func (u *Upstreams) collect(c chan<- prometheus.Metric, up *upstream.Upstream, now time.Time) {
	name, s, f := up.Name(), up.Stats(), up.Facts(now)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{name}, labels...)...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{name}, labels...)...)
	}
	for r := reason.OK; r < reason.Count; r++ {
		if n := s.Attempts[r].Load(); n > 0 || r == reason.OK {
			counter(u.attempts, n, r.String())
		}
		if n := s.Retries[r].Load(); n > 0 {
			counter(u.retries, n, r.String())
		}
	}
	for why, n := range s.Ejections() {
		counter(u.ejections, n, why)
	}
	for why, n := range s.NotMirrored() {
		counter(u.missed, n, why)
	}
	counter(u.refused, s.Refused.Load())
	counter(u.refresh, s.DNSGood.Load(), "ok")
	counter(u.refresh, s.DNSBad.Load(), "failed")
	gauge(u.tokens, f.Tokens)
	gauge(u.pending, float64(f.Waiting))
	gauge(u.connections, float64(f.Idle), "upstream", "idle")
	gauge(u.connections, float64(f.Open-f.Idle), "upstream", "active")
	for _, state := range []health.State{health.Healthy, health.Ejected, health.Probing, health.Down} {
		gauge(u.endpoints, float64(f.States[state]), state.String())
	}
	if f.Known {
		gauge(u.age, f.DNSAge.Seconds())
	}
	if !f.CertNotAfter.IsZero() {
		gauge(u.cert, float64(f.CertNotAfter.Unix()))
	}
	if f.Panic {
		gauge(u.panics, 1)
	} else {
		gauge(u.panics, 0)
	}
}
