package balance

import (
	"cmp"
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

// Continuum is the ring of libketama as twemproxy builds it (nc_ketama.c): 160 points a server, by MD5 of "NAME-i", four
// points a digest, more or fewer by weight. It is immutable.
type Continuum struct{ points []point }

type point struct {
	at   uint32
	item int
}

const pointsPerServer = 160

// NewContinuum builds the ring of servers by name; weights are at least 1.
func NewContinuum(names []string, weights []int) *Continuum {
	c, total := &Continuum{}, 0
	for _, w := range weights {
		total += w
	}
	for i, name := range names {
		// The arithmetic of twemproxy, in single precision: rounding decides how many points there are.
		share := float32(weights[i]) / float32(total)
		digests := int(math.Floor(float64(float32(float64(float32(float32(share*pointsPerServer)/4)*float32(len(names))) + 0.0000000001))))
		for d := range digests {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", name, d))
			for k := range 4 {
				c.points = append(c.points, point{binary.LittleEndian.Uint32(sum[4*k:]), i})
			}
		}
	}
	slices.SortStableFunc(c.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return c
}

// At is the server of a hash: the one at the first point that is not below it.
func (c *Continuum) At(hash uint32) int { return c.points[c.start(hash)].item }

func (c *Continuum) start(hash uint32) int {
	i := sort.Search(len(c.points), func(i int) bool { return c.points[i].at >= hash })
	return i % len(c.points)
}

// ketama picks by the continuum, with bounded load.
type ketama struct {
	items []Item
	ring  []point
	from  *Continuum
}

func newKetama(items []Item) *ketama {
	names, weights := make([]string, len(items)), make([]int, len(items))
	for i, it := range items {
		names[i], weights[i] = it.Name(), it.Weight()
	}
	c := NewContinuum(names, weights)
	return &ketama{items, c.points, c}
}

func (p *ketama) Pick(q Query, _ time.Time) Item {
	h := uint32(q.Hash)
	if !q.Hashed {
		h = rand.Uint32()
	}
	start := p.from.start(h)
	first := p.items[p.ring[start].item]
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
