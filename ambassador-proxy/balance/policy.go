package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// Item is an endpoint that may be chosen.
type Item interface {
	Load() *Load
	Weight() int  // at least 1
	Name() string // stable name, the key of consistent hashing
}

// Query is what a choice depends on.
type Query struct {
	Hash   uint64
	Hashed bool
	Tried  []Item // take another one when there is one
}

// Policy chooses among the items that it was built for. Pick is called by many goroutines at once and never with an empty
// set; it allocates nothing.
type Policy interface {
	Pick(q Query, now time.Time) Item
}

// New builds the policy of that name over items. slowStart is how long the share of a new item grows; 0: not at all.
func New(name string, items []Item, slowStart time.Duration) (Policy, error) {
	switch name {
	case "", "ewma":
		return &p2c{items, slowStart, (*Load).score}, nil
	case "least_request":
		return &p2c{items, slowStart, func(l *Load, _ time.Time) float64 { return float64(l.InFlight() + 1) }}, nil
	case "random":
		return &random{items, totalWeight(items)}, nil
	case "round_robin":
		return newRoundRobin(items), nil
	case "ketama":
		return newKetama(items), nil
	case "maglev":
		return newMaglev(items), nil
	}
	return nil, fmt.Errorf("unknown policy %q", name)
}

func tried(q Query, it Item) bool { return len(q.Tried) > 0 && slices.Contains(q.Tried, it) }

// untried is the first item from start on that was not tried yet, or the one at start when all were.
func untried(q Query, items []Item, start int) Item {
	for i := range items {
		if it := items[(start+i)%len(items)]; !tried(q, it) {
			return it
		}
	}
	return items[start]
}

func totalWeight(items []Item) int {
	sum := 0
	for _, it := range items {
		sum += it.Weight()
	}
	return sum
}

// p2c is the power of two choices: of two random items the one with the lower cost.
type p2c struct {
	items     []Item
	slowStart time.Duration
	cost      func(*Load, time.Time) float64
}

func (p *p2c) Pick(q Query, now time.Time) Item {
	n := len(p.items)
	if n == 1 {
		return p.items[0]
	}
	i := rand.IntN(n)
	j := rand.IntN(n - 1)
	if j >= i {
		j++
	}
	a, b := untried(q, p.items, i), untried(q, p.items, j)
	if p.of(b, now) < p.of(a, now) {
		return b
	}
	return a
}

// of is the cost of an item, higher for a lower weight and for one that has just come.
func (p *p2c) of(it Item, now time.Time) float64 {
	cost := p.cost(it.Load(), now) / float64(it.Weight())
	if p.slowStart == 0 {
		return cost
	}
	if share := now.Sub(it.Load().Born()).Seconds() / p.slowStart.Seconds(); share < 1 {
		cost /= max(share, 0.1)
	}
	return cost
}

type random struct {
	items []Item
	total int
}

func (p *random) Pick(q Query, _ time.Time) Item {
	r := rand.IntN(p.total)
	for i, it := range p.items {
		if r -= it.Weight(); r < 0 {
			return untried(q, p.items, i)
		}
	}
	return p.items[0]
}

// roundRobin walks a schedule in which each item stands as often as its weight, spread out (nginx's smooth weighted round
// robin, unrolled).
type roundRobin struct {
	schedule []Item
	next     atomic.Uint64
}

const maxSchedule = 4096

func newRoundRobin(items []Item) *roundRobin {
	total := totalWeight(items)
	p := &roundRobin{}
	current := make([]int, len(items))
	for range min(total, maxSchedule) {
		best := 0
		for i, it := range items {
			if current[i] += it.Weight(); current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		p.schedule = append(p.schedule, items[best])
	}
	p.next.Store(rand.Uint64N(uint64(len(p.schedule)))) // helpers of one deployment must not march in step
	return p
}

func (p *roundRobin) Pick(q Query, _ time.Time) Item {
	return untried(q, p.schedule, int(p.next.Add(1)%uint64(len(p.schedule))))
}
