package checkpoint

import (
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
	return &s, nil
}

// Save replaces the file: written beside it, synced, renamed over it, directory synced. A failure leaves the old one.
func (s *Store) Save(state *State) error {
	if s.dir == "" {
		return nil
	}
	state.Version, state.Saved = Version, time.Now().UTC()
	b, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	name := filepath.Join(s.dir, fileName)
	if err := writeSynced(name+".tmp", b); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := keepPrevious(name, filepath.Join(s.dir, previousName)); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return syncDir(s.dir)
}

// keepPrevious moves the current file aside. Load knows the moment at which there is no current one.
func keepPrevious(name, previous string) error {
	if err := os.Rename(name, previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
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
