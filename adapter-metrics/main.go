// Command adapter-metrics turns whatever an application says about itself into Prometheus metrics.
package main

import (
	_ "embed"
	"os"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
)

//go:embed usage.txt
var usage string

func main() { os.Exit(kit.Main(helper(), os.Args[1:])) }

func helper() kit.Helper[config.Config] {
	return kit.Helper[config.Config]{
		Name: "adapter-metrics", EnvPrefix: "ADAPTER_", Metrics: "adapter", AdminAddress: ":19103",
		Usage:    usage,
		Defaults: config.Default,
		Flags:    config.Flags,
		Start:    start,
		Explain:  explain,
		Check:    check,
		Commands: map[string]kit.Command[config.Config]{
			"suggest": {Summary: "write rules for a document", NoConfig: true, Run: suggestRules},
			"preset":  {Summary: "list the presets, or show one", NoConfig: true, Run: presets},
		},
	}
}
