// Command ambassador-proxy owns the network of an app that only ever connects to localhost.
package main

import (
	_ "embed"
	"os"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

//go:embed usage.txt
var usage string // an embedded file, never written

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	return kit.Main(kit.Helper[config.Config]{
		Name: "ambassador-proxy", EnvPrefix: "AMBASSADOR_", Metrics: "ambassador", AdminAddress: ":19102",
		Usage:    usage,
		Defaults: config.Default,
		Flags:    config.Flags,
		Start:    start,
		Explain:  explain,
	}, args)
}
