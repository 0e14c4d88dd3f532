package balance

import (
	"testing"
	"time"
)

func TestSlowStart_GivesANewItemASmallShareThatGrows(t *testing.T) {
	born := time.Unix(1000, 0)
	all := someItems(4)
	for _, it := range all[1:] {
		it.(*item).load = NewLoad(born.Add(-time.Hour))
	}
	p, _ := New("least_request", all, 30*time.Second)
	share := func(at time.Time) (hits int) {
		for range 2000 {
			if p.Pick(Query{}, at) == all[0] {
				hits++
			}
		}
		return hits
	}
	if n := share(born.Add(time.Second)); n > 20 {
		t.Errorf("%d of 2000 at once", n)
	}
	if n := share(born.Add(31 * time.Second)); n < 400 {
		t.Errorf("%d of 2000 when it has grown", n)
	}
}
