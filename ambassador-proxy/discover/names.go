package discover

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const emptyHold = 30 * time.Second // how long an empty answer is not believed

// memory is the last good answer to one question. A failure keeps it for ever; an empty answer, or that there is no such
// name, counts when it has been given for 30 s: a name server that restarts says that too.
type memory[T any] struct {
	good  []T
	empty time.Time // since when there is nothing
}

var errEmpty = errors.New("empty answer")

// recall takes an answer and gives what holds now. The error says that this is older than the answer.
func (m *memory[T]) recall(answer []T, err error, now time.Time) ([]T, error) {
	nothing := err == nil && len(answer) == 0
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound && !e.IsTemporary {
		nothing = true
	}
	if !nothing {
		m.empty = time.Time{}
		if err == nil {
			m.good = answer
		}
		return m.good, err
	}
	if m.empty.IsZero() {
		m.empty = now
	}
	if now.Sub(m.empty) >= emptyHold {
		m.good = nil
	}
	if err == nil && len(m.good) > 0 {
		err = errEmpty
	}
	return m.good, err
}

// place is a name to resolve, and what an endpoint there is.
type place struct {
	host, port string
	weight     int
}

// services resolves service records and then their targets.
func (w *Watcher) services(ctx context.Context, name string) (Answer, error) {
	found, ttl, err := w.dns.services(ctx, name)
	places, err := w.srv.recall(found, err, time.Now())
	answer, more := w.addresses(ctx, places)
	answer.TTL = shorter(answer.TTL, ttl)
	return answer, errors.Join(err, more)
}

// addresses resolves all places at once: one that fails, or takes its time, says nothing about the others.
func (w *Watcher) addresses(ctx context.Context, places []place) (answer Answer, err error) {
	type result struct {
		ips []string
		ttl time.Duration
		err error
	}
	results := make([]result, len(places))
	var all sync.WaitGroup
	for i, p := range places {
		all.Go(func() { results[i].ips, results[i].ttl, results[i].err = w.dns.lookup(ctx, p.host) })
	}
	all.Wait()
	now, before := time.Now(), w.hosts
	w.hosts = make(map[place]*memory[Address], len(places))
	for i, p := range places {
		if w.hosts[p] = before[p]; w.hosts[p] == nil {
			w.hosts[p] = &memory[Address]{}
		}
		var fresh []Address
		for _, ip := range results[i].ips {
			fresh = append(fresh, Address{Addr: net.JoinHostPort(ip, p.port), Name: p.host, Weight: p.weight})
		}
		known, failed := w.hosts[p].recall(fresh, results[i].err, now)
		answer.Addresses = append(answer.Addresses, known...)
		answer.TTL = shorter(answer.TTL, results[i].ttl)
		err = errors.Join(err, failed)
	}
	return answer, err
}

// shorter of two TTLs; 0 says nothing.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
