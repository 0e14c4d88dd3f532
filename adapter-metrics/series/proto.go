package series

import "encoding/binary"

// Field tags of io.prometheus.client.MetricFamily and what it holds
// (client_model, metrics.proto).
const (
	tagFamilyMetric = 4<<3 | 2
	tagMetricLabel  = 1<<3 | 2
	tagPairName     = 1<<3 | 2
	tagPairValue    = 2<<3 | 2
	tagGauge        = 2<<3 | 2
	tagCounter      = 3<<3 | 2
	tagUntyped      = 5<<3 | 2
	tagDouble       = 1<<3 | 1 // the only field of Gauge, Counter and Untyped
	doubleBytes     = 9        // its size: tag and eight bytes
)

// Proto returns, for each series of list, what a protobuf page writes before the
// value: for one number the whole entry of MetricFamily.metric but its last eight bytes, the
// value; for histograms and summaries the label fields only. It is rendered at
// the first protobuf scrape of a series and then kept. total is the size of all entries
// with their values. list must come from List of the same family.
func (f *Family) Proto(list []*Series) (total int) {
	f.store.protoMu.Lock()
	defer f.store.protoMu.Unlock()
	for _, x := range list {
		if x.proto == "" {
			x.proto = f.renderProto(x)
		}
		total += len(x.proto) + 8
	}
	return total
}

// ProtoText returns what Family.Proto has rendered; call it after that.
func (x *Series) ProtoText() string { return x.proto }

func (f *Family) renderProto(x *Series) string {
	var labels []byte
	EachLabel(x.Labels(), func(n, v string) { labels = AppendLabelPair(labels, n, v) })
	tag := byte(tagGauge)
	switch f.desc.Type {
	case Counter:
		tag = tagCounter
	case Untyped:
		tag = tagUntyped
	case Histogram, Summary:
		return string(labels)
	}
	b := []byte{tagFamilyMetric}
	b = binary.AppendUvarint(b, uint64(len(labels)+2+doubleBytes))
	b = append(b, labels...)
	return string(append(b, tag, doubleBytes, tagDouble))
}

// AppendLabelPair appends one Metric.label field.
func AppendLabelPair(b []byte, name, value string) []byte {
	b = append(b, tagMetricLabel)
	b = binary.AppendUvarint(b, uint64(2+uvarintBytes(len(name))+len(name)+uvarintBytes(len(value))+len(value)))
	b = append(b, tagPairName)
	b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	b = append(b, tagPairValue)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

func uvarintBytes(n int) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}
