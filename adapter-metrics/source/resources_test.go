package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// fakeProc writes a /proc as a Pod with shareProcessNamespace shows it.
func fakeProc(t *testing.T, files map[string]string) *Resources {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, _ := kittest.Logs(t)
	r := NewResources("java", nil, "app", log)
	r.proc = root
	return r
}

// stat is /proc/PID/stat with the fields that matter; the name has what such names can have.
func stat(pid int, name string, user, system, threads, start, pages int) string {
	return fmt.Sprintf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 %d %d 0 0 20 0 %d 0 %d 0 %d 0", pid, name, user, system, threads, start, pages)
}

func document(t *testing.T, r *Resources) string {
	t.Helper()
	buf, err := r.Fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf)
}

func wantLines(t *testing.T, doc string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		want, absent := strings.CutPrefix(want, "!")
		if strings.Contains("\n"+doc, "\n"+want) == absent {
			t.Errorf("document has not, or has, %q:\n%s", want, doc)
		}
	}
}

func TestResources_ReadACgroupOfVersion2ThroughTheProcessesRoot(t *testing.T) {
	const g = "42/root/sys/fs/cgroup/"
	r := fakeProc(t, map[string]string{
		"42/stat": stat(42, "java", 100, 50, 7, 1, 10), "42/cgroup": "0::/../cri-abc\n", "42/fd/0": "", "42/fd/1": "",
		"43/stat":                stat(43, "other", 100, 50, 7, 1, 10),
		g + "cgroup.controllers": "cpu memory", g + "cpu.stat": "usage_usec 3500000\nuser_usec 2500000\nsystem_usec 1000000\nnr_throttled 3\nthrottled_usec 1500000\n",
		g + "memory.current": "1000\n", g + "memory.stat": "anon 1\ninactive_file 400\n", g + "memory.max": "2000\n", g + "memory.events": "low 0\noom_kill 2\n",
	})
	wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 2.5\n", "app_cpu_seconds_total{mode=system} 1\n", "app_cpu_throttled_seconds_total 1.5\n",
		"app_memory_working_set_bytes 600\n", "app_memory_limit_bytes 2000\n", "app_oom_kills_total 2\n", "app_threads 7\n", "app_processes 1\n", "app_open_fds 2\n")
}

func TestResources_LeaveOutWhatTheyCannotRead(t *testing.T) {
	const g = "42/root/sys/fs/cgroup/"
	r := fakeProc(t, map[string]string{"42/stat": stat(42, "a) b (java", 100, 50, 7, 1, 10), g + "cgroup.controllers": "", g + "memory.max": "max\n"})
	r.Process = "a) b (java"
	wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 1\n", "!app_memory_limit_bytes", "!app_memory_working_set_bytes", "!app_oom_kills", "!app_open_fds", "!app_cpu_throttled")
}

func TestResources_ReadACgroupOfVersion1WhereverItIsMounted(t *testing.T) {
	const g = "42/root/sys/fs/cgroup/"
	for _, sub := range []string{"", "pod/abc/"} {
		r := fakeProc(t, map[string]string{
			"42/stat": stat(42, "java", 100, 50, 7, 1, 10), "42/cgroup": "9:cpu,cpuacct:/pod/abc\n4:memory:/pod/abc\n",
			g + "memory/" + sub + "memory.usage_in_bytes": "1000", g + "memory/" + sub + "memory.stat": "total_inactive_file 100\n",
			g + "memory/" + sub + "memory.limit_in_bytes": "9223372036854771712", g + "memory/" + sub + "memory.oom_control": "oom_kill_disable 0\noom_kill 1\n",
			g + "cpu/" + sub + "cpu.stat": "throttled_time 2000000000\n", g + "cpuacct/" + sub + "cpuacct.stat": "user 300\nsystem 100\n",
		})
		wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 3\n", "app_memory_working_set_bytes 900\n", "!app_memory_limit", "app_oom_kills_total 1\n", "app_cpu_throttled_seconds_total 2\n")
	}
}

func TestResources_CountAContainerOnceHoweverManyProcessesItHas(t *testing.T) {
	files := map[string]string{}
	for pid := 42; pid < 45; pid++ {
		files[fmt.Sprintf("%d/stat", pid)] = stat(pid, "java", 1, 1, 2, 1, 10)
	}
	r := fakeProc(t, files)
	shared := filepath.Join(r.proc, "cgroup")
	for name, text := range map[string]string{"cgroup.controllers": "", "memory.current": "500", "memory.stat": ""} {
		if err := os.MkdirAll(shared, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shared, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for pid := 42; pid < 45; pid++ {
		at := fmt.Sprintf("%s/%d/root/sys/fs", r.proc, pid)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(shared, at+"/cgroup"); err != nil {
			t.Fatal(err)
		}
	}
	wantLines(t, document(t, r), "app_memory_working_set_bytes 500\n", "app_threads 6\n", "app_processes 3\n")
}

func TestResources_CPUOfEndedProcessesStaysInTheSum(t *testing.T) {
	r := fakeProc(t, map[string]string{"42/stat": stat(42, "java", 100, 0, 1, 1, 1), "43/stat": stat(43, "java", 300, 0, 1, 1, 1)})
	wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 4\n")
	if err := os.RemoveAll(r.proc + "/43"); err != nil {
		t.Fatal(err)
	}
	wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 4\n")
	if err := os.WriteFile(r.proc+"/42/stat", []byte(stat(42, "java", 50, 0, 1, 99, 1)), 0o644); err != nil { // the number again, of another process
		t.Fatal(err)
	}
	wantLines(t, document(t, r), "app_cpu_seconds_total{mode=user} 4.5\n")
}

func TestResources_NameTheSettingThatWouldOpenMoreOnce(t *testing.T) {
	log, seen := kittest.Logs(t)
	r := NewResources("no-such-process", nil, "app", log)
	for range 3 {
		if _, err := r.Fetch(t.Context(), nil); !errors.Is(err, ErrNoProcess) || Reason(err) != "absent" {
			t.Error(Reason(err), err)
		}
	}
	if n := strings.Count(seen.String(), "shareProcessNamespace: true"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestResources_OfARealProcessOfThisMachine(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a file", make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dir+"/a file", dir+"/b"); err != nil {
		t.Fatal(err)
	}
	log, _ := kittest.Logs(t)
	r := NewResources("sleep", []string{dir}, "app", log)
	doc := document(t, r)
	wantLines(t, doc, "app_cpu_seconds_total{mode=user} ", "app_memory_working_set_bytes ", "app_memory_resident_bytes ", "app_threads ", "app_open_fds ",
		"app_volume_files{path="+dir+"} 2\n", "app_volume_filesystem_size_bytes{path="+dir+"} ")
	_, after, _ := strings.Cut(doc, "app_volume_used_bytes{path="+dir+"} ")
	if used, err := strconv.ParseFloat(strings.SplitN(after, "\n", 2)[0], 64); err != nil || used < 100_000 || used > 190_000 {
		t.Errorf("a volume of 100 000 bytes, linked twice, uses %v (%v)", used, err)
	}
}

func TestResources_OfAVolumeThatIsNotThereNameItOnceAndAreAbsentWithoutAnythingElse(t *testing.T) {
	log, seen := kittest.Logs(t)
	gone := filepath.Join(t.TempDir(), "data")
	r := NewResources("no-such-process", []string{gone}, "app", log)
	for range 2 {
		if doc, err := r.Fetch(t.Context(), nil); Reason(err) != "absent" || len(doc) > 0 {
			t.Errorf("%s %v %q", Reason(err), err, doc)
		}
	}
	if n := strings.Count(seen.String(), "volume not readable"); n != 1 || !strings.Contains(seen.String(), gone) {
		t.Errorf("named %d times:\n%s", n, seen)
	}
}

func TestResources_CountAVolumeWhoseLostAndFoundOnlyRootMayRead(t *testing.T) {
	root := t.TempDir()
	lost := filepath.Join(root, "lost+found")
	for _, dir := range []string{lost, filepath.Join(root, "a", "lost+found")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	denied := &os.PathError{Op: "open", Path: lost, Err: os.ErrPermission}
	if !foreign(root+"/", lost, denied) || foreign(root, lost, nil) || foreign(root, filepath.Join(root, "a", "lost+found"), denied) {
		t.Error("lost+found of the volume, and nothing else, is the file system's own")
	}
	if os.Getuid() == 0 {
		return // root may read it
	}
	if err := os.Chmod(lost, 0); err != nil {
		t.Fatal(err)
	}
	if use := count(t.Context(), root, 100); !use.ok || use.files != 4 {
		t.Errorf("%+v", use)
	}
}
