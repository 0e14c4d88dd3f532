package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// judged gives what a running adapter serves to promtool and to the strict OpenMetrics parser, under each escaping that
// leaves names classic.
func judged(t *testing.T, admin string) {
	t.Helper()
	judge.Promtool(t, fetch(t, admin, "text/plain;version=0.0.4"))
	for _, scheme := range []string{"underscores", "dots", "values"} {
		page := fetch(t, admin, "application/openmetrics-text;version=1.0.0;escaping="+scheme)
		if scheme == "underscores" { // the Go judge is as strict, which a test of its own shows, and needs no interpreter
			judge.Python(t, page)
		}
		if err := judge.OpenMetrics(page); err != nil {
			t.Errorf("%v\n%s", err, page)
		}
	}
}

func fetch(t *testing.T, admin, accept string) string {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestReal_JudgesTakeThePageOfEveryRecordedDocument is of all presets with a recorded document, and of the rules that were
// suggested for well-known status documents.
func TestReal_JudgesTakeThePageOfEveryRecordedDocument(t *testing.T) {
	documents, err := filepath.Glob("preset/testdata/*.txt")
	if err != nil || len(documents) == 0 {
		t.Fatal(err)
	}
	for _, file := range documents { // each by itself: Jolokia's and Spring's names are of different types
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		p, err := preset.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		port := kittest.FreePort(t)
		source := fmt.Sprintf("document: {url: 'file://%s', format: %s}", absolute(t, file), p.Format)
		if p.Format == "" {
			source = "statsd: {listen: ['tcp://127.0.0.1:" + port + "']}"
		}
		admin, _, _ := configured(t, "created_timestamps: true\nsources:\n- {name: "+name+", preset: "+name+", "+source+"}\n- resources: {}\n")
		if p.Format == "" {
			lines, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			send(t, "tcp", "127.0.0.1:"+port, string(lines))
			shows(t, admin, fmt.Sprintf("adapter_samples_total{source=%q} %d", name, strings.Count(string(lines), "\n")))
		} else {
			mustHave(t, scrape(t, admin), `adapter_source_up{source="`+name+`"} 1`)
		}
		judged(t, admin)
	}

	suggested, err := filepath.Glob("suggest/testdata/*.yaml")
	if err != nil || len(suggested) == 0 {
		t.Fatal(err)
	}
	for _, file := range suggested {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var yaml strings.Builder
		fmt.Fprintf(&yaml, "sources:\n- json: {url: 'file://%s.json'}\n  rules:\n", absolute(t, strings.TrimSuffix(file, ".yaml")))
		for line := range strings.Lines(string(text)) {
			yaml.WriteString("  " + line)
		}
		admin, _, _ := configured(t, yaml.String())
		mustHave(t, scrape(t, admin), `adapter_source_up{source="json"} 1`)
		judged(t, admin)
	}
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
