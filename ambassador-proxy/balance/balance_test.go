package balance

import (
	"fmt"
	"testing"
	"time"
)

type item struct {
	name   string
	load   *Load
	weight int
}

func (i *item) Load() *Load  { return i.load }
func (i *item) Weight() int  { return i.weight }
func (i *item) Name() string { return i.name }

func someItems(n int) []Item {
	var all []Item
	for i := range n {
		all = append(all, &item{fmt.Sprintf("10.0.0.%d:80", i), NewLoad(time.Unix(1000, 0)), 1})
	}
	return all
}

var policies = []string{"ewma", "least_request", "random", "round_robin", "ketama", "maglev"}

func TestEveryPolicy_TakesAnUntriedItemWhenThereIsOneAndAllocatesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, name := range policies {
		all := someItems(3)
		p, err := New(name, all, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			q := Query{Tried: []Item{all[0], all[2]}}
			if got := p.Pick(q, now); got != all[1] {
				t.Errorf("%s picked %s, which was tried", name, got.Name())
			}
		}
		q := Query{Hash: 7, Hashed: true}
		if n := testing.AllocsPerRun(100, func() { p.Pick(q, now) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestEWMA_MovesAwayFromASlowEndpointAndComesBack(t *testing.T) {
	now := time.Unix(1000, 0)
	all := someItems(2)
	p, _ := New("ewma", all, 0)
	all[0].Load().Observe(2*time.Second, false, now)
	for range 100 {
		if p.Pick(Query{}, now) != all[1] {
			t.Fatal("the slow one was picked")
		}
	}
	if l := all[0].Load().Latency(now.Add(2 * time.Minute)); l > 30*time.Millisecond {
		t.Errorf("after two minutes without news it still counts as %s", l)
	}
}

func TestOverloadedAnswer_CountsAsFiveSeconds(t *testing.T) {
	l := NewLoad(time.Unix(1000, 0))
	l.Observe(time.Millisecond, true, time.Unix(1000, 0))
	if got := l.Latency(time.Unix(1000, 0)); got < 4999*time.Millisecond {
		t.Errorf("%s", got)
	}
}

func TestHashing_MovesOnlyTheKeysOfTheItemThatLeft(t *testing.T) {
	for _, name := range []string{"ketama", "maglev"} {
		all := someItems(5)
		before, _ := New(name, all, 0)
		after, _ := New(name, all[:4], 0)
		moved := 0
		for i := range 5000 {
			q := Query{Hash: uint64(i) * 0x9e3779b97f4a7c15, Hashed: true}
			if a := before.Pick(q, time.Time{}); a != all[4] && a != after.Pick(q, time.Time{}) {
				moved++
			}
		}
		if moved > 300 {
			t.Errorf("%s: %d of 5000 keys moved between items that stayed", name, moved)
		}
	}
}

func TestRoundRobin_FollowsWeights(t *testing.T) {
	all := someItems(2)
	all[0].(*item).weight = 3
	p, _ := New("round_robin", all, 0)
	hits := map[Item]int{}
	for range 400 {
		hits[p.Pick(Query{}, time.Time{})]++
	}
	if hits[all[0]] != 300 {
		t.Errorf("%d of 400 for three quarters of the weight", hits[all[0]])
	}
}

func BenchmarkEWMA(b *testing.B) {
	all := someItems(10)
	p, _ := New("ewma", all, 0)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		p.Pick(Query{}, now)
	}
}
