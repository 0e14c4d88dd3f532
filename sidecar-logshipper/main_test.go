package main

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, map[string]func(){"sidecar-logshipper": main})
}

func TestScripts(t *testing.T) { kittest.Scripts(t, "testdata/script", nil) }

func TestUsage_NamesEveryFlag(t *testing.T) {
	h := helper()
	loader := conf.Loader[config.Config]{Name: h.Name, EnvPrefix: h.EnvPrefix, AdminAddress: h.AdminAddress, Defaults: h.Defaults, Flags: h.Flags}
	kittest.UsageNamesEveryFlag(t, "sidecar-logshipper", loader.Names())
}
