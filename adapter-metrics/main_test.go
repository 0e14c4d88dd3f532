package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, map[string]func(){"adapter-metrics": main})
}

func TestScripts(t *testing.T) { kittest.Scripts(t, "testdata/script", nil) }

func TestUsage_NamesEveryFlag(t *testing.T) {
	loader := conf.Loader[config.Config]{Name: "adapter-metrics", EnvPrefix: "ADAPTER_", Defaults: config.Default, Flags: config.Flags}
	kittest.UsageNamesEveryFlag(t, "adapter-metrics", loader.Names())
}

// app is an application that answers with what it is told to say; empty is a failure.
type app struct {
	*httptest.Server
	body atomic.Pointer[string]
}

func newApp(t *testing.T, body string) *app {
	a := &app{}
	a.say(body)
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *app) say(body string) { a.body.Store(&body) }

func (a *app) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if *a.body.Load() == "" {
		http.Error(w, "not now", http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, *a.body.Load())
}

// adapter starts the real binary and returns the address of its admin server.
func adapter(t *testing.T, args ...string) (admin string, p *kittest.Process) {
	t.Helper()
	admin = kittest.FreeAddress(t)
	p = kittest.Start(t, nil, "adapter-metrics", append([]string{"--admin-address", admin}, args...)...)
	p.WaitReady(admin)
	if strings.HasPrefix(t.Name(), "TestReal") {
		t.Cleanup(func() { // whatever a test against a real server has led to
			if status, _ := kittest.Get("http://" + admin + "/metrics"); status != 0 {
				judged(t, admin)
			}
		})
	}
	return admin, p
}

// configured starts the real binary with a configuration file, and returns the file's name too.
func configured(t *testing.T, yaml string) (admin, file string, p *kittest.Process) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, yaml)
	admin, p = adapter(t, "--config", file)
	return admin, file, p
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scrape is the page, without comments.
func scrape(t *testing.T, admin string) string {
	t.Helper()
	_, page := kittest.Get("http://" + admin + "/metrics")
	var out strings.Builder
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// mustHave fails for each line that the page lacks; a line that begins with ! must not be there.
func mustHave(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		want, absent := strings.CutPrefix(want, "!")
		found := strings.HasPrefix(page, want) || strings.Contains(page, "\n"+want)
		if found == absent {
			t.Errorf("the page has %q: %v\n%s", want, found, page)
		}
	}
}

// send writes lines to an address and waits for nothing.
func send(t *testing.T, network, address, lines string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, lines); err != nil {
		t.Fatal(err)
	}
}

// shows polls the page until it has a line.
func shows(t *testing.T, admin, line string) {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, func() bool {
		return strings.Contains("\n"+scrape(t, admin), "\n"+line)
	}, line)
}
