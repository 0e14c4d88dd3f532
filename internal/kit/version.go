package kit

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by the release build with -ldflags "-X …/internal/kit.version=v1.2.3".
var version string

type build struct{ version, revision, goVersion, platform string }

func readBuild() build {
	b := build{version: version, revision: "unknown", goVersion: runtime.Version(), platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.version == "" {
		b.version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.revision = s.Value[:min(12, len(s.Value))]
		}
	}
	return b
}

func (b build) line(name string) string {
	return fmt.Sprintf("%s %s (commit %s, %s, %s)", name, b.version, b.revision, b.goVersion, b.platform)
}

func (b build) metric(prefix string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "_build_info", Help: "Constant 1, labelled with what this binary was built from.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "goversion": b.goVersion},
	})
	g.Set(1)
	return g
}
