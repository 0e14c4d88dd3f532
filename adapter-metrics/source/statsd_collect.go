package source

import "github.com/prometheus/client_golang/prometheus"

// PushMetrics shows pushes on the helper's own metrics, by the name of their source.
type PushMetrics struct {
	// List returns the running pushes. It is called at each scrape, concurrently.
	List func() []NamedPush
}

// A NamedPush is what listens for one source.
type NamedPush struct {
	Name   string
	Lines  func() uint64 // that the decoder has seen
	Pushes []*Push
}

// Count is the sum over the source's listeners.
func (n NamedPush) Count() (sum PushCount) {
	for _, p := range n.Pushes {
		c := p.Count()
		sum.Packets += c.Packets
		sum.Bytes += c.Bytes
		sum.KernelDrops += c.KernelDrops
		sum.LinesTooLong += c.LinesTooLong
		sum.ConnectionsRefused += c.ConnectionsRefused
		sum.Connections += c.Connections
		sum.Sockets += c.Sockets
	}
	return sum
}

// Describe implements prometheus.Collector. It names nothing: which sources there are
// changes with the configuration.
func (m PushMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m PushMetrics) Collect(ch chan<- prometheus.Metric) {
	labels := []string{"source"}
	rows := []struct {
		desc  *prometheus.Desc
		typ   prometheus.ValueType
		value func(PushCount, NamedPush) float64
	}{
		{prometheus.NewDesc("adapter_statsd_packets_total", "Datagrams, or reads of a stream, that a listener received.", labels, nil), prometheus.CounterValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.Packets) }},
		{prometheus.NewDesc("adapter_statsd_bytes_total", "Bytes that a listener received.", labels, nil), prometheus.CounterValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.Bytes) }},
		{prometheus.NewDesc("adapter_statsd_lines_total", "Lines that a listener received, good and bad.", labels, nil), prometheus.CounterValue,
			func(_ PushCount, p NamedPush) float64 { return float64(p.Lines()) }},
		{prometheus.NewDesc("adapter_statsd_kernel_drops_total", "Datagrams that were lost because the socket's buffer was full (raise net.core.rmem_max, or send to a unix socket).", labels, nil), prometheus.CounterValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.KernelDrops) }},
		{prometheus.NewDesc("adapter_statsd_lines_too_long_total", "Lines of a stream that were discarded because they were longer than 64 KiB.", labels, nil), prometheus.CounterValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.LinesTooLong) }},
		{prometheus.NewDesc("adapter_statsd_connections_refused_total", "Connections that were closed because too many were open.", labels, nil), prometheus.CounterValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.ConnectionsRefused) }},
		{prometheus.NewDesc("adapter_statsd_connections", "Connections that are open.", labels, nil), prometheus.GaugeValue,
			func(c PushCount, _ NamedPush) float64 { return float64(c.Connections) }},
	}
	for _, p := range m.List() {
		count := p.Count()
		for _, r := range rows {
			ch <- prometheus.MustNewConstMetric(r.desc, r.typ, r.value(count, p), p.Name)
		}
	}
}
