package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

var (
	seeds    = flag.Int("seeds", 6, "how many random histories TestModel tries")
	seedFrom = flag.Uint64("seed", 1, "the first of them; a failing one is replayed with -seeds 1 -seed N")
)

// TestModel_EveryLineArrivesInOrderWhateverHappens drives the real program through random histories of its files, of itself
// and of its destination. Whatever happened: every line arrives, in order within a generation, and arrives twice only
// where the program was killed, or an answer lost, in the second before; where the destination knows documents by their
// IDs, only where positions could not be saved before the kill, because the state volume was full.
func TestModel_EveryLineArrivesInOrderWhateverHappens(t *testing.T) {
	for i := range *seeds {
		seed := *seedFrom + uint64(i)
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			newModel(t, seed).run()
		})
	}
}

type model struct {
	t     *testing.T
	rand  *rand.Rand
	dir   string
	sink  *sink
	other *sink // of a second output, which has positions of its own; nil without one
	apps  []*app
	proc  *kittest.Process
	admin string
	kills []excuse
	blind []excuse  // those of them before which positions could not be saved
	bulk  bool      // the destination takes documents by their ID and answers item by item
	full  time.Time // since when the state volume is full, else zero
	blank time.Time // since when it was full the last time
	freed time.Time // until when
	free  func()
	log   []string // what happened
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), sink: newSink(t), admin: kittest.FreeAddress(t)}
	if err := os.Mkdir(filepath.Join(m.dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		tinyDisk(t, filepath.Join(m.dir, "state"))
	}
	for _, name := range []string{"app.log", "web.log"} {
		m.apps = append(m.apps, newApp(t, filepath.Join(m.dir, "logs", name)))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: %s\nreplay: go test -run TestModel -seeds 1 -seed %d", seed, strings.Join(m.log, ", "), seed)
		}
	})
	return m
}

func (m *model) run() {
	glob := []string{"*.log", "*.log*"}[m.rand.IntN(2)]
	m.note("glob " + glob)
	if m.bulk = m.rand.IntN(2) == 0; m.bulk {
		m.note("bulk")
	}
	to := m.sink.url()
	if m.bulk {
		to = strings.Replace(m.sink.URL, "http://", "elasticsearch+http://", 1) + "/logs"
	}
	args := []string{"--path", filepath.Join(m.dir, "logs", glob), "--to", to, "--state", filepath.Join(m.dir, "state"),
		"--admin-address", m.admin, "--drain-quiet", "50ms", "--drain-timeout", "20s"}
	if m.rand.IntN(3) == 0 {
		m.note("two outputs")
		m.other = newSink(m.t)
		args = append(args, "--to", m.other.url())
	}
	start := func() {
		m.proc = kittest.Start(m.t, nil, "sidecar-logshipper", args...)
		m.proc.WaitReady(m.admin)
	}
	start()
	for range 8 + m.rand.IntN(20) {
		m.step()
		if m.rand.IntN(6) == 0 {
			m.restart(start)
		}
		m.pace()
	}
	m.finish()
	m.judge(m.sink, m.bulk)
	if m.other != nil {
		m.judge(m.other, false)
	}
	m.judgeDeadLetters()
	m.forget()
}

// forget gives the memory free: what its cleanups can reach stays with a test until all seeds are through.
func (m *model) forget() {
	for _, s := range m.sinks() {
		s.mu.Lock()
		s.got, s.order, s.texts, s.documents = nil, nil, nil, nil
		s.mu.Unlock()
	}
	for _, a := range m.apps {
		a.whole = nil
	}
}

func (m *model) sinks() []*sink {
	if m.other == nil {
		return []*sink{m.sink}
	}
	return []*sink{m.sink, m.other}
}

// behave lets all destinations work.
func (m *model) behave() {
	for _, s := range m.sinks() {
		s.behave("")
	}
}

// pace lets real time pass between two events, so that they meet the program in all its states.
func (m *model) pace() { <-time.After(time.Duration(m.rand.IntN(150)) * time.Millisecond) }

func (m *model) note(what string) { m.log = append(m.log, what) }

func (m *model) step() {
	a := m.apps[m.rand.IntN(len(m.apps))]
	name := filepath.Base(a.path)
	switch n := m.rand.IntN(25); {
	case n < 6:
		a.write(1 + m.rand.IntN(50))
		m.note(name + " lines")
	case n < 8:
		a.write(3000 + m.rand.IntN(5000))
		m.note(name + " burst")
	case n < 9:
		a.writePartial()
		m.note(name + " partial")
	case n < 11:
		late := m.rand.IntN(3) * 5
		a.rename(late)
		m.note(fmt.Sprintf("%s rename late=%d", name, late))
	case n < 13:
		a.copyTruncate()
		m.note(name + " copytruncate")
	case n < 14:
		m.removeWhileHeld(a)
	case n < 15:
		a.compress()
		m.note(name + " compress")
	case n < 16:
		a.poison()
		m.note(name + " poison")
	case n < 17:
		m.hide(a)
	case n < 18:
		m.fillState()
	case n < 19:
		m.truncateWhileHeld(a)
	case n < 20:
		m.proc.Signal(syscall.SIGHUP)
		m.note("reload")
	default:
		mode := []string{"", "", "500", "429", "413", "reset", "lost answer", "partial", "hang"}[m.rand.IntN(9)]
		sinks := m.sinks()
		which := m.rand.IntN(len(sinks))
		sinks[which].behave(mode)
		m.note(fmt.Sprintf("sink %d %s", which, mode))
	}
}

// hide takes the permission to read for a moment, which root, as whom this may run, does not notice.
func (m *model) hide(a *app) {
	a.check(os.Chmod(a.path, 0))
	a.write(5)
	m.pace()
	a.check(os.Chmod(a.path, 0o644))
	m.note(filepath.Base(a.path) + " chmod")
}

// fillState leaves no room for the positions but what they take up, or not even that.
func (m *model) fillState() {
	if os.Getuid() != 0 || m.free != nil {
		return
	}
	state, allow := filepath.Join(m.dir, "state"), func() {}
	if m.rand.IntN(2) == 0 {
		m.note("saves refused")
		allow = refuseSaves(m.t, state)
	}
	m.note("state full")
	free := fillUp(m.t, state)
	m.full, m.free = time.Now(), func() { allow(); free() }
}

func (m *model) freeState() {
	if m.free != nil {
		m.note("state free")
		m.free()
		m.blank, m.freed = m.full, time.Now()
		m.full, m.free = time.Time{}, nil
	}
}

// removeWhileHeld deletes a file that the program has opened, and waits for its lines: they exist nowhere else.
func (m *model) removeWhileHeld(a *app) {
	m.behave()
	m.freeState()
	a.endPartial()
	kittest.Eventually(m.t, 10*time.Second, func() bool { return m.opened(a.path) }, "the file to be opened")
	a.write(20)
	a.remove()
	m.note(filepath.Base(a.path) + " delete")
	m.awaitAll(a.whole)
}

// truncateWhileHeld empties a file whose lines have all arrived, without a copy, and lets it grow again, often past where it
// was.
func (m *model) truncateWhileHeld(a *app) {
	m.behave()
	m.freeState()
	a.endPartial()
	m.awaitAll(a.whole)
	kittest.Eventually(m.t, 20*time.Second, func() bool { return bytes.Count(m.deadLetters(), poisonous) >= m.poisoned() }, "the poisonous lines among the dead letters")
	a.truncate()
	m.note(filepath.Base(a.path) + " truncate")
	a.write(m.rand.IntN(3000))
	m.awaitAll(a.whole) // before it moves: what is at its place is what tells
}

// opened says that the program holds the file that is at path now.
func (m *model) opened(path string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", m.proc.Process.Pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == path {
			return true
		}
	}
	return false
}

// restart ends the program in one of several ways, lets things happen meanwhile, and starts it again.
func (m *model) restart(start func()) {
	if m.rand.IntN(3) > 0 {
		m.note("KILL")
		kill(m.proc)
		// What it sent before may still be under way to a busy sink; what comes after this moment is from the next process.
		for _, s := range m.sinks() {
			s.drain(m.t)
		}
		m.killed()
	} else {
		m.note("TERM")
		m.behave()
		m.freeState()
		for _, a := range m.apps {
			a.endPartial() // a drain sends what is there of a line
		}
		stop(m.t, m.proc)
	}
	m.whileDown()
	start()
	m.note("UP")
}

// whileDown moves files that nobody holds open. None may be lost that is still there under any name of its rotation.
func (m *model) whileDown() {
	for range m.rand.IntN(4) {
		a := m.apps[m.rand.IntN(len(m.apps))]
		a.write(m.rand.IntN(200))
		what := "lines"
		switch m.rand.IntN(5) {
		case 0, 1:
			a.rename(0)
			what = "rename"
		case 2:
			a.copyTruncate()
			what = "copytruncate"
		case 3:
			a.compress()
			what = "compress"
		}
		a.write(m.rand.IntN(20))
		m.note("down: " + filepath.Base(a.path) + " " + what)
	}
}

func (m *model) finish() {
	m.behave()
	m.freeState()
	var all []string
	for _, a := range m.apps {
		a.endPartial()
		all = append(all, a.whole...)
	}
	m.awaitAll(all)
	stop(m.t, m.proc)
}

// awaitAll waits until every line has arrived everywhere: as long as it takes, while there is progress.
func (m *model) awaitAll(ids []string) {
	m.t.Helper()
	for _, s := range m.sinks() {
		least, deadline := len(ids)+1, time.Time{}
		for ; ; m.pace() {
			missing := s.missing(ids)
			if len(missing) == 0 {
				break
			}
			if len(missing) < least {
				least, deadline = len(missing), time.Now().Add(20*time.Second)
			}
			if time.Now().After(deadline) {
				m.t.Fatalf("%d of %d lines never arrived, the first is %s, the last %s\n%s", len(missing), len(ids), missing[0], missing[len(missing)-1], m.state())
			}
		}
	}
}

func (m *model) state() string {
	_, status := kittest.Get("http://" + m.admin + "/status.json")
	checkpoint, _ := os.ReadFile(filepath.Join(m.dir, "state", "checkpoint.json"))
	return status + "\n" + string(checkpoint)
}
