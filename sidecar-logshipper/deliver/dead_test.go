package deliver

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestDeadLetters_AreBoundedAndTheOldestGo(t *testing.T) {
	state := t.TempDir()
	d := NewDeadLetters(state)
	c := &record.Chunk{Source: &record.Source{Path: "/logs/a.log", Generation: 7}, Data: []byte("bad\n"), Offset: 42, Next: 46}
	write := func(reason string) {
		t.Helper()
		var r record.Record
		r.Reset(c, 0, 4)
		if err := d.Write("out", reason, &r); err != nil {
			t.Fatal(err)
		}
	}
	for _, reason := range []string{"first", "second", "third"} {
		write(reason)
		if err := os.Truncate(d.path, deadFileBytes); err != nil { // as if there were many
			t.Fatal(err)
		}
	}
	write("last")
	entries, err := os.ReadDir(state + "/dead")
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v, want the present one and one before it", len(entries), err)
	}
	present, _ := os.ReadFile(d.path)
	if got := string(present); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"reason":"last","file":"/logs/a.log","offset":42,"event_id":"0000000000000007`) || !strings.Contains(got, `"record":"bad"`) {
		t.Errorf("the present file holds %s", got)
	}
	before, _ := os.ReadFile(d.path + ".1")
	if !strings.Contains(string(before), "third") {
		t.Errorf("the one before begins with %.100q", before)
	}
}

func TestDeadLetters_KeepBytesThatAreNotUTF8(t *testing.T) {
	d := NewDeadLetters(t.TempDir())
	c := &record.Chunk{Source: &record.Source{Path: "a"}, Data: []byte("gr\xfc\xdfe\n"), Next: 6}
	var r record.Record
	r.Reset(c, 0, 6)
	if err := d.Write("out", "400", &r); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(d.path)
	var got letter
	if err := json.Unmarshal(text, &got); err != nil || string(got.Bytes) != "gr\xfc\xdfe" || got.Record != "" {
		t.Errorf("%s: %v", text, err)
	}
}

func TestRefusedRecord_IsSaidInTheLog(t *testing.T) {
	for state, want := range map[string]string{t.TempDir(): "it is in the dead letters", "": "it is dropped (mount a volume and set --state"} {
		lane, pieces := newLaneTo(t, &lines{}, "secret\n")
		log, said := kittest.Logs(t)
		lane.Log, lane.Dead = log, NewDeadLetters(state)
		if err := lane.resolve(t.Context(), pieces, &output.Rejected{Err: errors.New("400 unsupported path")}, 1); err != nil {
			t.Error(err)
		}
		if text := said.String(); !strings.Contains(text, "for good, "+want) || !strings.Contains(text, "unsupported path") || !strings.Contains(text, "a.log") || strings.Contains(text, "secret") {
			t.Errorf("state %q: %s", state, text)
		}
	}
}
