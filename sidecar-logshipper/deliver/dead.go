package deliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// deadFileBytes is the size at which the dead-letter file is put aside; one older file is kept.
const deadFileBytes = 16 << 20

// DeadLetters keeps the records that a destination will never accept. Safe for concurrent use.
type DeadLetters struct {
	path string // "" keeps nothing

	mu sync.Mutex
}

// NewDeadLetters writes below the state directory; "" only counts.
func NewDeadLetters(stateDir string) *DeadLetters {
	if stateDir == "" {
		return &DeadLetters{}
	}
	return &DeadLetters{path: filepath.Join(stateDir, "dead", "dead.jsonl")}
}

// fate is what becomes of a record that is written here.
func (d *DeadLetters) fate() string {
	if d.path == "" {
		return "it is dropped (mount a volume and set --state to keep such records)"
	}
	return "it is in the dead letters"
}

// letter is one line of the file.
type letter struct {
	Time    time.Time `json:"time"`
	Output  string    `json:"output"`
	Reason  string    `json:"reason"`
	File    string    `json:"file"`
	Offset  int64     `json:"offset"`
	EventID string    `json:"event_id"`
	Record  string    `json:"record,omitempty"`
	Bytes   []byte    `json:"record_base64,omitempty"` // in its place where it is not UTF-8, which JSON cannot hold
}

// Write returns when the record is on disk.
func (d *DeadLetters) Write(out, reason string, r *record.Record) error {
	if d.path == "" {
		return nil
	}
	l := letter{
		Time: time.Now().UTC(), Output: out, Reason: reason, File: r.Source.Path, Offset: r.Offset,
		EventID: string(r.ID().Append(nil)),
	}
	if utf8.Valid(r.Raw) {
		l.Record = string(r.Raw)
	} else {
		l.Bytes = r.Raw
	}
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.append(append(line, '\n')); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	return nil
}

func (d *DeadLetters) append(line []byte) error {
	if st, err := os.Stat(d.path); err == nil && st.Size()+int64(len(line)) > deadFileBytes {
		if err := os.Rename(d.path, d.path+".1"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Sync(), f.Close())
}
