// Package discover keeps the set of an upstream's addresses up to date: by DNS and its TTL, SRV records, a watched file, or
// what the URL says. The last good answer is kept for as long as there is no better one.
package discover

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

// Address is one endpoint.
type Address struct {
	Addr   string // host:port, or unix:/path
	Name   string // what was resolved; the name to verify with TLS
	Weight int
}

// Answer is a set of addresses. TTL 0: nothing said how long it holds.
type Answer struct {
	Addresses []Address
	TTL       time.Duration
}

const (
	minTTL      = time.Second
	maxTTL      = 5 * time.Second // kubeadm's CoreDNS answers for 30 s, and a Pod that is told to stop rarely lives that long
	unknownTTL  = 5 * time.Second // /etc/hosts, a file, an answer over TCP
	lookupLimit = 5 * time.Second
	earlyPause  = time.Second // between lookups that failures ask for
)

// Watcher follows one target.
type Watcher struct {
	target  config.Target
	dns     *DNS
	log     *slog.Logger
	update  func([]Address)
	results func(ok bool)
	early   chan struct{}
	good    atomic.Int64 // Unix nanoseconds of the last good answer
	failure atomic.Pointer[error]
	looked  chan chan struct{} // holds what is closed at the end of the next lookup

	// Of Resolve, which one goroutine calls.
	list  memory[Address]            // of a file
	srv   memory[place]              //
	hosts map[place]*memory[Address] // by the name that was resolved
}

// New follows t; update gets each new set, in order, from one goroutine; result counts lookups.
func New(t config.Target, dns *DNS, log *slog.Logger, update func([]Address), result func(ok bool)) *Watcher {
	looked := make(chan chan struct{}, 1)
	looked <- make(chan struct{})
	return &Watcher{target: t, dns: dns, log: log, update: update, results: result, early: make(chan struct{}, 1), looked: looked}
}

// Early asks for a lookup soon: an endpoint does not answer any more.
func (w *Watcher) Early() {
	select {
	case w.early <- struct{}{}:
	default:
	}
}

// Fresh asks for a lookup and waits for its end, or for that of one under way, no longer than limit.
func (w *Watcher) Fresh(ctx context.Context, limit time.Duration) {
	if w.static() {
		return
	}
	next := <-w.looked
	w.looked <- next
	w.Early()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Age is the time since the last good answer; false before the first.
func (w *Watcher) Age(now time.Time) (time.Duration, bool) {
	at := w.good.Load()
	return now.Sub(time.Unix(0, at)), at != 0
}

// Err is why there is no answer; nil after a good one.
func (w *Watcher) Err() error {
	if e := w.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// Run follows the target until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	var last []Address
	for {
		answer, err := w.Resolve(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := clamp(answer.TTL)
		if err != nil {
			w.failed(err)
			pause = minTTL
		} else {
			w.succeeded(time.Now())
		}
		if !slices.Equal(answer.Addresses, last) {
			last = answer.Addresses
			w.update(last)
		}
		close(<-w.looked)
		w.looked <- make(chan struct{})
		if !w.static() || err != nil {
			w.sleep(ctx, pause)
		} else {
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (w *Watcher) failed(err error) {
	w.failure.Store(&err)
	w.results(false)
	message := "endpoints not resolved, the last answer goes on"
	if w.good.Load() == 0 {
		message = "endpoints not resolved yet"
	}
	w.log.Warn(message, "target", w.name(), "error", err)
}

func (w *Watcher) succeeded(now time.Time) {
	w.failure.Store(nil)
	w.good.Store(now.UnixNano())
	w.results(true)
}

func (w *Watcher) name() string {
	if len(w.target.Hosts) > 0 {
		return w.target.Hosts[0].Host
	}
	return w.target.Path
}

// static targets never change: literal addresses and sockets.
func (w *Watcher) static() bool {
	switch w.target.Source {
	case config.FromSocket:
		return true
	case config.FromHosts:
		return !slices.ContainsFunc(w.target.Hosts, func(h config.HostPort) bool { return net.ParseIP(h.Host) == nil })
	}
	return false
}

func (w *Watcher) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	hold := time.NewTimer(min(earlyPause, d))
	defer hold.Stop()
	var early <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-hold.C:
			early = w.early
		case <-early:
			return
		}
	}
}

// clamp keeps a TTL between 1 s and 5 s, ± 10 % so that helpers do not ask in step.
func clamp(ttl time.Duration) time.Duration {
	if ttl == 0 {
		ttl = unknownTTL
	}
	ttl = min(max(ttl, minTTL), maxTTL)
	return ttl - ttl/10 + rand.N(ttl/5+1)
}

// Resolve asks once. What fails stands there with its last good answer, and the error says so. The addresses are sorted, so
// that equal sets are equal.
func (w *Watcher) Resolve(ctx context.Context) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	switch w.target.Source {
	case config.FromSocket:
		answer.Addresses = []Address{{Addr: "unix:" + w.target.Path, Name: "localhost", Weight: 1}}
	case config.FromFile:
		lines, readErr := readFile(w.target.Path)
		answer.Addresses, err = w.list.recall(lines, readErr, time.Now())
		answer.TTL = minTTL
	case config.FromSRV:
		answer, err = w.services(ctx, w.target.Hosts[0].Host)
	default:
		places := make([]place, len(w.target.Hosts))
		for i, h := range w.target.Hosts {
			places[i] = place{host: h.Host, port: h.Port, weight: 1}
		}
		answer, err = w.addresses(ctx, places)
	}
	slices.SortFunc(answer.Addresses, func(a, b Address) int { return strings.Compare(a.Addr, b.Addr) })
	answer.Addresses = slices.CompactFunc(answer.Addresses, func(a, b Address) bool { return a.Addr == b.Addr })
	return answer, err
}

// readFile reads host:port and an optional weight a line; # begins a comment.
func readFile(path string) ([]Address, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Address
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		host, port, err := net.SplitHostPort(words[0])
		if n, badPort := strconv.ParseUint(port, 10, 16); err != nil || badPort != nil || n == 0 || host == "" {
			return nil, fmt.Errorf("%s:%d: %q is not host:port", path, n, words[0])
		}
		a := Address{Addr: words[0], Name: host, Weight: 1}
		if len(words) > 2 {
			return nil, fmt.Errorf("%s:%d: %q follows the weight", path, n, words[2])
		}
		if len(words) > 1 {
			if a.Weight, err = strconv.Atoi(words[1]); err != nil || a.Weight < 1 {
				return nil, fmt.Errorf("%s:%d: %q is not a weight", path, n, words[1])
			}
		}
		all = append(all, a)
	}
	return all, lines.Err()
}
