package main

import (
	"context"
	"fmt"
	"io"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/internal/kit"
)

// explain reads a JSON document and shows what each of its values becomes under the first source's rules.
func explain(_ context.Context, c *config.Config, in kit.Invocation) error {
	doc, err := io.ReadAll(io.LimitReader(in.Stdin, 64<<20))
	if err != nil {
		return err
	}
	set, err := rules.New(c.Sources[0].Rules, c.Prefix)
	if err != nil {
		return err
	}
	return decode.JSON(doc, explainer{set.Walk(), in.Stdout})
}

type explainer struct {
	*rules.Walk
	out io.Writer
}

func (e explainer) Leaf(s *sample.Sample) {
	if e.Match(s, func(o *rules.Outcome) { e.print(s, o, "rule "+o.Rule.Match+o.Rule.Regex) }) {
		return
	}
	if s.Numeric {
		o := e.Default(s)
		e.print(s, &o, "no rule")
	}
}

func (e explainer) print(s *sample.Sample, o *rules.Outcome, why string) {
	what := "dropped"
	if !o.Drop {
		what = o.Desc.Name + "{"
		for i, l := range o.Labels {
			if i > 0 {
				what += ","
			}
			what += fmt.Sprintf("%s=%q", l.Name, l.Value)
		}
		what += fmt.Sprintf("} %g", o.Value)
	}
	for i, segment := range s.Path {
		if i > 0 {
			fmt.Fprint(e.out, ".")
		}
		fmt.Fprintf(e.out, "%s", segment)
	}
	fmt.Fprintf(e.out, " = %s  →  %s  (%s)\n", s.Text, what, why)
}
