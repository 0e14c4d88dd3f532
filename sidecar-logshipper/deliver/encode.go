package deliver

import (
	"math"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Route is how the records of one input reach one output.
type Route struct {
	Framer record.Framer  // nil: every newline ends a record
	Stages []record.Stage // none: chunks go to the encoder as they stand
	// Redacted says that a person, too, sees records only as the stages leave them.
	Redacted bool
}

// encoder turns pieces into a body. Not for concurrent use: only the sender of a lane does.
type encoder struct {
	out    output.Encoder
	routes []Route // by input
	rec    record.Record
	count  *Counters
	tap    *Tap
	// dropped is how many records the stages have dropped so far.
	dropped int
}

// encode appends the body of pieces to dst. The first time it runs the stages and notes what they keep; later, for the parts
// of a batch that was refused, it keeps to that.
func (e *encoder) encode(dst []byte, pieces []piece) ([]byte, int) {
	dst = e.out.Begin(dst)
	total := 0
	for i := range pieces {
		n := 0
		if p := &pieces[i]; len(e.routes[p.input].Stages) == 0 {
			dst, n = e.out.AppendChunk(dst, &p.chunk)
		} else {
			dst, n = e.records(dst, p)
		}
		total += n
	}
	return e.out.End(dst), total
}

func (e *encoder) records(dst []byte, p *piece) (_ []byte, n int) {
	decided := p.keep != nil
	shown := math.MaxInt // from this one on
	if !decided && e.routes[p.input].Redacted && e.tap.due() {
		shown = p.chunk.Count() - tapLast
	}
	i := 0
	for start, end := range p.chunk.Records() {
		if decided && !p.keep[i] {
			i++
			continue
		}
		e.rec.Reset(&p.chunk, start, end)
		e.rec.Kept = decided
		drop := e.apply(p.input)
		if !decided {
			p.keep = append(p.keep, drop == "")
			if drop != "" {
				e.dropped++
				e.count.drop(drop, 1, end-start)
			}
		}
		if p.keep[i] {
			if i >= shown {
				e.tap.SeeShaped(&e.rec)
			}
			dst = e.out.AppendRecord(dst, &e.rec)
			n++
		}
		i++
	}
	return dst, n
}

func (e *encoder) apply(input int) (drop string) {
	for _, s := range e.routes[input].Stages {
		if drop := s.Apply(&e.rec); drop != "" && !e.rec.Kept {
			return drop
		}
	}
	return ""
}
