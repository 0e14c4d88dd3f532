package decode

import (
	"bytes"
	"fmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A LogLine is what one line of a log becomes. It borrows from the line.
type LogLine struct {
	Text    []byte
	Why     string // it becomes nothing; empty when it could be taken apart
	Fields  []sample.Label
	Samples []LogSample
}

// A LogSample is what one metric makes of a line.
type LogSample struct {
	Desc   series.Desc
	Labels []sample.Label
	Field  string // that the value comes from; empty when lines are counted
	Text   []byte // of that field
	Scale  float64
	Value  float64
	Why    string // it has no value
}

// Explain calls yield for each line as Decode would read it, and counts nothing.
func (d *Log) Explain(p []byte, yield func(*LogLine)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(p) > 0 {
		var line []byte
		if line, p = nextLine(p); len(line) > 0 {
			yield(d.explain(line))
		}
	}
}

func (d *Log) explain(line []byte) *LogLine {
	out := &LogLine{Text: line}
	if !d.parser.parse(line, d.values) {
		out.Why = d.parser.why(line)
		return out
	}
	for i, f := range d.fields {
		if d.values[i] != nil && f.name != "" {
			out.Fields = append(out.Fields, sample.Label{Name: f.name, Value: d.values[i]})
		}
	}
	for i := range d.groups {
		g := &d.groups[i]
		labels := d.labels(g)
		for j := range g.metrics {
			m := &g.metrics[j]
			s := LogSample{Desc: m.desc, Labels: labels, Field: d.fieldOf(m), Scale: m.scale}
			if m.field >= 0 {
				s.Text = d.values[m.field]
			}
			var has, ok bool
			switch s.Value, has, ok = d.value(m); {
			case !has:
				s.Why = "the line has no " + s.Field
			case !ok:
				s.Why = "it is no number"
			case m.desc.Type == series.Counter && s.Value < 0:
				s.Why = "a counter takes nothing negative"
			}
			out.Samples = append(out.Samples, s)
		}
	}
	return out
}

func (d *dissect) why(line []byte) string {
	if !bytes.HasPrefix(line, d.prefix) {
		return fmt.Sprintf("it does not begin with %q", d.prefix)
	}
	line = line[len(d.prefix):]
	for i := range d.steps {
		s := &d.steps[i]
		end := len(line)
		if len(s.literal) > 0 {
			end = bytes.Index(line, s.literal)
		}
		switch {
		case end < 0:
			return fmt.Sprintf("no %q ends {%s}, which begins at %q", s.literal, s.name, line)
		case s.integer && !digits(line[:end]):
			return fmt.Sprintf("{%s:int} is %q", s.name, line[:end])
		}
		line = line[end+len(s.literal):]
	}
	return fmt.Sprintf("it goes on with %q", line)
}

func (x *expression) why([]byte) string { return "nothing in it matches" }

func (j *jsonLine) why(line []byte) string {
	if line[0] != '{' {
		return "it is no JSON object"
	}
	return JSON(line, j).Error()
}

func (l *logfmtLine) why(line []byte) string {
	if bytes.IndexByte(line, '=') < 0 {
		return "it has no key=value pair"
	}
	return "a quote is not closed"
}
