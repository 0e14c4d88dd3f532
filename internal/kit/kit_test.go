package kit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
)

// The toy is a whole helper with nothing to do: it shows what every helper gets from the kit.
type toyConfig struct {
	conf.Common `yaml:",inline"`
	Greeting    string      `yaml:"greeting"`
	Password    conf.Secret `yaml:"password,omitempty"`
	Pets        []toyPet    `yaml:"pets,omitempty"`
}

type toyPet struct {
	Name string        `yaml:"name"`
	Kind string        `yaml:"kind,omitempty" enum:"cat,dog"`
	Age  int           `yaml:"age,omitempty"`
	Nap  conf.Duration `yaml:"nap,omitempty"`
	Bowl conf.Size     `yaml:"bowl,omitempty"`
}

func (c *toyConfig) Validate(p *conf.Problems) {
	for i, pet := range c.Pets {
		if pet.Name == "" {
			p.Add(fmt.Sprintf("pets[%d]", i), "has no name", "give it one")
		}
	}
}

type toy struct {
	config atomic.Pointer[toyConfig]
}

func (s *toy) Reload(_ context.Context, c *toyConfig) error {
	if c.Greeting == "refuse" {
		return errors.New("reload: refused")
	}
	if c.Greeting == "stuck" {
		fmt.Fprintln(os.Stderr, "the reload takes its time")
		select {}
	}
	s.config.Store(c)
	return nil
}

func (s *toy) Drain(ctx context.Context, quiet time.Duration) error {
	last := time.Now()
	if s.config.Load().Greeting == "busy" {
		_ = life.WaitQuiet(ctx, quiet, time.Now)
		return &life.Unfinished{Left: 7, Unit: "records"}
	}
	return life.WaitQuiet(ctx, quiet, func() time.Time { return last })
}
func (s *toy) Close() error {
	if c := s.config.Load(); c.Greeting == "late" {
		if r, err := http.Post("http://"+c.AdminAddress+"/-/reload", "", nil); err == nil {
			defer r.Body.Close()
			fmt.Fprintln(os.Stderr, "reload while closing:", r.StatusCode)
		}
	}
	return nil
}
func (s *toy) Done() <-chan struct{} { return nil }
func (s *toy) Err() error            { return nil }
func (s *toy) Status() admin.Status {
	return admin.Status{Health: "ok", Headline: s.config.Load().Greeting}
}

func toyMain() {
	os.Exit(kit.Main(kit.Helper[toyConfig]{
		Name: "toy", EnvPrefix: "TOY_", Metrics: "toy", AdminAddress: ":19100", Usage: "toy --greeting TEXT\n",
		Defaults: func() toyConfig { return toyConfig{Greeting: "hello"} },
		Flags: func(f *conf.Flags, c *toyConfig) {
			f.String(&c.Greeting, "greeting", "what it says")
			f.Words("pet", "a pet's name", func(names []string) error {
				c.Pets = nil
				for _, n := range names {
					if strings.Contains(n, "!") {
						return fmt.Errorf("%q is no name", n)
					}
					c.Pets = append(c.Pets, toyPet{Name: n})
				}
				return nil
			})
		},
		Start: func(_ context.Context, c *toyConfig, _ kit.Env) (kit.Service[toyConfig], error) {
			s := &toy{}
			s.config.Store(c)
			return s, nil
		},
		Explain: func(_ context.Context, c *toyConfig, in kit.Invocation) error {
			_, err := fmt.Fprintln(in.Stdout, c.Greeting, in.Args)
			return err
		},
	}, os.Args[1:]))
}

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, map[string]func(){"toy": toyMain})
}

func TestScripts(t *testing.T) { kittest.Scripts(t, "testdata/script", nil) }

func startToy(t *testing.T, env []string, args ...string) (*kittest.Process, string) {
	t.Helper()
	address := kittest.FreeAddress(t)
	p := kittest.Start(t, env, "toy", append([]string{"--admin-address", address}, args...)...)
	p.WaitReady(address)
	return p, address
}

func TestSIGTERM_DrainsAndExitsZero(t *testing.T) {
	p, _ := startToy(t, nil, "--drain-quiet", "10ms")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestDrain_ThatRunsOutOfTimeExitsThreeAndSaysWhatIsLeft(t *testing.T) {
	p, _ := startToy(t, nil, "--greeting", "busy", "--drain-quiet", "50ms", "--drain-timeout", "100ms")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	lines := strings.Split(strings.TrimSpace(p.Stderr.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "7 records left") {
		t.Errorf("last line %q does not say what is left", last)
	}
}

func TestSecondSignal_StopsAtOnce(t *testing.T) {
	p, _ := startToy(t, nil, "--greeting", "busy", "--drain-quiet", "1m", "--drain-timeout", "2m")
	p.Signal(syscall.SIGTERM)
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "draining") }, "the drain to begin")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 3 {
		t.Errorf("exit code %d, want 3: work may be left", code)
	}
	if want := "toy: stopped at once by a second signal (terminated): work may be left\n"; !strings.HasSuffix(p.Stderr.String(), want) {
		t.Errorf("the last line is not %q:\n%s", want, p.Stderr)
	}
}

func TestQuitCommand_EndsTheRunningHelper(t *testing.T) {
	p, address := startToy(t, nil, "--drain-quiet", "10ms")
	if code := kittest.Start(t, nil, "toy", "healthcheck", "--ready", "--admin-address", address).Wait(5 * time.Second); code != 0 {
		t.Errorf("healthcheck of a ready helper: exit code %d", code)
	}
	if code := kittest.Start(t, nil, "toy", "quit", "--admin-address", address).Wait(5 * time.Second); code != 0 {
		t.Errorf("quit: exit code %d", code)
	}
	if code := p.Wait(5 * time.Second); code != 0 {
		t.Errorf("the helper's exit code %d", code)
	}
	if code := kittest.Start(t, nil, "toy", "healthcheck", "--admin-address", address).Wait(5 * time.Second); code != 1 {
		t.Errorf("healthcheck of a helper that is gone: exit code %d, want 1", code)
	}
}

func TestClientCommands_GiveHelpInsteadOfActing(t *testing.T) {
	p, address := startToy(t, nil)
	for _, command := range []string{"healthcheck", "wait", "quit"} {
		client := kittest.Start(t, nil, "toy", command, "--help", "--admin-address", address)
		if code := client.Wait(5 * time.Second); code != 0 || !strings.HasPrefix(client.Stdout.String(), "toy --greeting TEXT\n") {
			t.Errorf("%s --help: exit code %d, %q", command, code, client.Stdout)
		}
	}
	if status, _ := kittest.Get("http://" + address + "/readyz"); status != 200 || strings.Contains(p.Stderr.String(), "draining") {
		t.Errorf("quit --help has ended the helper: %d\n%s", status, p.Stderr)
	}
}

func TestWait_SaysWhyTheHelperWasNotReadyAndNotThatTimeIsUp(t *testing.T) {
	p := kittest.Start(t, nil, "toy", "wait", "--timeout", "60ms", "--admin-address", kittest.FreeAddress(t))
	if code := p.Wait(5 * time.Second); code != 1 || !strings.Contains(p.Stderr.String(), "connection refused") {
		t.Errorf("exit code %d: %s", code, p.Stderr)
	}
}

func TestWait_WithoutTimeIsAMistakeInItsUse(t *testing.T) {
	p := kittest.Start(t, nil, "toy", "wait", "--timeout", "-1s", "--admin-address", kittest.FreeAddress(t))
	if code := p.Wait(5 * time.Second); code != 2 || !strings.Contains(p.Stderr.String(), "-1s leaves no time") {
		t.Errorf("exit code %d: %s", code, p.Stderr)
	}
}

func TestDrainAction_MakesItUnreadyAndLeavesItRunning(t *testing.T) {
	p, address := startToy(t, nil, "--drain-quiet", "10ms")
	post(t, address, "/-/drain", http.StatusOK)
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "drained") }, "the drain to end")
	if status, body := kittest.Get("http://" + address + "/readyz"); status != 503 || !strings.Contains(body, "not-draining") {
		t.Errorf("/readyz while draining: %d %s", status, body)
	}
	if status, _ := kittest.Get("http://" + address + "/livez"); status != 200 {
		t.Errorf("/livez after a drain: %d", status)
	}
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestReload_SurvivesConfigMapSwaps does what the kubelet's atomic writer does, twice, because a watch on the file itself
// would see the first swap and go silent.
func TestReload_SurvivesConfigMapSwaps(t *testing.T) {
	dir := t.TempDir()
	swapConfigMap(t, dir, "..1", "greeting: one\n")
	if err := os.Symlink("..data/config.yaml", filepath.Join(dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	p, address := startToy(t, nil, "--config", filepath.Join(dir, "config.yaml"))
	for i, greeting := range []string{"two", "three"} {
		swapConfigMap(t, dir, fmt.Sprintf("..%d", i+2), "greeting: "+greeting+"\n")
		kittest.Eventually(t, 5*time.Second, func() bool { return says(address, "greeting: "+greeting) }, "the swap to "+greeting)
	}
	swapConfigMap(t, dir, "..4", "greting: broken\n")
	kittest.Eventually(t, 5*time.Second, func() bool { return metric(address, "toy_config_last_reload_successful 0") }, "the broken one to be refused")
	if !says(address, "greeting: three") {
		t.Error("a broken configuration replaced the one at work")
	}
	if !strings.Contains(p.Stderr.String(), `did you mean \"greeting\"?`) {
		t.Errorf("the log does not say why:\n%s", p.Stderr)
	}
	swapConfigMap(t, dir, "..5", "greeting: five\n")
	kittest.Eventually(t, 5*time.Second, func() bool { return metric(address, "toy_config_last_reload_successful 1") }, "the repaired one")
}

func TestReload_BySignalAndByAction(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, "greeting: one\n")
	p, address := startToy(t, nil, "--config", file)
	write(t, file, "greeting: two\n")
	p.Signal(syscall.SIGHUP)
	kittest.Eventually(t, 5*time.Second, func() bool { return says(address, "greeting: two") }, "SIGHUP to reload")
	write(t, file, "greeting: refuse\n")
	post(t, address, "/-/reload", http.StatusUnprocessableEntity)
	if !says(address, "greeting: two") {
		t.Error("a refused configuration replaced the one at work")
	}
}

func TestFlag_BeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, "greeting: file\nlog_level: warn\npets: [{name: a}]\n")
	for _, row := range []struct {
		name, want string
		env, args  []string
	}{
		{"default", "greeting: hello", nil, nil},
		{"file", "greeting: file", nil, []string{"--config", file}},
		{"environment", "greeting: env", []string{"TOY_GREETING=env", "TOY_CONFIG=" + file}, nil},
		{"flag", "greeting: flag", []string{"TOY_GREETING=env", "TOY_CONFIG=" + file}, []string{"--greeting=flag"}},
		{"file keeps what no flag names", "log_level: warn", []string{"TOY_GREETING=env", "TOY_CONFIG=" + file}, nil},
		{"list from the environment", "name: c", []string{"TOY_PET=b,c"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := kittest.Start(t, row.env, "toy", append([]string{"check"}, row.args...)...)
			if code := p.Wait(10 * time.Second); code != 0 || !strings.Contains(p.Stdout.String(), row.want) {
				t.Errorf("exit code %d, want %q in\n%s%s", code, row.want, p.Stdout, p.Stderr)
			}
		})
	}
}

func TestActions_AreRefusedToBrowsersAndGET(t *testing.T) {
	_, address := startToy(t, nil)
	for _, path := range []string{"/-/quit", "/quitquitquit", "/-/drain", "/-/reload"} {
		if status, _ := kittest.Get("http://" + address + path); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d, want 405", path, status)
		}
		request, _ := http.NewRequest(http.MethodPost, "http://"+address+path, nil)
		request.Header.Set("Origin", "http://evil.example")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s from a web page: %d, want 403", path, response.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdmin_AnswersEveryPath(t *testing.T) {
	_, address := startToy(t, nil, "--greeting", "grüezi")
	for path, want := range map[string]string{
		"/livez": "ok", "/healthz": "ok", "/-/healthy": "ok", "/readyz": "ready", "/-/ready": "ready",
		"/readyz?verbose": "[+]started ok", "/metrics": "toy_build_info", "/config": "greeting: grüezi",
		"/": "<title>toy</title>", "/status.json": `"headline":"grüezi"`,
	} {
		if status, body := kittest.Get("http://" + address + path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d, want %q in %.200s", path, status, want, body)
		}
	}
	if status, _ := kittest.Get("http://" + address + "/debug/pprof/"); status != 404 {
		t.Errorf("/debug/pprof/ without --debug-endpoints: %d, want 404", status)
	}
}

func swapConfigMap(t *testing.T, dir, version, content string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, version, "config.yaml"), content)
	temporary := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(version, temporary); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Readlink(filepath.Join(dir, "..data"))
	if err := os.Rename(temporary, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if before != "" {
		_ = os.RemoveAll(filepath.Join(dir, before))
	}
}

// write replaces the file in one step: a watch may look at any time.
func write(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", []byte(content), 0o644), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}

func says(address, text string) bool {
	_, body := kittest.Get("http://" + address + "/config")
	return strings.Contains(body, text)
}

func metric(address, line string) bool {
	_, body := kittest.Get("http://" + address + "/metrics")
	return strings.Contains(body, line)
}

func post(t *testing.T, address, path string, want int) {
	t.Helper()
	response, err := http.Post("http://"+address+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if response.StatusCode != want {
		t.Errorf("POST %s: %d, want %d", path, response.StatusCode, want)
	}
}
