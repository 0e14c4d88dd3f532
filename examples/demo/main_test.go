package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestHelp_NamesEveryProgram(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"app", "upstream", "sink", "kill", "certs"} {
		if !strings.Contains(out.String(), "demo "+program) {
			t.Errorf("--help does not name %s", program)
		}
	}
}

func TestUnknownProgram_IsNamed(t *testing.T) {
	err := run(t.Context(), []string{"ap"}, nil)
	if err == nil || !strings.Contains(err.Error(), `no program "ap"`) {
		t.Errorf("got %v", err)
	}
}
