package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// rotatingLog writes JSON lines to dir/app.log. When the file has reached maxBytes it is renamed to app.log.1, the
// one before to app.log.2 and so on, and the oldest of keep is deleted: what logrotate and most logging libraries do.
type rotatingLog struct {
	mu       sync.Mutex
	dir      string
	run      string
	maxBytes int64
	keep     int

	file      *os.File
	bytes     int64
	written   int64
	rotations int64
}

// line is one event of the application. Run and Seq together name the line: whoever receives the log can tell which
// lines are missing and which came twice.
type line struct {
	Time    string  `json:"ts"`
	Level   string  `json:"level"`
	Message string  `json:"msg"`
	Run     string  `json:"run"`
	Seq     int64   `json:"seq"`
	Order   int64   `json:"order,omitempty"`
	TookMS  float64 `json:"took_ms,omitempty"`
}

func openLog(dir, run string, maxBytes int64, keep int) (*rotatingLog, error) {
	l := &rotatingLog{dir: dir, run: run, maxBytes: maxBytes, keep: keep}
	return l, l.open()
}

func (l *rotatingLog) path() string { return filepath.Join(l.dir, "app.log") }

func (l *rotatingLog) open() error {
	f, err := os.OpenFile(l.path(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	l.file, l.bytes = f, info.Size()
	return nil
}

// write appends one line with the next sequence number.
func (l *rotatingLog) write(level, message string, order int64, took time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes >= l.maxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	data, err := json.Marshal(line{
		Time: time.Now().UTC().Format(time.RFC3339Nano), Level: level, Message: message,
		Run: l.run, Seq: l.written + 1, Order: order, TookMS: float64(took.Microseconds()) / 1000,
	})
	if err != nil {
		return err
	}
	n, err := l.file.Write(append(data, '\n'))
	l.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path(), err)
	}
	l.written++
	return nil
}

// Rotate renames the current file out of the way and starts a new one.
func (l *rotatingLog) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rotate()
}

func (l *rotatingLog) rotate() error {
	if err := l.file.Close(); err != nil {
		return err
	}
	for i := l.keep - 1; i >= 1; i-- {
		older, newer := fmt.Sprintf("%s.%d", l.path(), i+1), fmt.Sprintf("%s.%d", l.path(), i)
		if err := os.Rename(newer, older); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.Rename(l.path(), l.path()+".1"); err != nil {
		return err
	}
	l.rotations++
	return l.open()
}

func (l *rotatingLog) counts() (written, rotations int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written, l.rotations
}

func (l *rotatingLog) Close() error { return l.file.Close() }
