package spool

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// Config is what Start needs.
type Config struct {
	State  string // directory
	Limit  int64  // bytes of each stream
	OnFull string
	Log    *slog.Logger
	// Dropped counts what is thrown away, with the reason spool_full or spool_torn.
	Dropped func(reason string, records int, bytes int64)
}

// Streams are all streams of a process, each with its spool.
type Streams struct {
	Config
	reading context.Context // ends first
	stop    context.CancelFunc
	gaveUp  chan struct{}
	giveUp  func()

	mu      sync.Mutex
	running map[string]*stream
}

type stream struct {
	spool *Spool
	ended chan struct{}
}

// New starts nothing yet.
func New(c Config) *Streams {
	s := &Streams{Config: c, running: map[string]*stream{}, gaveUp: make(chan struct{})}
	s.giveUp = sync.OnceFunc(func() { close(s.gaveUp) })
	s.reading, s.stop = context.WithCancel(context.Background())
	return s
}

// Start reads the named streams that are not being read yet. Once started, a stream goes on until Finish.
func (s *Streams) Start(names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.running[name] != nil {
			continue
		}
		spool, torn, err := Open(Dir(s.State, name), s.Limit)
		if err != nil {
			return err
		}
		if torn > 0 {
			s.Dropped("spool_torn", 0, torn)
			s.Log.Error("a crash left the end of a spool incomplete, it was cut", "stream", name, "bytes", torn)
		}
		st := &stream{spool: spool, ended: make(chan struct{})}
		s.running[name] = st
		p := &pump{spool: spool, log: s.Log, wait: s.OnFull != OnFullDrop, gaveUp: s.gaveUp, drop: func(lines []byte) {
			s.Dropped("spool_full", bytes.Count(lines, []byte{'\n'}), int64(len(lines)))
		}}
		go func() {
			defer close(st.ended)
			if err := p.listen(s.reading, name); err != nil {
				s.Log.Error("stream ended", "stream", name, "error", err)
			}
		}()
	}
	return nil
}

// Ended returns when the streams that can end have (standard input), or ctx does.
func (s *Streams) Ended(ctx context.Context) error {
	s.mu.Lock()
	in := s.running[Stdin]
	s.mu.Unlock()
	if in == nil {
		return nil
	}
	select {
	case <-in.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Finish takes what is in the streams now for all there is, and returns when that is in the spools, or ctx ends; what has not
// found room by then is counted as dropped. It may be called again.
func (s *Streams) Finish(ctx context.Context) {
	s.stop()
	stop := context.AfterFunc(ctx, s.giveUp)
	defer stop()
	for _, st := range s.all() {
		<-st.ended
		st.spool.Close()
	}
}

// Reads says that a stream was started.
func (s *Streams) Reads(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[name] != nil
}

// Release removes what is acknowledged; see Spool.Release.
func (s *Streams) Release(done func(path string, size int64) bool) {
	for _, st := range s.all() {
		st.spool.Release(done)
	}
}

// Used is what all spools take up, in bytes.
func (s *Streams) Used() (bytes int64) {
	for _, st := range s.all() {
		bytes += st.spool.Used()
	}
	return bytes
}

func (s *Streams) all() (list []*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.running {
		list = append(list, st)
	}
	return list
}
