package tail

import (
	"path/filepath"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// watchman decides between looking on a tick and waiting for the bell.
type watchman struct {
	set        *Set
	tick       <-chan time.Time
	ticker     *time.Ticker
	quietSince time.Time
	dirTimes   map[string]time.Time
}

// rang: something happened to a file that was idle, or anything at all when everything was.
func (w *watchman) rang(name string) {
	g := w.set.watched[name]
	if g != nil {
		w.set.unwatch(g)
	}
	if g != nil || w.ticker == nil { // else it is late, and seen at the next tick
		w.wake()
	}
}

// wake looks now, and on a tick from now on.
func (w *watchman) wake() {
	w.set.bell.Disarm()
	w.quietSince = time.Now()
	w.busy()
	w.look()
}

func (w *watchman) busy() {
	if w.ticker == nil {
		w.ticker = time.NewTicker(tickEvery)
		w.tick = w.ticker.C
	}
}

// look stats what is open, lists what has changed, and goes back to the bell when all has been quiet.
func (w *watchman) look() {
	now := time.Now()
	if w.directoriesChanged(now) {
		w.quietSince = now
		w.set.scan()
	}
	if w.set.refreshBusy() {
		w.quietSince = now
	}
	w.set.watchIdle(now)
	w.set.wake()
	if w.ticker == nil || w.set.bell.Polling() || now.Sub(w.quietSince) < quietTime {
		return
	}
	w.set.bell.Arm(w.set.directories())
	if w.set.bell.Polling() {
		return
	}
	w.ticker.Stop()
	w.ticker, w.tick = nil, nil
	// What changed just before the bell was armed would be seen only at the next rescan.
	if w.directoriesChanged(time.Now()) || w.set.refreshBusy() {
		w.wake()
	}
}

// directoriesChanged compares the times of the directories: one system call each, no listing. A time that is not older than its
// clock is coarse may be that of a later change too, and counts as changed once more.
func (w *watchman) directoriesChanged(now time.Time) bool {
	if w.dirTimes == nil {
		w.dirTimes = map[string]time.Time{}
	}
	changed := false
	for _, d := range w.set.directories() {
		t := find.DirModified(d)
		if t.Equal(w.dirTimes[d]) {
			continue
		}
		changed = true
		if now.Sub(t).Abs() <= coarseness(t) { // one that lies far ahead does not become older
			t = time.Time{}
		}
		w.dirTimes[d] = t
	}
	return changed
}

// coarseness of the clock that t is of: a kernel's ticks every 10 ms at the slowest, and is cut to 1 or 2 s by old file systems.
func coarseness(t time.Time) time.Duration {
	if t.Nanosecond() == 0 {
		return 2 * time.Second
	}
	return 20 * time.Millisecond
}

// directories are those in which something is followed or may appear. Only Run's goroutine asks.
func (s *Set) directories() []string { return s.dirs }

// mapDirectories finds them anew, after a scan.
func (s *Set) mapDirectories() {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	var dirs []string
	add := func(d string) {
		if !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	for i := range s.inputs {
		for _, p := range s.inputs[i].Paths {
			add(find.Base(p))
		}
	}
	for _, g := range s.order {
		add(filepath.Dir(g.path))
		if g.links > 0 && g.now != "" {
			add(filepath.Dir(g.now))
		}
		if g.linked {
			if real, err := filepath.EvalSymlinks(g.path); err == nil {
				add(filepath.Dir(real))
			}
		}
	}
	for _, d := range dirs {
		if real, err := filepath.EvalSymlinks(d); err == nil {
			add(real)
		}
	}
	s.dirs = dirs
}

// watchIdle arms the bell on files that have been quiet, one by one, so that they cost nothing while others are busy.
func (s *Set) watchIdle(now time.Time) {
	if s.bell.Polling() { // perhaps since now
		for _, g := range s.watched {
			s.unwatch(g)
		}
		return
	}
	for _, g := range s.order {
		f, ok := g.file()
		if !ok || g.watched != "" || g.frozen || now.Sub(g.modified) < quietTime {
			continue
		}
		name := s.bell.Watch(f)
		if name == "" {
			continue
		}
		g.watched, s.watched[name] = name, g
		if s.refreshOne(g) { // just before
			s.unwatch(g)
		}
	}
}

// unwatch comes before the file of g is closed.
func (s *Set) unwatch(g *Generation) {
	if g.watched == "" {
		return
	}
	s.bell.Unwatch(g.watched)
	delete(s.watched, g.watched)
	g.watched = ""
}

// refresh stats what is open and says whether anything has changed.
func (s *Set) refresh() bool { return s.refreshAll(func(*Generation) bool { return true }) }

// refreshBusy leaves out the files of which the bell would have told.
func (s *Set) refreshBusy() bool {
	return s.refreshAll(func(g *Generation) bool { return g.watched == "" || g.suspect })
}

func (s *Set) refreshAll(which func(*Generation) bool) bool {
	var room [8]*Generation
	open := room[:0]
	s.mu.Lock()
	for _, g := range s.order {
		if which(g) {
			open = append(open, g)
		}
	}
	s.mu.Unlock()
	changed := false
	for _, g := range open {
		if s.refreshOne(g) {
			changed = true
		}
	}
	return changed
}

func (s *Set) refreshOne(g *Generation) bool {
	if g.frozen && g.suspect {
		s.abandon(g)
		return true
	}
	f, ok := g.file()
	if !ok || g.frozen {
		return false
	}
	if s.isSealed() {
		if g.suspect {
			s.inspect(g)
		}
		return false
	}
	st, err := find.StatOpen(f)
	if err != nil {
		return false
	}
	s.mu.Lock()
	head, known := g.head, true
	s.mu.Unlock()
	if head.Len < headBytes && st.Size > int64(head.Len) {
		if known = hasHead(f, head); known {
			head, _ = headOf(f, headBytes)
		}
	}
	s.mu.Lock()
	grown := st.Size > g.size
	rewritten := st.Size == g.size && !st.Modified.Equal(g.written)
	g.written = st.Modified
	g.links = st.Links
	if head.Len > g.head.Len {
		g.head = head
	}
	switch {
	case st.Size < g.size || !known:
		g.suspect = true
	case grown:
		g.size, g.modified, s.activity = st.Size, time.Now(), time.Now()
	}
	suspect := g.suspect
	s.mu.Unlock()
	if rewritten && !suspect { // its length says nothing
		if _, same := s.intact(g); !same {
			s.update(func() { g.suspect = true })
			suspect = true
		}
	}
	if suspect {
		s.inspect(g)
	}
	return grown || suspect
}

func (s *Set) isSealed() bool {
	select {
	case <-s.sealed:
		return true
	default:
		return false
	}
}
