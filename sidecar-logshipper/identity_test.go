package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

// saved is the checkpoint in dir/state as it is now; the moment between its two renames is waited out.
func saved(t *testing.T, dir string) (state checkpoint.State) {
	t.Helper()
	kittest.Eventually(t, 5*time.Second, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "state", "checkpoint.json"))
		return err == nil && json.Unmarshal(b, &state) == nil
	}, "a checkpoint")
	return state
}

func TestNewGeneration_IsInTheCheckpointBeforeItsFirstRecordLeaves(t *testing.T) {
	dir, a := logDir(t)
	var mu sync.Mutex
	seen := map[uint64]int{} // generations, with their records
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		state := saved(t, dir)
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(string(body)) {
			var rec struct {
				ID string `json:"event_id"`
			}
			if err := json.Unmarshal([]byte(line), &rec); err != nil || len(rec.ID) != 32 {
				t.Errorf("record %q: %v", line, err)
				return
			}
			generation, _ := strconv.ParseUint(rec.ID[:16], 16, 64)
			if !slices.ContainsFunc(state.Files, func(f checkpoint.File) bool { return f.Generation == generation && f.Named }) {
				t.Errorf("record %s was sent, and no generation of the checkpoint has its ID", rec.ID)
			}
			seen[generation]++
		}
	}))
	defer server.Close()
	to := strings.Replace(server.URL, "http://", "http+jsonl://", 1) + "?event_id=true"
	shipperTo(t, dir, "*.log*", to)
	records := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range seen {
			n += r
		}
		return n
	}
	arrived := func() {
		t.Helper()
		kittest.Eventually(t, 20*time.Second, func() bool { return records() == len(a.whole) }, "all lines")
	}
	for range 3 {
		a.write(50)
		arrived()
		a.rename(3)
		a.write(50)
		arrived()
		a.copyTruncate()
		a.write(50)
		arrived()
	}
	if len(seen) != 7 {
		t.Errorf("%d generations, want 7", len(seen))
	}
}

func TestKilledBeforePositionsWereSaved_AFileThatMovesMeanwhileIsKnownByItsIDs(t *testing.T) {
	for name, move := range map[string]func(*app){
		"copied and truncated":   func(a *app) { a.copyTruncate() },
		"renamed":                func(a *app) { a.rename(0) },
		"renamed and compressed": func(a *app) { a.rename(0); a.compress() },
		"copied and compressed":  func(a *app) { a.copyTruncate(); a.compress() },
	} {
		t.Run(name, func(t *testing.T) {
			dir, a := logDir(t)
			s := newSink(t)
			to := strings.Replace(s.URL, "http://", "elasticsearch+http://", 1) + "/logs"
			p := shipperTo(t, dir, "*.log*", to)
			a.rename(0) // what is followed next has been there for no second
			a.write(100)
			s.awaitAll(t, a.whole)
			kill(p)
			a.write(10)
			move(a)
			a.write(10)
			shipperTo(t, dir, "*.log*", to)
			s.awaitAll(t, a.whole)
			s.noneTwice(t)
		})
	}
}

func TestResendAfterAKill_RepeatsEveryByte(t *testing.T) {
	dir, a := logDir(t)
	var mu sync.Mutex
	bodies := map[string][]string{} // by the ID of the line
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(string(body)) {
			var rec struct{ Message string }
			_ = json.Unmarshal([]byte(line), &rec)
			id, _, _ := strings.Cut(rec.Message, " ")
			bodies[id] = append(bodies[id], line)
		}
	}))
	defer server.Close()
	to := strings.Replace(server.URL, "http://", "http+jsonl://", 1) + "?event_id=true"
	arrived := func(times int) {
		t.Helper()
		kittest.Eventually(t, 20*time.Second, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range a.whole {
				if len(bodies[id]) < times {
					return false
				}
			}
			return true
		}, "all lines")
	}
	p := shipperTo(t, dir, "*.log", to)
	a.write(100)
	arrived(1)
	kill(p)
	forgetPositions(t, dir)
	a.rename(0)
	shipperTo(t, dir, "*.log*", to)
	arrived(2)
	for id, lines := range bodies {
		for _, again := range lines[1:] {
			if rotated := strings.Replace(again, "app.log.1", "app.log", 1); rotated != lines[0] {
				t.Fatalf("%s was sent as\n%sand then as\n%s", id, lines[0], again)
			}
		}
	}
}

// forgetPositions makes the checkpoint one of before anything was acknowledged, as a kill at that moment leaves it.
func forgetPositions(t *testing.T, dir string) {
	t.Helper()
	state := saved(t, dir)
	for i := range state.Files {
		for name := range state.Files[i].Positions {
			state.Files[i].Positions[name] = checkpoint.Position{}
		}
	}
	b, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state", "checkpoint.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckpoint_IsSavedAtMostOnceASecondWhileLinesFlow(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	shipper(t, dir, "*.log", s)
	a.write(1)
	s.awaitAll(t, a.whole)
	var times []time.Time
	for began := time.Now(); time.Since(began) < 3500*time.Millisecond; a.write(20) {
		if at := saved(t, dir).Saved; len(times) == 0 || !at.Equal(times[len(times)-1]) {
			times = append(times, at)
		}
		s.awaitAll(t, a.whole)
	}
	if n := len(times); n < 3 || n > 5 {
		t.Errorf("saved %d times in 3.5 seconds: %v", n, times)
	}
}

func TestFileWrittenAnewToTheSameLength_IsAnotherGeneration(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	shipper(t, dir, "*.log", s)
	for range 3 {
		a.write(5)
		s.awaitAll(t, a.whole)
		a.truncate()
	}
	a.write(5)
	s.awaitAll(t, a.whole)
	ids := map[uint64]bool{}
	files := saved(t, dir).Files
	for _, f := range files {
		ids[f.Generation] = true
	}
	if len(ids) != len(files) {
		t.Errorf("%d IDs for %d generations", len(ids), len(files))
	}
}

func TestFileRewrittenWhileDown_WithTheSameHeadArrivesWholeThoughTheLastAnswerWasLost(t *testing.T) {
	dir, a := logDir(t)
	banner := strings.Repeat("=", 2000) + "\n" // a head that tells nothing
	begin := func() {
		t.Helper()
		if _, err := a.f.WriteString(banner); err != nil {
			t.Fatal(err)
		}
		a.write(200)
	}
	s := newSink(t)
	s.behave("lost answer")
	to := strings.Replace(s.URL, "http://", "elasticsearch+http://", 1) + "/logs"
	begin()
	p := shipperTo(t, dir, "*.log", to)
	s.awaitAll(t, a.whole)
	kill(p)
	a.truncate()
	begin()
	s.behave("")
	shipperTo(t, dir, "*.log", to)
	s.awaitAll(t, a.whole)
}
