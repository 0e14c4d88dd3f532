// Package observe turns ended requests into metrics and access log lines. Handles are resolved once and kept in arrays and
// one map a listener: there is no label lookup on the way of a request.
package observe

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Metrics of all listeners.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	rejected *prometheus.CounterVec
	log      atomic.Pointer[AccessLog] // nil: none
}

// NewMetrics registers the metrics of requests.
func NewMetrics(r *prometheus.Registry) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_requests_total",
			Help: "Requests and connections that ended, by the class of the answer and the reason of a failure."},
			[]string{"listener", "upstream", "code", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ambassador_request_duration_seconds",
			Help:                        "Time from a request's head to the end of its answer.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100}, []string{"listener", "upstream"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_bytes_total",
			Help: "Bytes of bodies and of TCP streams: in from the app, out to it."}, []string{"direction"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_rejected_requests_total",
			Help: "Requests that went to no upstream because of what they were."}, []string{"reason"}),
	}
	r.MustRegister(m.requests, m.duration, m.bytes, m.rejected)
	return m
}

// Log makes a the access log of all listeners; nil for none.
func (m *Metrics) Log(a *AccessLog) { m.log.Store(a) }

// Listener observes the requests of one listener. It is a layer7.Observer, and layer4 tells it of connections.
type Listener struct {
	m       *Metrics
	name    string
	in, out prometheus.Counter
	egress  bool

	recent  atomic.Pointer[handles] // looked up last: most listeners have one upstream
	mu      sync.RWMutex
	handles map[string]*handles // by upstream
}

// classes of status: none, 1xx to 5xx.
const classes = 6

type handles struct {
	up       string
	duration prometheus.Observer
	mu       sync.Mutex
	counters [classes][reason.Count]prometheus.Counter
}

// Listener makes the observer of a listener.
func (m *Metrics) Listener(name string) *Listener {
	return &Listener{m: m, name: name, handles: map[string]*handles{},
		in: m.bytes.WithLabelValues("in"), out: m.bytes.WithLabelValues("out")}
}

// Egress makes it the observer of a forward proxy, whose upstreams are destinations that clients choose: they are in the
// access log, and no label.
func (l *Listener) Egress() *Listener {
	l.egress = true
	return l
}

// Request is layer7.Observer.
func (l *Listener) Request(r *layer7.Record) {
	up := ""
	if r.Upstream != nil {
		up = r.Upstream.Settings().Name
	}
	label := up
	if l.egress {
		label = ""
	}
	h := l.of(label)
	h.count(l, label, r.Status/100, r.Reason)
	h.duration.Observe(r.Duration.Seconds())
	l.in.Add(float64(r.BytesIn))
	l.out.Add(float64(r.BytesOut))
	if r.Upstream == nil {
		l.m.rejected.WithLabelValues(r.Reason.String()).Inc()
	}
	if log := l.m.log.Load(); log != nil {
		log.request(l.name, up, r)
	}
}

// Connection counts a TCP connection that has ended.
func (l *Listener) Connection(r *layer7.Record) {
	up := r.Upstream.Settings().Name
	l.of(up).count(l, up, 0, r.Reason)
	l.in.Add(float64(r.BytesIn))
	l.out.Add(float64(r.BytesOut))
	if log := l.m.log.Load(); log != nil {
		log.connection(l.name, up, r)
	}
}

func (l *Listener) of(up string) *handles {
	h := l.recent.Load()
	if h != nil && h.up == up {
		return h
	}
	l.mu.RLock()
	h = l.handles[up]
	l.mu.RUnlock()
	if h != nil {
		l.recent.Store(h)
		return h
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if h = l.handles[up]; h == nil {
		h = &handles{up: up, duration: l.m.duration.WithLabelValues(l.name, up)}
		l.handles[up] = h
	}
	return h
}

func (h *handles) count(l *Listener, up string, class int, why reason.Reason) {
	class = min(max(class, 0), classes-1)
	h.mu.Lock()
	c := h.counters[class][why]
	if c == nil {
		code := "none"
		if class > 0 {
			code = strconv.Itoa(class) + "xx"
		}
		c = l.m.requests.WithLabelValues(l.name, up, code, why.String())
		h.counters[class][why] = c
	}
	h.mu.Unlock()
	c.Inc()
}
