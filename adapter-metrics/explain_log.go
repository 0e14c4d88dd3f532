package main

import (
	"fmt"
	"io"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
)

// lastLines are what explain reads of a log file when it is given nothing.
const lastLines = 10

// orLastLines is the input, or what the file of a log source ends with: a scratch image has no tail.
func orLastLines(out io.Writer, s *config.Source, input []byte) ([]byte, error) {
	if s.Log == nil || len(input) > 0 {
		return input, nil
	}
	file, lines, err := source.LastLines(s.Log.Path, lastLines)
	if err == nil {
		fmt.Fprintf(out, "# no input: the last lines of %s\n", file)
	}
	return lines, err
}

// explainLines shows line by line which samples came of a log, or why none did, and returns what to say of all of them.
func explainLines(out io.Writer, d *decode.Log, s *config.Log, input []byte) string {
	how := "the pattern"
	switch {
	case s.Regex != "":
		how = "the regex"
	case s.Format != "":
		how = "format " + s.Format
	}
	fit, all := 0, 0
	d.Explain(input, func(l *decode.LogLine) {
		all++
		if fmt.Fprintf(out, "%s\n", l.Text); l.Why != "" {
			fmt.Fprintf(out, "  →  nothing  (it does not fit %s: %s)\n", how, l.Why)
			return
		}
		fit++
		fmt.Fprintf(out, "  fits %s: %s\n", how, fields(l.Fields))
		for i := range l.Samples {
			explainSample(out, &l.Samples[i])
		}
	})
	return fmt.Sprintf("%d of %d lines fit %s", fit, all, how)
}

func explainSample(out io.Writer, s *decode.LogSample) {
	why := "counts lines"
	if s.Field != "" {
		why = fmt.Sprintf("%s = %q", s.Field, s.Text)
	}
	if s.Why != "" {
		fmt.Fprintf(out, "  %s  →  nothing  (%s: %s)\n", metric(s.Desc, s.Labels), why, s.Why)
		return
	}
	if s.Scale != 1 {
		why += fmt.Sprintf(", × %g", s.Scale)
	}
	fmt.Fprintf(out, "  →  %s %g  %s  (%s)\n", metric(s.Desc, s.Labels), s.Value, s.Desc.Type, why)
}

func fields(list []sample.Label) (out string) {
	for i, f := range list {
		if i > 0 {
			out += " "
		}
		out += fmt.Sprintf("%s=%q", f.Name, f.Value)
	}
	return out
}
