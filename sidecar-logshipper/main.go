// Command sidecar-logshipper tails an application's log files on a shared volume and ships every line to log stores.
package main

import (
	_ "embed"
	"os"
	"runtime/debug"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
)

//go:embed usage.txt
var usage string

func main() {
	// Two megabytes live, in buffers that are kept: a small heap costs less than a percent of the CPU and halves its garbage.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	os.Exit(kit.Main(helper(), os.Args[1:]))
}

func helper() kit.Helper[config.Config] {
	return kit.Helper[config.Config]{
		Name: "sidecar-logshipper", EnvPrefix: "LOGSHIPPER_", Metrics: "logshipper", AdminAddress: ":19101",
		Usage:    usage,
		Defaults: config.Default,
		Flags:    config.Flags,
		Start:    start,
		Explain:  explain,
		Check:    check,
	}
}
