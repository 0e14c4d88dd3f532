package find

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }

func touch(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGlobs_CrossDirectoriesChooseAndExclude(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a.log", dir+"/a.log.gz", dir+"/b.txt", dir+"/deep/down/c.log", dir+"/deep/secret.log")
	g := Globs{Paths: []string{dir + "/**/*.{log,gz}"}, Exclude: []string{"*.gz", dir + "/deep/secret.*"}}
	got, problems := g.Match()
	slices.Sort(got)
	if want := []string{dir + "/a.log", dir + "/deep/down/c.log"}; !slices.Equal(got, want) || len(problems) > 0 {
		t.Errorf("matched %v, %v, want %v", got, problems, want)
	}
}

func TestGlobs_AMissingDirectoryIsSaidAndNotFatal(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a.log")
	g := Globs{Paths: []string{dir + "/later/*.log", dir + "/*.log"}}
	got, problems := g.Match()
	if len(got) != 1 || len(problems) != 1 || !strings.Contains(problems[0].Error(), "may still appear") {
		t.Errorf("matched %v, %v", got, problems)
	}
}

func TestKey_StaysWithARenameAndDiffersForANewFile(t *testing.T) {
	dir := t.TempDir()
	a, b := dir+"/a", dir+"/b"
	touch(t, a)
	before, err := Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(a, b); err != nil {
		t.Fatal(err)
	}
	touch(t, a)
	renamed, _ := Stat(b)
	fresh, _ := Stat(a)
	if renamed.Key != before.Key || fresh.Key == before.Key {
		t.Errorf("keys: before %v, renamed %v, new file %v", before.Key, renamed.Key, fresh.Key)
	}
}

func TestStat_FollowsASymlinkAndSaysHowWhatIsNoFileCanBeRead(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a")
	if err := os.Symlink(dir+"/a", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	direct, _ := Stat(dir + "/a")
	linked, err := Stat(dir + "/link")
	if err != nil || linked.Key != direct.Key {
		t.Errorf("the link has key %v, %v, want %v", linked.Key, err, direct.Key)
	}
	for name, want := range map[string]string{dir: "not a regular file", dir + "/pipe": "add --path " + dir + "/pipe", dir + "/socket": "say --path unix:" + dir + "/socket"} {
		if _, err := Stat(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestBell_RingsOnceAndIsSilentUntilItIsArmedAgain(t *testing.T) {
	dir := t.TempDir()
	b := NewBell(slog.New(slog.DiscardHandler))
	defer b.Close()
	if b.Polling() {
		t.Skip("no inotify here")
	}
	b.Arm([]string{dir})
	touch(t, dir+"/a.log")
	select {
	case <-b.Rings():
	case <-time.After(5 * time.Second):
		t.Fatal("the bell did not ring")
	}
	b.Disarm()
	touch(t, dir+"/b.log")
	if b.Armed(dir) {
		t.Error("still armed")
	}
	b.Arm([]string{dir})
	touch(t, dir+"/c.log")
	select {
	case <-b.Rings():
	case <-time.After(5 * time.Second):
		t.Fatal("the bell did not ring a second time")
	}
}

func TestBell_WatchesAnOpenFileWhereverItIs(t *testing.T) {
	dir := t.TempDir()
	b := NewBell(slog.New(slog.DiscardHandler))
	defer b.Close()
	if b.Polling() {
		t.Skip("no inotify here")
	}
	f, err := os.OpenFile(dir+"/a.log", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(dir+"/a.log", dir+"/a.log.1"); err != nil {
		t.Fatal(err)
	}
	rings := func(what, name string) {
		t.Helper()
		select {
		case event := <-b.Rings():
			if event.Name != name {
				t.Errorf("after %s %v rang, want %s", what, event, name)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("after %s the bell did not ring", what)
		}
	}
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"a write under another name", func() error { _, err := f.WriteString("x"); return err }},
		{"a rename", func() error { return os.Rename(dir+"/a.log.1", dir+"/a.log.2") }},
		{"a removal", func() error { return os.Remove(dir + "/a.log.2") }},
		{"a write without a name", func() error { _, err := f.WriteString("x"); return err }},
	} {
		name := b.Watch(f)
		if name == "" {
			t.Fatalf("cannot be watched before %s", c.what)
		}
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		rings(c.what, name)
		b.Unwatch(name)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	b.Arm([]string{dir})
	touch(t, dir+"/b.log")
	rings("what nobody watched any more", dir+"/b.log")
}
