package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// peer builds a program that bench/adapter/peers pins.
func peer(t *testing.T, module string) string {
	t.Helper()
	if os.Getenv("REQUIRE_REAL") == "" {
		t.Skip("set REQUIRE_REAL to build " + module)
	}
	binary := filepath.Join(t.TempDir(), filepath.Base(module))
	build := exec.Command("go", "build", "-o", binary, module)
	build.Dir, build.Env = filepath.Join("..", "bench", "adapter", "peers"), append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// script unpacks the files of a test script.
func script(t *testing.T, name string) (dir string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "script", name))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range archive.Files {
		write(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	return dir
}

// apps are the series of a page that are about the app: those of the exporters themselves are left out.
func apps(page string) (out []string) {
	own := regexp.MustCompile(`^(#|$|go_|process_|promhttp_|adapter_|statsd_exporter_|statsd_metric_|json_exporter_)`)
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); !own.MatchString(line) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// differ fails with the lines that only one of two pages has.
func differ(t *testing.T, peer, ours []string) {
	t.Helper()
	for _, line := range peer {
		if !slices.Contains(ours, line) {
			t.Errorf("only the peer has %s", line)
		}
	}
	for _, line := range ours {
		if !slices.Contains(peer, line) {
			t.Errorf("only the adapter has %s", line)
		}
	}
}

// totals gives the counters of a page the suffix that OpenMetrics wants: the first of two differences that are meant.
func totals(page string) string {
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) counter$`).FindAllStringSubmatch(page, -1) {
		if !strings.HasSuffix(m[1], "_total") {
			page = regexp.MustCompile(`(?m)^`+m[1]+`([{ ])`).ReplaceAllString(page, m[1]+"_total$1")
		}
	}
	return page
}

// roughly rounds quantiles, the second: here they are within 1.1 %.
func roughly(page string) (out []string) {
	for _, line := range apps(page) {
		if at := strings.LastIndexByte(line, ' '); strings.Contains(line, `quantile="`) {
			v, _ := strconv.ParseFloat(line[at+1:], 64)
			line = fmt.Sprintf("%s %.2f", line[:at], v)
		}
		out = append(out, line)
	}
	return out
}

func TestRealStatsDExporter_GivesTheSameSeriesForAMappingFile(t *testing.T) {
	binary := peer(t, "github.com/prometheus/statsd_exporter")
	for _, c := range []struct{ name, mapping string }{
		{"in order", ""},
		{"the most specific", "defaults: {glob_disable_ordering: true, observer_type: histogram, histogram_options: {buckets: [0.1, 1]}}\nmappings:\n" +
			"- {match: '*.*.*', name: any, labels: {first: $1, mid: $2, last: $3}}\n- {match: 'test.*.x', name: mid, labels: {mid: $1}}\n- {match: test.acme.x, name: exact}\n" +
			"- {match: 'test.timing.*.*.*', name: my_timer, labels: {provider: $1}, help: Took.}\n- {match: '.*', match_type: regex, action: drop, name: dropped}\n"},
		{"a regex with the whole name", "mappings: [{match: '.+', match_type: regex, name: '$0', labels: {statsd_name: '$0'}}]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := script(t, "statsd-mapping-files-are-read-as-they-are.txtar")
			lines, err := os.ReadFile(filepath.Join(dir, "lines"))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "mapping.yml")
			if c.mapping != "" {
				write(t, file, c.mapping)
				lines = append(lines, "test.acme.x:1|c\ntest.foo.x:2|c\na.b.c:3|c\n"...)
			}
			web, port := kittest.FreeAddress(t), kittest.FreePort(t)
			server(t, "tcp", web, binary, "--web.listen-address", web, "--statsd.listen-udp", "", "--statsd.listen-tcp", "127.0.0.1:"+port, "--statsd.mapping-config", file)
			send(t, "tcp", "127.0.0.1:"+port, string(lines))
			var theirs string
			handled := regexp.MustCompile(`(?m)^statsd_exporter_events_(?:actions|unmapped)_total\S* (\d+)$`)
			kittest.Eventually(t, 10*time.Second, func() bool { // it hands lines on in batches
				_, theirs = kittest.Get("http://" + web + "/metrics")
				n := 0
				for _, m := range handled.FindAllStringSubmatch(theirs, -1) {
					count, _ := strconv.Atoi(m[1])
					n += count
				}
				return n == bytes.Count(lines, []byte{'\n'})
			}, "the peer to handle the lines")
			_, theirs = kittest.Get("http://" + web + "/metrics") // the last one, which was counted first

			ours := kittest.FreePort(t)
			admin, _, _ := configured(t, "statsd_mapping: "+file+"\nsources:\n- statsd: {listen: ['tcp://127.0.0.1:"+ours+"']}\n")
			send(t, "tcp", "127.0.0.1:"+ours, string(lines))
			shows(t, admin, fmt.Sprintf(`adapter_statsd_lines_total{source="statsd"} %d`, strings.Count(string(lines), "\n")))
			differ(t, roughly(totals(theirs)), roughly(scrape(t, admin)))
		})
	}
}

// The only difference that is meant: timestamps are not taken over, as a sample is as old as its scrape.
func TestRealJSONExporter_GivesTheSameSeriesForItsConfiguration(t *testing.T) {
	binary, dir := peer(t, "github.com/prometheus-community/json_exporter"), script(t, "json-exporter-configurations-are-read-as-they-are.txtar")
	web := kittest.FreeAddress(t)
	server(t, "tcp", web, binary, "--web.listen-address", web, "--config.file", filepath.Join(dir, "config.yml"))
	timestamp := regexp.MustCompile(`(?m)^(example_timestamped\S+ \S+) \d+$`)
	for module, document := range map[string]string{"default": "data.json", "animals": "animals.json"} {
		text, err := os.ReadFile(filepath.Join(dir, document))
		if err != nil {
			t.Fatal(err)
		}
		app := newApp(t, string(text))
		_, theirs := kittest.Get("http://" + web + "/probe?module=" + module + "&target=" + app.URL)
		admin, _, _ := configured(t, "sources:\n- json: {url: '"+app.URL+"', json_exporter_config: "+filepath.Join(dir, "config.yml")+", json_exporter_module: "+module+"}\n")
		differ(t, apps(timestamp.ReplaceAllString(theirs, "$1")), apps(scrape(t, admin)))
		if len(apps(theirs)) < 2 {
			t.Errorf("the peer says %s", theirs)
		}
	}
}
