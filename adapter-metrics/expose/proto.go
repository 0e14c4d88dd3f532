package expose

import (
	"encoding/binary"
	"math"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// Field tags of io.prometheus.client (client_model, metrics.proto): number<<3 | wire type.
const (
	familyName   = 1<<3 | 2
	familyHelp   = 2<<3 | 2
	familyType   = 3 << 3
	familyMetric = 4<<3 | 2
	familyUnit   = 5<<3 | 2

	metricGauge     = 2<<3 | 2
	metricCounter   = 3<<3 | 2
	metricSummary   = 4<<3 | 2
	metricUntyped   = 5<<3 | 2
	metricHistogram = 7<<3 | 2

	sampleCount = 1 << 3
	sampleSum   = 2<<3 | 1
	points      = 3<<3 | 2 // Histogram.bucket and Summary.quantile

	histSchema        = 5 << 3
	histZeroThreshold = 6<<3 | 1
	histZeroCount     = 7 << 3
	histNegativeSpan  = 9<<3 | 2
	histNegativeDelta = 10<<3 | 2
	histPositiveSpan  = 12<<3 | 2
	histPositiveDelta = 13<<3 | 2

	createdCounter   = 3<<3 | 2
	createdSummary   = 4<<3 | 2
	createdHistogram = 15<<3 | 2
)

func metricType(t series.Type) (field byte, enum uint64) {
	switch t {
	case series.Counter:
		return metricCounter, 0
	case series.Summary:
		return metricSummary, 2
	case series.Untyped:
		return metricUntyped, 3
	case series.Histogram:
		return metricHistogram, 4
	}
	return metricGauge, 1
}

// protoFamily writes one length-delimited MetricFamily. Its length must be known first: that of
// plain numbers follows from what is kept, anything else is put together in memory.
func (p *page) protoFamily(f *series.Family, list []*series.Series) {
	d := f.Desc()
	total := f.Proto(list)
	if p.names.rewrite || d.Type == series.Histogram || d.Type == series.Summary || d.Type == series.Counter && p.created {
		p.body = p.body[:0]
		for _, x := range list {
			if !x.Removed() {
				p.body = p.protoMetric(p.body, d, x)
			}
		}
		p.protoHead(d, len(p.body))
		p.flush()
		if p.err == nil {
			_, p.err = p.out.Write(p.body)
		}
		return
	}
	p.protoHead(d, total)
	for _, x := range list {
		p.buf = append(p.buf, x.ProtoText()...)
		p.buf = binary.LittleEndian.AppendUint64(p.buf, math.Float64bits(x.Value()))
		if len(p.buf) >= flushBytes {
			p.flush()
		}
	}
}

func (p *page) protoHead(d *series.Desc, metricBytes int) {
	_, enum := metricType(d.Type)
	head := appendText(p.labels[:0], familyName, p.names.full)
	if d.Help != "" {
		head = appendText(head, familyHelp, d.Help)
	}
	head = append(head, familyType, byte(enum))
	if d.Unit != "" {
		head = appendText(head, familyUnit, d.Unit)
	}
	p.labels = head
	p.buf = binary.AppendUvarint(p.buf, uint64(len(head)+metricBytes))
	p.buf = append(p.buf, head...)
}

func appendText(b []byte, tag byte, s string) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

func appendBytes(b []byte, tag byte, s []byte) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

func appendDouble(b []byte, tag byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, tag), math.Float64bits(v))
}

// protoMetric appends one MetricFamily.metric.
func (p *page) protoMetric(b []byte, d *series.Desc, x *series.Series) []byte {
	labels := x.ProtoText()
	var pairs []byte
	switch {
	case p.names.rewrite:
		if !p.escape(x.Labels()) {
			return b
		}
		p.eachEscaped(x.Labels(), func(n, v string) { pairs = series.AppendLabelPair(pairs, n, v) })
		labels = string(pairs)
	case d.Type == series.Counter:
		series.EachLabel(x.Labels(), func(n, v string) { pairs = series.AppendLabelPair(pairs, n, v) })
		labels = string(pairs)
	}
	field, _ := metricType(d.Type)
	p.labels = p.labels[:0]
	switch d.Type {
	case series.Histogram, series.Summary:
		x.Distribution(&p.dist)
		p.labels = p.protoDistribution(p.labels, d.Type)
	default:
		p.labels = appendDouble(p.labels, 1<<3|1, x.Value())
	}
	p.labels = p.protoCreated(p.labels, d.Type, x)
	value := len(p.labels)
	b = binary.AppendUvarint(append(b, familyMetric), uint64(len(labels)+1+uvarintBytes(value)+value))
	b = append(b, labels...)
	return appendBytes(b, field, p.labels)
}

// protoCreated appends the field created_timestamp, a google.protobuf.Timestamp.
func (p *page) protoCreated(b []byte, t series.Type, x *series.Series) []byte {
	at := x.Started()
	if !p.created || at == 0 {
		return b
	}
	var one [16]byte
	seconds := binary.AppendUvarint(append(one[:0], 1<<3), uint64(at))
	switch t {
	case series.Counter:
		return appendBytes(b, createdCounter, seconds)
	case series.Summary:
		return appendBytes(b, createdSummary, seconds)
	case series.Histogram:
		return appendBytes(b, createdHistogram, seconds)
	}
	return b
}

func uvarintBytes[T int | uint64](n T) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func (p *page) protoDistribution(b []byte, t series.Type) []byte {
	d := &p.dist
	if !d.NoCount {
		b = binary.AppendUvarint(append(b, sampleCount), d.Count)
	}
	if !d.NoSum {
		b = appendDouble(b, sampleSum, d.Sum)
	}
	for _, pt := range d.Points {
		var one [32]byte
		m := one[:0]
		if t == series.Histogram {
			m = binary.AppendUvarint(append(m, 1<<3), uint64(pt.Value))
			m = appendDouble(m, 2<<3|1, pt.At)
		} else {
			m = appendDouble(m, 1<<3|1, pt.At)
			m = appendDouble(m, 2<<3|1, pt.Value)
		}
		b = appendBytes(b, points, m)
	}
	if !d.Native {
		return b
	}
	b = binary.AppendUvarint(append(b, histSchema), zigzag(int64(d.Schema)))
	b = appendDouble(b, histZeroThreshold, d.ZeroThreshold())
	b = binary.AppendUvarint(append(b, histZeroCount), d.Zero)
	b = appendNative(b, histNegativeSpan, histNegativeDelta, d.NegativeFirst, d.Negative)
	return appendNative(b, histPositiveSpan, histPositiveDelta, d.PositiveFirst, d.Positive)
}

// appendNative appends spans of used buckets, bridging gaps of up to two, and their counts
// as differences. Deltas are packed, which every reader of protobuf accepts.
func appendNative(b []byte, spanTag, deltaTag byte, first int32, counts []uint64) []byte {
	next := int32(0) // the bucket after the last span, from which offsets count
	deltas := 0
	var last int64
	at := func(i int) int64 { return int64(counts[i]) }
	eachSpan(counts, func(from, to int) {
		var one [16]byte
		m := binary.AppendUvarint(append(one[:0], 1<<3), zigzag(int64(first+int32(from)-next)))
		m = binary.AppendUvarint(append(m, 2<<3), uint64(to-from))
		b = appendBytes(b, spanTag, m)
		next = first + int32(to)
		for i := from; i < to; i++ {
			deltas += uvarintBytes(zigzag(at(i) - last))
			last = at(i)
		}
	})
	if deltas == 0 {
		return b
	}
	b = binary.AppendUvarint(append(b, deltaTag), uint64(deltas))
	last = 0
	eachSpan(counts, func(from, to int) {
		for i := from; i < to; i++ {
			b = binary.AppendUvarint(b, zigzag(at(i)-last))
			last = at(i)
		}
	})
	return b
}

// eachSpan yields runs of counts that hold no more than two zeros in a row.
func eachSpan(counts []uint64, yield func(from, to int)) {
	const bridge = 2
	from, to := -1, -1
	for i, n := range counts {
		if n == 0 {
			continue
		}
		if from >= 0 && i-to > bridge {
			yield(from, to)
			from = -1
		}
		if from < 0 {
			from = i
		}
		to = i + 1
	}
	if from >= 0 {
		yield(from, to)
	}
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }
