package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fileName     = "checkpoint.json"
	previousName = "checkpoint.previous.json"
	lockName     = "lock"
)

// Store is the state directory, held by one process. Safe for one goroutine.
type Store struct {
	dir  string // "" keeps nothing
	lock *os.File
}

// Open takes the directory, which it makes if need be. Dir "" is a store that keeps nothing.
// It fails when another shipper holds it.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return &Store{}, nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make state directory: %w (mount a volume at --state, or say --state none)", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w (must be writable by this uid; or say --state none)", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("lock %s: another shipper uses this state directory (give each its own --state)", dir)
	}
	return &Store{dir: dir, lock: lock}, nil
}

// Load reads the last state. No file is an empty state. A torn file falls back to the one before it, with an error that says
// so beside a usable state; err with a nil state is final.
func (s *Store) Load() (*State, error) {
	if s.dir == "" {
		return &State{}, nil
	}
	state, err := read(filepath.Join(s.dir, fileName))
	if err == nil {
		return state, nil
	}
	previous, perr := read(filepath.Join(s.dir, previousName))
	switch {
	case perr == nil && !previous.Saved.IsZero():
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // stopped between the two renames of Save
		}
		return previous, err
	case errors.Is(err, fs.ErrNotExist):
		return &State{}, nil
	default:
		return &State{}, err
	}
}

func read(path string) (*State, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read checkpoint %s: %w", path, err)
	}
	if s.Version != Version {
		return nil, fmt.Errorf("read checkpoint %s: version %d, this program reads %d", path, s.Version, Version)
	}
	if s.Looked.IsZero() { // saved before there was one
		s.Looked = s.Saved
	}
	return &s, nil
}

// Save replaces the file: written beside it, synced, renamed over it, directory synced. A failure leaves the old one. It writes
// where the state before the previous one stood, so that a volume that is full by now has room for it, unless it is one that
// copies on write.
func (s *Store) Save(state *State) error {
	if s.dir == "" {
		return nil
	}
	state.Version, state.Saved = Version, time.Now().UTC()
	b, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	b = bytes.ReplaceAll(b, []byte(fileStart), []byte("\n"+fileStart)) // a line for each file; in a string the quotes are escaped
	name := filepath.Join(s.dir, fileName)
	if err := writeOver(name+".tmp", b); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	for _, step := range turn(name, filepath.Join(s.dir, previousName)) {
		if err := os.Rename(step[0], step[1]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("save checkpoint: %w", err)
		}
	}
	if _, err := os.Stat(name + ".tmp"); err != nil {
		_ = writeOver(name+".tmp", b) // only to keep the room
	}
	return syncDir(s.dir)
}

// turn renames the written file to the current one, that to the previous one, and that to the next to be written over. Load
// knows the moment at which there is no current one; when it was the last, the previous one stays where it is.
func turn(name, previous string) [][2]string {
	publish := [2]string{name + ".tmp", name}
	if _, err := os.Lstat(name); err != nil {
		return [][2]string{publish}
	}
	return [][2]string{{previous, name + ".old"}, {name, previous}, publish, {name + ".old", name + ".tmp"}}
}

// fileStart is how each File begins.
const fileStart = `{"path":`

// roomStep in bytes is what a file grows by: most states are smaller than the room that the ones before have taken.
const roomStep = 8 << 10

// mostRoom is how many times more than it needs a file may take up.
const mostRoom = 4

// writeOver writes b in place of what stands in the file, and fills up with newlines, which JSON allows.
func writeOver(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil {
		room := (len(b)/roomStep + 1) * roomStep
		if had := int(st.Size()); had > room && had <= mostRoom*room {
			room = had
		}
		_, err = f.Write(append(b, bytes.Repeat([]byte{'\n'}, room-len(b))...))
		if err == nil {
			err = f.Truncate(int64(room))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// Close gives the directory free.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}
