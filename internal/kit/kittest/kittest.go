// Package kittest is what the tests of all helpers share: real processes, real sockets, golden files and a watch on
// leaked goroutines. Only tests import it.
package kittest

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/pod-helpers/pod-helpers/internal/kit/logs"
)

// Main runs the tests of a package with commands: programs that testscripts, and Command, can start as processes of their
// own, which are the test binary itself. Goroutines that outlive the tests make it fail.
func Main(m *testing.M, commands map[string]func()) {
	testscript.Main(leakChecked{m}, commands)
}

type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
	return code
}

// Golden compares got with testdata/NAME; go test -update writes the file.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if Update() {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update accepts it)\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}

// Update says whether -update was given. The flag is looked up and not declared, so that packages that never use golden
// files do not get one; RegisterUpdate declares it.
func Update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// RegisterUpdate declares -update. Call it from TestMain, before flags are parsed.
func RegisterUpdate() { flag.Bool("update", false, "write golden files") }

// Scripts runs testdata/script/*.txtar. Each script's name is a claim.
func Scripts(t *testing.T, dir string, env map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, UpdateScripts: Update(),
		Setup: func(e *testscript.Env) error {
			for k, v := range env {
				e.Setenv(k, v)
			}
			for _, name := range []string{"PORT1", "PORT2", "PORT3"} {
				e.Setenv(name, port(freeAddress()))
			}
			return nil
		},
		Cmds: scriptCommands(),
	})
}

// FreeAddress is a loopback address on which nothing listened a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return freeAddress()
}

// FreePort is the port of a FreeAddress.
func FreePort(t testing.TB) string { return port(FreeAddress(t)) }

// given are the ports that this process has been told of: a test asks for several before anything listens on the first.
var given sync.Map

// freeAddress keeps below the ports that the kernel gives to outgoing connections: one of those would take it meanwhile.
func freeAddress() string {
	const first, end = 20000, 32000
	var err error
	for try := range 100 {
		number := first + rand.IntN(end-first)
		if _, twice := given.LoadOrStore(number, true); twice && try < 50 {
			continue // after that, a run of thousands of tests has had them all
		}
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(number)); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	panic(err) // no loopback: nothing can be tested
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// Buffer collects what several goroutines write.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Logs is a logger and what it has logged, at debug level.
func Logs(t testing.TB) (*slog.Logger, *Buffer) {
	b := &Buffer{}
	return logs.New(io.MultiWriter(b, t.Output()), slog.LevelDebug, "text"), b
}

// Serve is a server on loopback that does with each connection what serve says, and closes it then. It ends with the test.
func Serve(t testing.TB, serve func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// Eventually polls until condition holds, and fails the test after limit with what it waited for.
func Eventually(t testing.TB, limit time.Duration, condition func() bool, waitingFor string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still waiting for %s", limit, waitingFor)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// NeedReal makes a test depend on programs of this machine, a real server for instance. Without them the test is skipped,
// or fails when REQUIRE_REAL=1 says that this machine was meant to have them.
func NeedReal(t testing.TB, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("real servers are not part of -short")
	}
	missing := slices.DeleteFunc(slices.Clone(programs), func(p string) bool { _, err := exec.LookPath(p); return err == nil })
	if len(missing) == 0 {
		return
	}
	if os.Getenv("REQUIRE_REAL") == "1" {
		t.Fatalf("REQUIRE_REAL=1, and these are not installed: %s", strings.Join(missing, ", "))
	}
	t.Skipf("not installed: %s (make test-real installs them)", strings.Join(missing, ", "))
}

// UsageNamesEveryFlag fails for each flag that the --help of a program, laid out by hand, forgets.
func UsageNamesEveryFlag(t testing.TB, program string, names []string) {
	t.Helper()
	help := Start(t, nil, program, "--help")
	help.Wait(10 * time.Second)
	usage := help.Stdout.String()
	for _, name := range names {
		if !strings.Contains(usage, "  --"+name) && !strings.Contains(usage, ", --"+name) {
			t.Errorf("--help does not mention --%s", name)
		}
	}
	lines := strings.Split(usage, "\n")
	if len(lines) > 100 {
		t.Errorf("--help has %d lines; two screens hold 100", len(lines))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 130 {
			t.Errorf("a line too wide for a terminal: %s", line)
		}
	}
}
