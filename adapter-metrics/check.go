package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/internal/kit"
)

// check runs the tests that the configuration brings along. All that fail are named.
func check(ctx context.Context, c *config.Config, in kit.Invocation) error {
	var failures []string
	for i, t := range c.Tests {
		found, err := runTest(ctx, c, t, in)
		if err != nil {
			found = append(found, err.Error())
		}
		for _, f := range found {
			failures = append(failures, fmt.Sprintf("tests[%d] (%s): %s", i, t.Input, f))
		}
	}
	if len(failures) > 0 {
		return kit.Usage("%s", strings.Join(failures, "\n"))
	}
	return nil
}

// runTest compares lines and not comments, and not their order, so that an expectation can be written by hand.
func runTest(ctx context.Context, c *config.Config, t config.Test, in kit.Invocation) (failures []string, err error) {
	input, err := os.ReadFile(t.Input)
	if err != nil {
		return nil, err
	}
	expect, err := os.ReadFile(t.Expect)
	if err != nil {
		return nil, err
	}
	r, err := rehearse(ctx, c, t.Source, in.Env)
	if err != nil {
		return nil, err
	}
	if err := r.play(ctx, input); err != nil {
		return nil, err
	}
	for _, p := range r.lint() {
		fmt.Fprintf(in.Stderr, "%s: %s\n", t.Input, p) // a name that is no good still works
	}
	got, want := valueLines(r.page()), valueLines(string(expect))
	for _, line := range want {
		if !slices.Contains(got, line) {
			failures = append(failures, "missing: "+line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			failures = append(failures, "not expected: "+line)
		}
	}
	return append(failures, r.problems()...), nil
}

func valueLines(page string) (out []string) {
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}
