package main

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, map[string]func(){"sidecar-logshipper": main})
}

func TestScripts(t *testing.T) { kittest.Scripts(t, "testdata/script", nil) }
