package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

// judge looks at the order and at what came twice.
func (m *model) judge(s *sink, bulk bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[string]string{}
	for _, id := range s.order {
		generation := id[:strings.LastIndexByte(id, '/')]
		if id < last[generation] && !bulk { // an item that was put off comes after its neighbours
			m.t.Errorf("%s arrived after %s", id, last[generation])
			return
		}
		last[generation] = id
	}
	excuses := m.blind // a repetition is known by its ID, which was saved before it was used
	if !bulk {
		excuses = append([]excuse(nil), m.kills...)
		for _, at := range s.accidents {
			excuses = append(excuses, excuse{at: at, since: at.Add(-window)})
		}
	}
	twice := 0
	for id, times := range s.got {
		for i := 1; i < len(times); i++ {
			twice++
			if !excused(times[0], times[i], excuses) {
				m.t.Errorf("%s arrived twice, %s apart, without a kill or a lost answer in between; after the first arrival these came: %s", id, times[i].Sub(times[0]), since(times[0], excuses))
				return
			}
		}
	}
	m.t.Logf("%d lines, %d twice, %d kills", len(s.order), twice, len(m.kills))
}

func since(t time.Time, events []excuse) (list []time.Duration) {
	for _, e := range events {
		list = append(list, e.at.Sub(t).Round(time.Millisecond))
	}
	return list
}

// window before a save, from the arrival of a line to its acknowledgement: what arrived in it may not have been saved.
const window = 2 * time.Second

// excuse is a kill, or an answer that was lost: what arrived between since and at may arrive again afterwards.
type excuse struct{ since, at time.Time }

// killed notes since when acknowledgements may not be in the checkpoint: as it stands there, not as it should be.
func (m *model) killed() {
	now := time.Now()
	saved := m.savedAt()
	kill := excuse{at: now, since: saved.Add(-window)}
	switch {
	case !m.full.IsZero():
		m.blind = append(m.blind, excuse{at: now, since: m.full.Add(-window)})
	case saved.Before(m.freed):
		m.blind = append(m.blind, excuse{at: now, since: m.blank.Add(-window)})
	}
	m.kills = append(m.kills, kill)
}

// savedAt is when the last checkpoint was saved that a start would find.
func (m *model) savedAt() (at time.Time) {
	for _, name := range []string{"checkpoint.json", "checkpoint.previous.json"} {
		var state checkpoint.State
		b, err := os.ReadFile(filepath.Join(m.dir, "state", name))
		if err == nil && json.Unmarshal(b, &state) == nil {
			return state.Saved
		}
	}
	return time.Time{}
}

func excused(first, again time.Time, excuses []excuse) bool {
	for _, e := range excuses {
		if !first.Before(e.since) && !first.After(e.at) && again.After(e.at) {
			return true
		}
	}
	return false
}

// judgeDeadLetters: each poisonous line is there, and nothing else.
func (m *model) judgeDeadLetters() {
	letters := m.deadLetters()
	if got, want := bytes.Count(letters, poisonous), m.poisoned(); got < want {
		m.t.Errorf("%d dead letters for %d poisonous lines\n%s", got, want, letters)
	}
	for line := range bytes.Lines(letters) {
		if !bytes.Contains(line, poisonous) {
			m.t.Errorf("a good line among the dead letters: %s", line)
		}
	}
}

var poisonous = []byte("POISON")

func (m *model) deadLetters() []byte {
	letters, _ := os.ReadFile(filepath.Join(m.dir, "state", "dead", "dead.jsonl"))
	return letters
}

// poisoned is how many poisonous lines were written.
func (m *model) poisoned() int {
	return len(m.sinks()) * strings.Count(strings.Join(m.log, " "), "poison") // each output buries its own
}
