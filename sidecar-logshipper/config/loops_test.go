package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
)

func TestValidate_RefusesWhatCannotBeMeant(t *testing.T) {
	c := Default()
	c.MaxAge = conf.Duration(-time.Second)
	c.Inputs = []Input{{Paths: []string{""}}}
	c.Outputs = []output.Config{{HTTP: &output.JSONConfig{HTTPConfig: output.HTTPConfig{URL: "http://sink", Auth: output.Auth{Password: "file:/password"}}}}}
	c.Complete()
	var p conf.Problems
	c.Validate(&p)
	for _, want := range []string{"max_age: -1s is negative", "inputs[0].paths[0]: is empty", "outputs[0].http.auth: has a password and no username"} {
		if !strings.Contains(p.Error(), want) {
			t.Errorf("nothing says %q in\n%s", want, p.Error())
		}
	}
}

func TestValidate_RefusesToFollowWhatTheShipperWritesItself(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path, exclude, state, to string
		want                     string
	}{
		{path: "/logs/*", to: "/logs/out.jsonl", want: "outputs[0].file.path /logs/out.jsonl is among the files of inputs[0]"},
		{path: "logs/*", to: filepath.Join(here, "logs/out.jsonl"), want: "out.jsonl is among"},
		{path: filepath.Join(here, "logs/*"), to: "logs/out.jsonl", want: "out.jsonl is among"},
		{path: "/logs/out.jsonl.*", to: "/logs/out.jsonl", want: "out.jsonl is among"},
		{path: "/logs/*", exclude: "out.*", to: "/logs/out.jsonl"},
		{path: "/logs/*", exclude: "/logs/out.*", to: "/logs/out.jsonl"},
		{path: "/logs/*.log", to: "/logs/out.jsonl"},
		{path: "/logs/**", state: "/logs/.state", want: "state /logs/.state is among the files of inputs[0]"},
		{path: "/logs/**", state: "/logs/.state", exclude: "/logs/.state/**"},
		{path: "/logs/**/*.log", state: "/logs/.state"},
		{path: "/logs/*", state: "/logs/.state"},
		{path: "/logs/**", state: NoState},
		{path: "/**/*.json", state: DefaultState}, // which does not exist here
	} {
		c := Default()
		c.State = row.state
		c.Inputs = []Input{{Paths: []string{row.path}, Exclude: []string{row.exclude}}}
		if row.to != "" {
			c.Outputs = []output.Config{{File: &output.FileConfig{Path: row.to, Rotate: 1 << 20}}}
		}
		var p conf.Problems
		c.validateLoops(&p, 0)
		got := ""
		for _, problem := range p.List {
			got += problem.Path + " " + problem.Message
		}
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%+v: %q", row, got)
		}
	}
}
