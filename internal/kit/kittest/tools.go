package kittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// VictoriaLogs builds the pinned log store once into the user's cache, starts it and returns its addresses: HTTP, and syslog
// over TCP. Lines are searchable about a second after they were sent.
func VictoriaLogs(t testing.TB) (http, syslog string) {
	t.Helper()
	binary := Pinned(t, "victorialogs", "victoria-logs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	http, syslog = FreeAddress(t), FreeAddress(t)
	Start(t, nil, binary, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+http, "-syslog.listenAddr.tcp="+syslog)
	Eventually(t, 20*time.Second, func() bool { s, _ := Get("http://" + http + "/health"); return s == 200 }, "VictoriaLogs to listen")
	return http, syslog
}

// Pinned builds a package of the module internal/testtools/MODULE once into the user's cache, under name, and returns its path.
func Pinned(t testing.TB, module, name, pkg string) string {
	t.Helper()
	NeedReal(t, "go")
	binary := filepath.Join(cache(t), name)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	build := exec.Command("go", "build", "-trimpath", "-o", binary, pkg)
	build.Dir = filepath.Join(Root(t), "internal", "testtools", module)
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return binary
}

// GoTool installs a program of a Go module once into the user's cache and returns its path. what is a package with its
// version: example.com/mod/cmd/tool@v1.2.3.
func GoTool(t testing.TB, what string) string {
	t.Helper()
	NeedReal(t, "go")
	path, version, _ := strings.Cut(what, "@")
	dir := filepath.Join(cache(t), filepath.Base(path)+"-"+version)
	binary := filepath.Join(dir, filepath.Base(path))
	if _, err := os.Stat(binary); err != nil {
		install := exec.Command("go", "install", what)
		install.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off")
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("install %s: %v\n%s", what, err, out)
		}
	}
	return binary
}

// cache is where programs are kept from one run to the next.
func cache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pod-helpers")
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
