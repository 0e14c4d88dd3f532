package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// task is what a contender is to do: to send what is in the files to the sink.
type task struct {
	glob        string
	url         string // of the sink
	format      string // ndjson, otlp, loki
	compression string
	joined      bool // records are stack traces
	dir         string
}

// contender is a program that ships logs. command writes its configuration into the task's directory; nil means that it
// cannot do the task.
type contender struct {
	name    string
	command func(t task) []string
}

// contenders are the shipper and the peers that can be had here; what cannot is said.
func contenders(o *options) []contender {
	list := []contender{{"ours", func(t task) []string { return ours(o.binary, t) }}}
	for _, p := range []struct{ name, pkg string }{{"vlagent", "github.com/VictoriaMetrics/VictoriaLogs/app/vlagent"}, {"otelcol", "."}} {
		if !strings.Contains(o.peers, p.name) {
			continue
		}
		path := filepath.Join(cache(), p.name)
		if err := build(filepath.Join("bench/logshipper/peers", p.name), path, p.pkg); err != nil {
			fmt.Fprintln(os.Stderr, "not measured:", err)
			continue
		}
		command := map[string]func(string, task) []string{"vlagent": vlagent, "otelcol": otelcol}[p.name]
		list = append(list, contender{p.name, func(t task) []string { return command(path, t) }})
	}
	plugins, _ := filepath.Glob("/usr/lib/*/rsyslog/omelasticsearch.so")
	switch {
	case !strings.Contains(o.peers, "rsyslog"):
	case len(plugins) > 0:
		list = append(list, contender{"rsyslog", rsyslog})
	default:
		fmt.Fprintln(os.Stderr, "not measured: rsyslog (apt-get install rsyslog rsyslog-elasticsearch)")
	}
	return list
}

// cache keeps the peers, so that only the first run builds and links them.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "pod-helpers")
}

// build makes a peer from a module of its own, to which the workspace does not apply, with both cores.
func build(dir, out, pkg string) error {
	cmd := exec.Command("taskset", "-c", testCore+","+loadCore, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

func (t *task) write(name, text string) string {
	path := filepath.Join(t.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // the directory is ours
	}
	return path
}

func ours(binary string, t task) []string {
	kind, compression := map[string]string{"ndjson": "http", "otlp": "otlp", "loki": "loki"}[t.format], ""
	if t.compression != "" && t.format != "loki" {
		compression = ", compression: " + t.compression
	}
	rule := ""
	if t.joined {
		rule = ", multiline: {preset: java}"
	}
	config := t.write("config.yaml", fmt.Sprintf("inputs: [{paths: [%q]%s}]\noutputs: [{%s: {url: %q%s}}]\nstate: %q\nadmin_address: %q\n",
		t.glob, rule, kind, t.url, compression, filepath.Join(t.dir, "state"), freeAddress()))
	return []string{binary, "--config", config}
}

// vlagent always packs with zstd, and cannot join.
func vlagent(binary string, t task) []string {
	if t.compression != "zstd" && t.compression != "" || t.format != "ndjson" || t.joined {
		return nil
	}
	return []string{
		binary, "-httpListenAddr=" + freeAddress(), "-tmpDataPath=" + t.dir, "-fileCollector.glob=" + t.glob,
		"-remoteWrite.url=" + t.url + "/insert/native", "-loggerLevel=ERROR",
	}
}

func otelcol(binary string, t task) []string {
	if t.format == "loki" {
		return nil
	}
	compression, rule := "none", ""
	if t.compression != "" {
		compression = t.compression
	}
	if t.joined {
		rule = "\n    multiline: {line_start_pattern: '^\\d{4}-'}"
	}
	config := t.write("otelcol.yaml", fmt.Sprintf(`receivers:
  filelog:
    include: [%q]
    start_at: beginning%s
exporters:
  otlp_http:
    endpoint: %s
    compression: %s
    sending_queue: {sizer: items, queue_size: 100000, block_on_overflow: true, num_consumers: 2, batch: {flush_timeout: 200ms, min_size: 8192}}
service:
  pipelines: {logs: {receivers: [filelog], exporters: [otlp_http]}}
`, t.glob, rule, t.url, compression))
	return []string{binary, "--config", "file:" + config}
}

// rsyslog speaks HTTP only to Elasticsearch, as Debian packages it.
func rsyslog(t task) []string {
	if t.format != "ndjson" || t.compression != "" {
		return nil
	}
	rule := ""
	if t.joined {
		rule = ` startmsg.regex="^[0-9]{4}-" readTimeout="2"`
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(t.url, "http://"), ":")
	config := t.write("rsyslog.conf", fmt.Sprintf(`global(workDirectory=%q)
main_queue(queue.type="FixedArray" queue.size="50000" queue.dequeueBatchSize="4096")
module(load="imfile")
module(load="omelasticsearch")
template(name="record" type="list" option.jsonf="on") {
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}
input(type="imfile" File=%q Tag="app:"%s)
action(type="omelasticsearch" server=%q serverport=%q searchIndex="logs" searchType="" bulkmode="on" maxbytes="1m" template="record" action.resumeRetryCount="-1")
`, t.dir, t.glob, rule, host, port))
	return []string{"rsyslogd", "-n", "-f", config, "-i", filepath.Join(t.dir, "rsyslog.pid")}
}

// beside makes a directory for configuration and state, away from the logs: whoever watches its configuration file must not
// be woken by each line.
func beside(logs string) string {
	dir := filepath.Join(logs, "own")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		panic(err) // the directory is ours
	}
	return dir
}
