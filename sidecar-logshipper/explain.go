package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/deliver"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// explain shows each record of the standard input on its way: as it was cut, parsed, shaped, and as each output sends it.
// The sample is taken for the first input's.
func explain(_ context.Context, c *config.Config, in kit.Invocation) error {
	sample, err := io.ReadAll(in.Stdin)
	if err != nil {
		return fmt.Errorf("read sample: %w", err)
	}
	if len(sample) == 0 {
		return kit.Usage("read sample: standard input is empty (pipe a few log lines in)")
	}
	p := &pipeline{}
	defer func() { p.closeOutputs() }()
	if err := p.open(c, in.Env); err != nil {
		return err
	}
	for i, out := range p.outs {
		route, err := newRoute(&c.Inputs[0], c.Shape, out)
		if err != nil {
			return err
		}
		fmt.Fprintf(in.Stdout, "output %s\n", c.Outputs[i].Name())
		explainTo(in.Stdout, out, route, sample, c.Inputs[0].Paths[0])
	}
	return nil
}

func explainTo(w io.Writer, out output.Output, route deliver.Route, sample []byte, path string) {
	chunk := record.Chunk{Source: &record.Source{Path: path}, Data: sample, Next: int64(len(sample)), Time: time.Now().UnixNano()}
	if route.Framer != nil {
		chunk.Ends, _ = route.Framer.Frame(nil, sample, true)
	}
	var rec record.Record
	for start, end := range chunk.Records() {
		rec.Reset(&chunk, start, end)
		fmt.Fprintf(w, "  record  %s\n", indent(rec.Raw))
		if len(route.Stages) == 0 {
			one := chunk.Slice(start, end, nil)
			body, _ := out.AppendChunk(out.Begin(nil), &one)
			fmt.Fprintf(w, "  sends   %s\n", indent(wire(out, out.End(body))))
			continue
		}
		explainStages(w, out, route.Stages, &rec)
	}
}

func explainStages(w io.Writer, out output.Output, stages []record.Stage, rec *record.Record) {
	for _, s := range stages {
		if drop := s.Apply(rec); drop != "" {
			fmt.Fprintf(w, "  dropped %s\n", drop)
			return
		}
		fmt.Fprintf(w, "  becomes %s\n", describe(rec))
	}
	fmt.Fprintf(w, "  sends   %s\n", indent(wire(out, out.End(out.AppendRecord(out.Begin(nil), rec)))))
}

// wire is a body without the notes that an output may keep in it for itself.
func wire(out output.Output, body []byte) []byte {
	if o, ok := out.(interface{ Wire(body []byte) []byte }); ok {
		return o.Wire(body)
	}
	return body
}

// describe is a record in one line.
func describe(r *record.Record) string {
	var b strings.Builder
	if r.OwnTime {
		fmt.Fprintf(&b, "time=%s ", time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(&b, "level=%q message=%q", r.Level, r.Message)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	return b.String()
}

// indent is text as a person can read it below a heading; what is not text is quoted.
func indent(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%q", b)
	}
	return strings.ReplaceAll(strings.TrimRight(string(b), "\n"), "\n", "\n          ")
}
