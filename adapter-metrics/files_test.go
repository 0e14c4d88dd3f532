package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestFile_SnapshotIsReadAnewAndIsAbsentOnceItsWriterIsDead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stats.json")
	write(t, file, `{"a":1}`)
	admin, _, _ := configured(t, "sources:\n- file: {path: "+file+", max_age: 1h}\n- name: plain\n  file: {path: "+file+".txt, format: keyvalue}\n- resources: {}\n")
	mustHave(t, scrape(t, admin), "app_a 1", `adapter_source_up{source="file"} 1`, `adapter_source_errors_total{reason="absent",source="plain"} 1`)
	write(t, file, `{"a":2}`)
	write(t, file+".txt", "b: 3\n")
	mustHave(t, scrape(t, admin), "app_a 2", "app_b 3")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	mustHave(t, scrape(t, admin), "!app_a", "app_b 3", `adapter_source_errors_total{reason="stale",source="file"} 1`)
}

func TestFile_TailCountsTheLinesOfEveryFileThatAPatternNames(t *testing.T) {
	dir := t.TempDir()
	admin, _, _ := configured(t, "sources:\n- file: {path: '"+dir+"/*.log', mode: tail, pattern: '{status:int} {path}'}\n  metrics: [{name: hits_total, labels: [status]}]\n")
	write(t, filepath.Join(dir, "a.log"), "200 /\n404 /x\n")
	write(t, filepath.Join(dir, "b.log"), "200 /\nodd\n")
	shows(t, admin, `hits_total{status="200"} 2`)
	shows(t, admin, `adapter_parse_errors_total{reason="format",source="file"} 1`)
	mustHave(t, scrape(t, admin), `hits_total{status="404"} 1`)
}

const mappings = "mappings:\n- {match: 'old.*', name: old, labels: {x: $1}}\n- {match: 'same.*', name: same, labels: {x: $1}}\n- {match: g, name: before}\n"

// A mapping file lies in a ConfigMap of its own; its swap is a change of the configuration.
func TestReload_OfAMappingFileThatIsSwappedKeepsTheSeriesItDoesNotChange(t *testing.T) {
	m, port := &mounted{t: t, dir: t.TempDir()}, kittest.FreePort(t)
	m.swap(mappings)
	file := filepath.Join(m.dir, "c.yaml")
	admin, _ := adapter(t, "--statsd-mapping", file, "--source", "statsd://127.0.0.1:"+port)
	send(t, "udp", "127.0.0.1:"+port, "old.a:1|c\nsame.a:5|c\nsame.b:2|c|@0.5\ng:3|g\ntook:250|ms\nplain:7|c")
	shows(t, admin, "plain_total 7")
	mustHave(t, scrape(t, admin), `old_total{x="a"} 1`, `same_total{x="a"} 5`, `same_total{x="b"} 4`, "before 3", "took_count 1")

	m.swap("mappings:\n- {match: 'old.*', name: new, labels: {x: $1}}\n- {match: g, name: after}\n- {match: 'same.*', name: same, labels: {x: $1}}\n")
	kittest.Eventually(t, 1e10, func() bool {
		send(t, "udp", "127.0.0.1:"+port, "old.a:1|c")
		return strings.Contains("\n"+scrape(t, admin), "\nnew_total{x=\"a\"}")
	}, "the new mapping")
	mustHave(t, scrape(t, admin), "!old_total", "!before", "!after", `same_total{x="a"} 5`, `same_total{x="b"} 4`, "plain_total 7", "took_count 1")
	send(t, "udp", "127.0.0.1:"+port, "same.a:1|c\ng:4|g\nplain:1|c")
	shows(t, admin, "plain_total 8")
	mustHave(t, scrape(t, admin), `same_total{x="a"} 6`, "after 4", "adapter_config_last_reload_successful 1")

	m.swap("mappings: [{match: '(', match_type: regex, name: broken}]\n")
	shows(t, admin, "adapter_config_last_reload_successful 0")
	mustHave(t, scrape(t, admin), `same_total{x="a"} 6`)
}

func TestDrain_LastsUntilTheLogOfAnAppThatEndsHasCeased(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.log")
	write(t, file, "")
	config := filepath.Join(t.TempDir(), "c.yaml")
	write(t, config, "sources:\n- log: {path: "+file+", pattern: '{n:int}'}\n  metrics: [{name: lines_total}]\n")
	admin, p := adapter(t, "--config", config, "--drain-quiet", "3s")
	p.Signal(syscall.SIGTERM)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begin, n := time.Now(), 0
	for ; time.Since(begin) < 5*time.Second; n++ { // longer than it waits for one that says nothing
		fmt.Fprintln(f, n)
		time.Sleep(50 * time.Millisecond)
	}
	shows(t, admin, fmt.Sprintf("lines_total %d\n", n))
	if code := p.Wait(30 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestStatsD_EventsAndChecksThatNoMappingWantsKeepTheirNamesAndAreUnmatched(t *testing.T) {
	m, port := &mounted{t: t, dir: t.TempDir()}, kittest.FreePort(t)
	m.swap(mappings)
	admin, _ := adapter(t, "--statsd-mapping", filepath.Join(m.dir, "c.yaml"), "--source", "statsd://127.0.0.1:"+port)
	send(t, "udp", "127.0.0.1:"+port, "_e{1,1}:t|x\n_sc|db|1\nsame.a:1|c")
	shows(t, admin, `same_total{x="a"} 1`)
	mustHave(t, scrape(t, admin), `statsd_events_total{alert_type="info",priority="normal"} 1`, `statsd_service_check_status{check="db"} 1`, `adapter_unmatched_total{source="statsd"} 2`)
}

func TestLog_ThatCannotBeReadIsCountedAndNamedWithWhatMayHelp(t *testing.T) {
	const file = "/proc/self/mem" // whose first byte nobody can read
	admin, _, p := configured(t, "sources:\n- log: {path: "+file+", format: json}\n  metrics: [{name: n_total}]\n")
	shows(t, admin, `adapter_parse_errors_total{reason="unreadable",source="log"} `)
	if text := p.Stderr.String(); !strings.Contains(text, "log not readable") || !strings.Contains(text, file) {
		t.Error(text)
	}
	log, text := kittest.Logs(t)
	r := timed{src: series.New(series.Options{}).Source("log"), log: log}
	r.Unreadable(&fs.PathError{Op: "open", Path: "/a.log", Err: syscall.EACCES})
	if want := "open /a.log: permission denied (set securityContext.fsGroup, or run as the app's uid)"; !strings.Contains(text.String(), want) {
		t.Errorf("%s\nlacks %s", text, want)
	}
}
