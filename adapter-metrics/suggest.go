package main

import (
	"context"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/suggest"
	"github.com/pod-helpers/pod-helpers/internal/kit"
)

// maxInput bounds what is read from standard input.
const maxInput = 64 << 20

// suggestRules writes a configuration with rules for the document on standard input.
func suggestRules(_ context.Context, _ *config.Config, in kit.Invocation) error {
	if len(in.Args) < 1 || len(in.Args) > 2 || in.Args[0] != "json" {
		return kit.Usage("suggest reads a document of standard input: curl -s localhost:8080/stats | adapter-metrics suggest json [PREFIX]")
	}
	prefix := "app"
	if len(in.Args) == 2 {
		prefix = rules.Classic(in.Args[1])
	}
	doc, err := io.ReadAll(io.LimitReader(in.Stdin, maxInput))
	if err != nil {
		return err
	}
	list, err := suggest.JSON(doc, prefix)
	if err != nil {
		return kit.Usage("suggest: %v", err)
	}
	source := config.Source{Name: prefix, Kind: config.Kind{JSON: &config.Document{URL: "http://127.0.0.1:8080/stats"}}, Rules: list}
	text, err := yaml.Marshal(struct {
		Prefix  string          `yaml:"prefix"`
		Sources []config.Source `yaml:"sources"`
	}{prefix, []config.Source{source}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(in.Stdout, "# Guessed from one document: look at the types (what only grows is a counter) and delete what you do not need.\n%s", text)
	return err
}
