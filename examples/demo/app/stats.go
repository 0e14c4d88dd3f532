package app

import (
	"sync"
	"time"
)

// Stats is the application's private format: what it says about itself at /stats. It is deliberately not laid out
// for Prometheus: milliseconds, words for states, array positions and names as keys.
type Stats struct {
	Run           string           `json:"run"`
	UptimeMS      int64            `json:"uptimeMs"`
	Log           LogStats         `json:"log"`
	Backend       map[string]Route `json:"backend"`
	Workers       []Worker         `json:"workers"`
	Pool          Pool             `json:"pool"`
	LastBackendOK bool             `json:"lastBackendOk"`
	LastError     string           `json:"lastError,omitempty"`
}

// LogStats counts the lines of the log.
type LogStats struct {
	LinesWritten int64 `json:"linesWritten"`
	Rotations    int64 `json:"rotations"`
}

// Route counts the calls of one backend route. AvgMS is the mean duration in milliseconds.
type Route struct {
	Calls  int64   `json:"calls"`
	Errors int64   `json:"errors"`
	AvgMS  float64 `json:"avgMs"`
}

// Worker is one of the application's workers.
type Worker struct {
	Name string `json:"name"`
	Busy bool   `json:"busy"`
}

// Pool is a pool of connections; State is UP or DOWN.
type Pool struct {
	State string `json:"state"`
	Used  int64  `json:"used"`
}

type numbers struct {
	mu     sync.Mutex
	routes map[string]*route
	calls  int64
	last   error
}

type route struct {
	calls, errors int64
	total         time.Duration
}

func (n *numbers) called(name string, took time.Duration, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.routes == nil {
		n.routes = map[string]*route{}
	}
	r := n.routes[name]
	if r == nil {
		r = &route{}
		n.routes[name] = r
	}
	n.calls++
	r.calls++
	r.total += took
	if err != nil {
		r.errors++
		n.last = err
	}
}

func (a *app) stats() Stats {
	s := Stats{Run: a.run, UptimeMS: time.Since(a.started).Milliseconds(), Backend: map[string]Route{}}
	if a.log != nil {
		s.Log.LinesWritten, s.Log.Rotations = a.log.counts()
	}
	n := &a.numbers
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, r := range n.routes {
		s.Backend[name] = Route{Calls: r.calls, Errors: r.errors, AvgMS: float64(r.total.Microseconds()) / 1000 / float64(r.calls)}
	}
	s.LastBackendOK = n.last == nil
	if n.last != nil {
		s.LastError = n.last.Error()
	}
	s.Workers = []Worker{{Name: "alice", Busy: n.calls%2 == 1}, {Name: "bob", Busy: n.calls%3 == 1}}
	s.Pool = Pool{State: "UP", Used: 1 + n.calls%7}
	return s
}
