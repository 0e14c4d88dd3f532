package kittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// VictoriaLogs builds the pinned log store once into the user's cache, starts it and returns its addresses: HTTP, and syslog
// over TCP. Lines are searchable about a second after they were sent.
func VictoriaLogs(t testing.TB) (http, syslog string) {
	t.Helper()
	NeedReal(t, "go")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "pod-helpers", "victoria-logs")
	if _, err := os.Stat(binary); err != nil {
		build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
		build.Dir = filepath.Join(Root(t), "internal", "testtools", "victorialogs")
		build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build victoria-logs: %v\n%s", err, out)
		}
	}
	http, syslog = FreeAddress(t), FreeAddress(t)
	Start(t, nil, binary, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+http, "-syslog.listenAddr.tcp="+syslog)
	Eventually(t, 20*time.Second, func() bool { s, _ := Get("http://" + http + "/health"); return s == 200 }, "VictoriaLogs to listen")
	return http, syslog
}

// Root is the folder of go.work, the repository's.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.work above the test")
		}
		dir = filepath.Dir(dir)
	}
}
