package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/deliver"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadme_HasEveryMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	count := tail.NewCounters(registry)
	deliver.NewCounters(registry, count.DroppedRecords, count.DroppedBytes)
	registry.MustRegister(newGauges(&service{}))
	descriptions := make(chan *prometheus.Desc, 100)
	registry.Describe(descriptions)
	close(descriptions)
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	text, n := readme(t), 0
	for d := range descriptions {
		n++
		if m := name.FindStringSubmatch(d.String()); !strings.Contains(text, "`"+m[1]) {
			t.Errorf("README.md does not describe %s", m[1])
		}
	}
	if n < 15 {
		t.Errorf("only %d metrics are registered", n)
	}
}

// reasons are how the code names why a record was dropped.
var reasons = regexp.MustCompile(`(?:\.Drop\(|\.drop\((?:g, )?|\bDropped\(|Dropped\.WithLabelValues\(|return |Reason[A-Z]\w* += )"((?:[a-z]+_[a-z]+)|overlong|vanished|rejected)"`)

func TestReadme_HasEveryReasonForADrop(t *testing.T) {
	text := readme(t)
	var found []string
	for _, dir := range []string{"tail", "deliver", "shape", "spool"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			code, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reasons.FindAllStringSubmatch(string(code), -1) {
				found = append(found, m[1])
				if !strings.Contains(text, "`"+m[1]+"`") {
					t.Errorf("README.md does not say when records are dropped for %q (%s)", m[1], name)
				}
			}
		}
	}
	for _, known := range []string{"overlong", "vanished", "truncated_unread", "rejected", "max_held", "max_age", "spool_full", "spool_torn", "shape_limit"} {
		if !slices.Contains(found, known) {
			t.Errorf("the search does not find %q in the code any more", known)
		}
	}
}

func TestMetrics_TheWholeExpositionPassesTheLinter(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	admin := kittest.FreeAddress(t)
	p := kittest.Start(t, nil, "sidecar-logshipper", "--path", filepath.Join(dir, "logs", "*.log"), "--to", s.url(),
		"--state", filepath.Join(dir, "state"), "--admin-address", admin)
	p.WaitReady(admin)
	s.behave("500")
	a.write(5)
	a.poison()
	awaitRetry(t, p)
	s.behave("")
	a.rename(0)
	s.awaitAll(t, a.whole)
	var body string
	kittest.Eventually(t, 10*time.Second, func() bool {
		_, body = kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(body, `logshipper_dropped_records_total{reason="rejected"} 1`) && strings.Contains(body, `logshipper_rotations_total{kind="rename"} 1`)
	}, "the counts")
	for _, want := range []string{`logshipper_records_total{stage="read"} `, `logshipper_records_total{stage="shaped"} `, "logshipper_output_retries_total{", "logshipper_build_info{", "process_cpu_seconds_total"} {
		if !strings.Contains(body, want) {
			t.Errorf("the exposition has no %s", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// command is a line of README.md that runs the program.
var command = regexp.MustCompile(`(?m)^sidecar-logshipper (.*)$`)

func TestReadme_ItsCommandsAreValid(t *testing.T) {
	found := command.FindAllStringSubmatch(readme(t), -1)
	if len(found) < 2 {
		t.Fatalf("README.md has %d commands", len(found))
	}
	for _, m := range found {
		p := kittest.Start(t, nil, "sh", "-c", "sidecar-logshipper check "+m[1])
		if code := p.Wait(10 * time.Second); code != 0 {
			t.Errorf("check %s: exit code %d\n%s", m[1], code, p.Stderr)
		}
	}
}

func TestReadme_ItsConfigurationIsValid(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no configuration")
	}
	for _, b := range blocks {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(b[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		p := kittest.Start(t, nil, "sidecar-logshipper", "check", "--config", file)
		if code := p.Wait(10 * time.Second); code != 0 {
			t.Errorf("exit code %d\n%s\n%s", code, b[1], p.Stderr)
		}
	}
}
