package expose

import (
	"strconv"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// What OpenMetrics 2.0 (2.0.0-rc0, "Text Format") writes otherwise than 1.0: a family has its samples' name, a histogram or
// summary is one line with a composite value and holds its native buckets, and the start timestamp stands behind the value.

// composite writes the line of a histogram or summary. It has both count and sum: those that the source leaves out are 0.
func (p *page) composite(d *series.Desc, x *series.Series, labels string) {
	x.Distribution(&p.dist)
	if d.Type == series.Summary && p.dist.Sum < 0 {
		return // no summary can have it ("Summary": MUST NOT be negative), and a page with it could be refused whole
	}
	p.sample("", labels, "", "")
	p.buf = strconv.AppendUint(append(p.buf, "{count:"...), p.dist.Count, 10)
	p.buf = appendValue(append(p.buf, ",sum:"...), p.dist.Sum)
	if d.Type == series.Summary {
		p.quantiles()
	} else {
		if p.dist.Native {
			p.native()
		}
		p.classic()
	}
	p.buf = append(p.buf, ']', '}')
	p.startTimestamp(x)
	p.buf = append(p.buf, '\n')
}

func (p *page) quantiles() {
	p.buf = append(p.buf, ",quantile:["...)
	first := true
	for _, pt := range p.dist.Points {
		if pt.Value < 0 {
			continue // MUST NOT be negative
		}
		p.pair(&first, pt.At, pt.Value)
	}
}

func (p *page) classic() {
	p.buf = append(p.buf, ",bucket:["...)
	first := true
	for _, pt := range p.dist.Points {
		p.pair(&first, pt.At, pt.Value)
	}
	if !first {
		p.buf = append(p.buf, ',')
	}
	p.buf = strconv.AppendUint(append(p.buf, "+Inf:"...), p.dist.Count, 10)
}

func (p *page) pair(first *bool, at, value float64) {
	if !*first {
		p.buf = append(p.buf, ',')
	}
	*first = false
	p.buf = append(strconv.AppendFloat(p.buf, at, 'g', -1, 64), ':')
	p.buf = appendValue(p.buf, value)
}

func (p *page) native() {
	d := &p.dist
	p.buf = strconv.AppendInt(append(p.buf, ",schema:"...), int64(d.Schema), 10)
	p.buf = strconv.AppendFloat(append(p.buf, ",zero_threshold:"...), d.ZeroThreshold(), 'g', -1, 64)
	p.buf = strconv.AppendUint(append(p.buf, ",zero_count:"...), d.Zero, 10)
	p.spans("negative", d.NegativeFirst, d.Negative)
	p.spans("positive", d.PositiveFirst, d.Positive)
}

// spans writes runs of used buckets and their counts, which are no differences here.
func (p *page) spans(sign string, first int32, counts []uint64) {
	b, next := p.buf, int32(0) // the bucket behind the last span, from which offsets count
	eachSpan(counts, func(from, to int) {
		if len(b) == len(p.buf) {
			b = append(append(append(b, ','), sign...), "_spans:["...)
		} else {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(b, int64(first+int32(from)-next), 10), ':')
		b = strconv.AppendInt(b, int64(to-from), 10)
		next = first + int32(to)
	})
	if len(b) == len(p.buf) {
		return
	}
	b = append(append(append(b, "],"...), sign...), "_buckets:["...)
	eachSpan(counts, func(from, to int) {
		for _, n := range counts[from:to] {
			b = append(strconv.AppendUint(b, n, 10), ',')
		}
	})
	b[len(b)-1] = ']'
	p.buf = b
}

// startTimestamp goes behind a value.
func (p *page) startTimestamp(x *series.Series) {
	if !p.created {
		return
	}
	if at := x.Started(); at != 0 {
		p.buf = strconv.AppendInt(append(p.buf, " st@"...), at, 10)
	}
}
