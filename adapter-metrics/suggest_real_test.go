package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// recorded are the documents of suggest/testdata that come from servers which run here, and how each is had.
var recorded = map[string]func(t *testing.T) []byte{
	"uwsgi": func(t *testing.T) []byte {
		app, stats := uwsgi(t)
		kittest.Get("http://" + app + "/")
		c, err := net.Dial("tcp", stats)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		doc, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	},
	"puma": func(t *testing.T) []byte {
		var doc string
		url := puma(t, "2")
		kittest.Eventually(t, 2e10, func() bool { _, doc = kittest.Get(url); return strings.Count(doc, "max_threads") == 2 }, "both workers to tell of themselves")
		return []byte(doc)
	},
	"php-fpm": func(t *testing.T) []byte {
		doc, err := source.FastCGI{Network: "unix", Address: phpFPM(t), Path: "/status", Query: "json&full", Limit: 1 << 20}.Fetch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	},
	"jvm": func(t *testing.T) []byte {
		_, doc := kittest.Get(jvm(t) + "java.lang:name=*,type=GarbageCollector")
		return []byte(doc)
	},
	"nats": func(t *testing.T) []byte {
		binary := kittest.Pinned(t, "natsserver", "nats-server", "github.com/nats-io/nats-server/v2")
		client, monitor := kittest.FreeAddress(t), kittest.FreeAddress(t)
		_, port, _ := net.SplitHostPort(client)
		_, monitorPort, _ := net.SplitHostPort(monitor)
		kittest.Start(t, nil, binary, "-a", "127.0.0.1", "-p", port, "-m", monitorPort)
		var doc string
		kittest.Eventually(t, 2e10, func() bool {
			var status int
			status, doc = kittest.Get("http://" + monitor + "/varz")
			return status == 200
		}, "the server to tell of itself")
		return []byte(doc)
	},
	"node": func(t *testing.T) []byte {
		kittest.NeedReal(t, "node")
		doc, err := exec.Command("node", "-e", `const v8 = require('v8'); process.stdout.write(JSON.stringify({pid: process.pid, version: process.version, uptime: process.uptime(),
			memory: process.memoryUsage(), cpu: process.cpuUsage(), resource: process.resourceUsage(), versions: process.versions, heap: v8.getHeapStatistics(), spaces: v8.getHeapSpaceStatistics()}))`).Output()
		if err != nil {
			t.Fatal(err)
		}
		return doc
	},
}

// TestRealSuggest_RulesForWhatAServerTellsPassUnedited takes the documents anew from servers; go test -update records them.
func TestRealSuggest_RulesForWhatAServerTellsPassUnedited(t *testing.T) {
	for name, get := range recorded {
		t.Run(name, func(t *testing.T) {
			doc := get(t)
			if kittest.Update() {
				if err := os.WriteFile(filepath.Join("suggest", "testdata", name+".json"), anonymous(doc), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(t.TempDir(), "c.yaml")
			write(t, file, fed(t, doc, "suggest", "json"))
			out := fed(t, doc, "explain", "--config", file)
			for _, bad := range []string{"# problem:", "# lint:", "named by its path"} {
				if i := strings.Index(out, bad); i >= 0 {
					t.Errorf("%.300s", out[max(0, i-200):])
				}
			}
		})
	}
}

// anonymous takes out of a document what names this machine and its directories.
func anonymous(doc []byte) []byte {
	host, _ := os.Hostname()
	here, _ := os.Getwd()
	doc = bytes.ReplaceAll(bytes.ReplaceAll(doc, []byte(host), []byte("host")), []byte(here), []byte("/app"))
	return regexp.MustCompile(`(\\?/tmp)(\\?/[^"/\\]+)+`).ReplaceAll(doc, []byte("$1/app"))
}

// fed runs the real binary with an input.
func fed(t *testing.T, input []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("adapter-metrics", args...)
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, complaints.String())
	}
	return string(out)
}
