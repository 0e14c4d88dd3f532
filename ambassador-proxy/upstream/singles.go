package upstream

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// singles are connections of HTTP/1.1 that net/http drives: for clients of other versions. TLS is done before it gets them.
type singles struct {
	transport *http.Transport
	idling    *idling

	mu     sync.Mutex
	all    []*single
	closed atomic.Bool
}

type single struct {
	*http.ClientConn
	wire  *counted
	until time.Time    // when no new request goes there
	used  atomic.Int64 // Unix nanoseconds
	keep  atomic.Int64 // nanoseconds since used
}

type wireKey struct{}

func (s *singles) start(i *idling) {
	s.idling = i
	s.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(wireKey{}).(net.Conn), nil
		},
		DisableCompression:     true,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              &http.Protocols{},
	}
	s.transport.Protocols.SetHTTP1(true)
}

// roundTrip sends req on a connection that free or add has given.
func (s *singles) roundTrip(conn *single, req *http.Request, reused bool) (*http.Response, layer7.Sent, error) {
	before := conn.wire.written.Load()
	req.URL.Scheme = "http"
	response, err := conn.RoundTrip(req)
	conn.used.Store(time.Now().UnixNano())
	sent := layer7.Sent{Reused: reused}
	if err != nil {
		sent.Nothing = conn.wire.written.Load() == before
		return nil, sent, err
	}
	var keep time.Duration
	if field := response.Header.Get("Keep-Alive"); field != "" {
		keep = announced(field)
	}
	conn.keep.Store(int64(s.idling.after(keep)))
	return response, sent, nil
}

// free reserves a connection that is idle; nil: there is none.
func (s *singles) free() *single {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return nil
	}
	now := time.Now()
	for i := len(s.all) - 1; i >= 0; i-- {
		if conn := s.all[i]; conn.usable(now) && conn.wire.rests() && conn.Reserve() == nil {
			return conn
		}
	}
	return nil
}

func (c *single) usable(now time.Time) bool {
	return c.Err() == nil && now.Before(c.until) && !c.rested(now)
}

// rested tells whether the connection has been idle for as long as it is kept.
func (c *single) rested(now time.Time) bool { return now.UnixNano()-c.used.Load() >= c.keep.Load() }

// add takes a new connection and reserves it.
func (s *singles) add(ctx context.Context, nc net.Conn) (*single, error) {
	conn := &single{until: oldAt(time.Now()), wire: newCounted(nc)}
	var err error
	if conn.ClientConn, err = s.transport.NewClientConn(context.WithValue(ctx, wireKey{}, net.Conn(conn.wire)), "http", "endpoint:80"); err != nil {
		nc.Close()
		return nil, err
	}
	conn.keep.Store(int64(s.idling.keep))
	conn.used.Store(time.Now().UnixNano())
	if err := conn.Reserve(); err != nil {
		conn.Close()
		return nil, err
	}
	s.mu.Lock()
	s.all = append(s.all, conn)
	s.mu.Unlock()
	if s.closed.Load() {
		conn.closeIdle()
	}
	return conn, nil
}

// closeIdle closes a connection when its last request has ended. Its endpoint has gone: a hook for all others would cost each
// request some. It is called with locks held, of ours and of net/http.
func (c *single) closeIdle() {
	c.SetStateHook(func(*http.ClientConn) {
		if c.InFlight() == 0 {
			go c.Close()
		}
	})
}

// sweep closes connections that are dead, old or idle for too long; all that are idle once the endpoint is gone.
func (s *singles) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.all[:0]
	for _, conn := range s.all {
		idle := conn.InFlight() == 0
		expired := now.After(conn.until) || conn.rested(now)
		if conn.Err() != nil || idle && (expired || s.closed.Load()) {
			conn.Close()
			continue
		}
		kept = append(kept, conn)
	}
	clear(s.all[len(kept):])
	s.all = kept
}

func (s *singles) close() {
	s.closed.Store(true)
	s.mu.Lock()
	for _, conn := range s.all {
		conn.closeIdle()
	}
	s.mu.Unlock()
	s.sweep(time.Now())
}

// kill ends all connections with what is on them.
func (s *singles) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.all {
		conn.Close()
	}
	s.all = nil
}

func (s *singles) counts() (open, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.all {
		if conn.Err() != nil {
			continue
		}
		if open++; conn.InFlight() == 0 {
			idle++
		}
	}
	return open, idle
}
