package balance

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// overload bounds how much more than its share a hashed endpoint may carry before the next one on the ring helps out
// (consistent hashing with bounded loads, Mirrokni et al. 2016).
const overload = 1.25

func tooBusy(items []Item, it Item) bool {
	var sum int64
	for _, other := range items {
		sum += other.Load().InFlight()
	}
	return float64(it.Load().InFlight()+1) > math.Ceil(overload*float64(sum+1)/float64(len(items)))
}

// ketama is the ring of libketama as twemproxy builds it: 160 points a server, by MD5 of "NAME-i", four points a digest.
type ketama struct {
	items []Item
	ring  []point
}

type point struct {
	at   uint32
	item int
}

const pointsPerServer = 160

func newKetama(items []Item) *ketama { return &ketama{items, Ring(items)} }

// Ring builds the continuum. The share of an item's points follows its weight.
func Ring(items []Item) []point {
	var ring []point
	total := totalWeight(items)
	for i, it := range items {
		share := float64(it.Weight()) / float64(total)
		digests := int(math.Floor(share*pointsPerServer/4*float64(len(items)) + 0.0000000001))
		for d := range digests {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", it.Name(), d))
			for k := range 4 {
				ring = append(ring, point{binary.LittleEndian.Uint32(sum[4*k:]), i})
			}
		}
	}
	slices.SortStableFunc(ring, func(a, b point) int {
		if a.at < b.at {
			return -1
		}
		if a.at > b.at {
			return 1
		}
		return 0
	})
	return ring
}

func (p *ketama) Pick(q Query, _ time.Time) Item {
	h := uint32(q.Hash)
	if !q.Hashed {
		h = rand.Uint32()
	}
	start := sort.Search(len(p.ring), func(i int) bool { return p.ring[i].at >= h })
	first := p.items[p.ring[start%len(p.ring)].item]
	for i := range p.ring {
		it := p.items[p.ring[(start+i)%len(p.ring)].item]
		if !tried(q, it) && !tooBusy(p.items, it) {
			return it
		}
	}
	return first
}

// maglev is the lookup table of Eisenbud et al. (NSDI 2016): even shares, few moves when the set changes.
type maglev struct {
	items []Item
	table []int32
}

const maglevSize = 65537 // prime, as in the paper

func newMaglev(items []Item) *maglev {
	p := &maglev{items, make([]int32, maglevSize)}
	for i := range p.table {
		p.table[i] = -1
	}
	offset, skip, next := make([]uint64, len(items)), make([]uint64, len(items)), make([]uint64, len(items))
	for i, it := range items {
		h := fnv.New64a()
		h.Write([]byte(it.Name()))
		sum := md5.Sum([]byte(it.Name()))
		offset[i] = binary.LittleEndian.Uint64(sum[:]) % maglevSize
		skip[i] = h.Sum64()%(maglevSize-1) + 1
	}
	for filled := 0; ; {
		for i, it := range items {
			for range it.Weight() {
				at := (offset[i] + next[i]*skip[i]) % maglevSize
				for p.table[at] >= 0 {
					next[i]++
					at = (offset[i] + next[i]*skip[i]) % maglevSize
				}
				p.table[at] = int32(i)
				next[i]++
				if filled++; filled == maglevSize {
					return p
				}
			}
		}
	}
}

func (p *maglev) Pick(q Query, _ time.Time) Item {
	h := q.Hash
	if !q.Hashed {
		h = rand.Uint64()
	}
	start := int(h % maglevSize)
	for i := range min(maglevSize, 64*len(p.items)) {
		it := p.items[p.table[(start+i)%maglevSize]]
		if !tried(q, it) && !tooBusy(p.items, it) {
			return it
		}
	}
	return p.items[p.table[start]]
}
