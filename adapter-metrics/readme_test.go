package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
)

func TestReadme_NamesEveryPresetAndFormat(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(preset.Names(), decode.FormatNames()...) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("README.md lacks `%s`", name)
		}
	}
}

// Every reason under which an input can be refused stands in the table of metrics.
func TestReadme_NamesEveryReasonOfParseErrors(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `adapter_parse_errors_total.*$").FindString(string(text))
	for _, file := range []string{"decode/statsd.go", "decode/statsd_event.go", "rules/feed.go", "series/source.go", "pull.go", "push.go"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:Problem\(|why\w+ +=) ?"(\w+)"`).FindAllStringSubmatch(string(code), -1) {
			if !strings.Contains(row, m[1]) {
				t.Errorf("README.md lacks the reason %s of %s", m[1], file)
			}
		}
	}
}
