package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// mounted is a ConfigMap volume as the kubelet makes it: ..data is a link that is renamed over.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) swap(yaml string) {
	m.t.Helper()
	m.n++
	version := fmt.Sprintf("..v%d", m.n)
	if err := os.Mkdir(filepath.Join(m.dir, version), 0o755); err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(m.dir, version, "c.yaml"), yaml)
	fresh := filepath.Join(m.dir, "..data_tmp")
	if err := os.Symlink(version, fresh); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
	if m.n == 1 {
		if err := os.Symlink("..data/c.yaml", filepath.Join(m.dir, "c.yaml")); err != nil {
			m.t.Fatal(err)
		}
	}
}

func TestReload_OfAConfigMapKeepsWhatDidNotChange(t *testing.T) {
	shop := newApp(t, `{"a":1,"b":2}`)
	keep, move := kittest.FreePort(t), kittest.FreePort(t)
	head := "admin_address: 127.0.0.1:0\nsources:\n- {name: kept, statsd: {listen: [\"udp://127.0.0.1:" + keep + "\"]}}\n"
	m := &mounted{t: t, dir: t.TempDir()}
	m.swap(head + "- {name: ruled, statsd: {listen: [\"udp://127.0.0.1:" + move + "\"]}}\n" +
		"- {name: shop, json: {url: " + shop.URL + "}, rules: [{match: a, name: first}]}\n")
	admin, p := adapter(t, "--config", filepath.Join(m.dir, "c.yaml"))
	send(t, "udp", "127.0.0.1:"+keep, "hits:3|c")
	send(t, "udp", "127.0.0.1:"+move, "old:1|c")
	shows(t, admin, "hits_total 3")
	shows(t, admin, "old_total 1")
	mustHave(t, scrape(t, admin), "first 1", "app_b 2")

	m.swap(head + "- {name: ruled, statsd: {listen: [\"udp://127.0.0.1:" + move + "\"]}, rules: [{match: old, name: new_total}]}\n" +
		"- {name: shop, json: {url: " + shop.URL + "}, rules: [{match: a, name: second}, {match: b, drop: true}]}\n")
	shows(t, admin, "second 1")
	send(t, "udp", "127.0.0.1:"+move, "old:5|c")
	shows(t, admin, "new_total 5")
	mustHave(t, scrape(t, admin), "hits_total 3", "!first", "!app_b", "!old_total", "adapter_config_last_reload_successful 1", `adapter_samples_total{source="kept"} 1`)

	m.swap(head)
	kittest.Eventually(t, 1e10, func() bool { return !strings.Contains(scrape(t, admin), "\nsecond 1") }, "the sources to go")
	send(t, "udp", "127.0.0.1:"+keep, "hits:1|c")
	shows(t, admin, "hits_total 4")
	mustHave(t, scrape(t, admin), `!adapter_source_up{source="shop"}`, `!adapter_samples_total{source="ruled"}`)
	if s := p.Stderr.String(); strings.Contains(s, "panic") {
		t.Error(s)
	}
}

func TestReload_OfABrokenConfigurationKeepsTheOldOne(t *testing.T) {
	shop := newApp(t, `{"a":1}`)
	admin, file, _ := configured(t, "sources:\n- json: {url: "+shop.URL+"}\n")
	busy := kittest.FreeAddress(t)
	holder := &http.Server{Addr: busy}
	defer holder.Close()
	go func() { _ = holder.ListenAndServe() }()
	kittest.Eventually(t, 1e10, func() bool { s, _ := kittest.Get("http://" + busy); return s != 0 }, "the holder")
	for _, broken := range []string{
		"sources:\n- json: {url: 7}\n",
		"sources:\n- {name: a, statsd: {listen: [\"tcp://" + kittest.FreeAddress(t) + "\", \"tcp://" + busy + "\"]}}\n",
	} {
		write(t, file, broken)
		response, err := http.Post("http://"+admin+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Errorf("%s was taken", broken)
		}
		mustHave(t, scrape(t, admin), "app_a 1", "adapter_config_last_reload_successful 0", `!adapter_samples_total{source="a"}`)
	}
	write(t, file, "sources:\n- json: {url: "+shop.URL+"}\n  rules: [{match: a, name: b}]\n")
	shows(t, admin, "b 1")
}

// TestReload_UnderWritingLosesNoLineOfALogAndCountsNoneTwice changes what lines become, and by what path the file is found,
// while an app writes and rotates.
func TestReload_UnderWritingLosesNoLineOfALogAndCountsNoneTwice(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.log")
	yaml := func(path, more string) string {
		return "sources:\n- log: {path: '" + filepath.Join(dir, path) + "', pattern: '{n:int} {}'}\n  metrics: [{name: lines_total}" + more + "]\n"
	}
	write(t, file, "0 before\n")
	admin, config, _ := configured(t, yaml("a.log", ""))
	rotate, rotated, wrote := make(chan bool), make(chan bool, 1), make(chan int)
	go func() {
		n := 0
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		defer func() { f.Close(); wrote <- n }()
		for err == nil {
			n++
			fmt.Fprintf(f, "%d ", n)
			fmt.Fprintln(f, "in two writes")
			select {
			case again := <-rotate:
				if !again {
					return
				}
				f.Close()
				if err = os.Rename(file, fmt.Sprintf("%s.%d", file, n)); err == nil { // which the glob names too
					f, err = os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
				}
				rotated <- true
			default:
			}
		}
		t.Error(err)
	}()
	for i := range 12 {
		path := "a.log"
		if i%4 == 1 || i%4 == 2 {
			path = "a.log*"
		}
		if i%2 == 0 { // the path stays
			rotate <- true
		} else {
			<-rotated
		}
		write(t, config, yaml(path, fmt.Sprintf(", {name: last_%d, set: n}", i)))
		response, err := http.Post("http://"+admin+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
		shows(t, admin, fmt.Sprintf("last_%d ", i)) // the new rules are at work
	}
	rotate <- false
	n := <-wrote
	shows(t, admin, fmt.Sprintf("lines_total %d\n", n))
	mustHave(t, scrape(t, admin), fmt.Sprintf(`adapter_samples_total{source="log"} %d`+"\n", n), "!last_10", "!adapter_parse_errors_total")
}
