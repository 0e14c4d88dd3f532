package decode

import (
	"hash/maphash"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// An op is what a line does with its value.
type op uint8

const (
	opAdd     op = iota // counter
	opGauge             // set, or add when the value has a sign
	opSetOnly           // set, signs included (Graphite)
	opObserve           // histogram or summary
	opSet               // member of a set
	opDrop              // nothing: a rule says so
)

// record is what is known about one run of raw bytes.
type record struct {
	x           *series.Series // nil for opDrop
	scale       float64
	weight      float64 // of one observation
	off         uint32  // of the raw bytes in cache.keys
	name, total uint16  // their lengths: of the name, and of name and suffix
	op          op
}

func (r *record) stale() bool { return r.x != nil && r.x.Removed() }

// update applies one value. sign is the first byte of its text.
func (r *record) update(v float64, sign byte) string {
	v *= r.scale
	ok := false
	switch r.op {
	case opAdd:
		if v < 0 {
			return whyNegative
		}
		ok = r.x.Add(v)
	case opGauge:
		if sign == '+' || sign == '-' {
			ok = r.x.Add(v)
		} else {
			ok = r.x.Set(v)
		}
	case opSetOnly:
		ok = r.x.Set(v)
	case opObserve:
		ok = r.x.Observe(v, r.weight)
	}
	if !ok {
		return whyRefused
	}
	return ""
}

// cache finds a record by raw bytes in two parts. It is an open-addressing table of
// eight-byte entries over records and keys that lie in blocks, so the garbage collector
// sees few objects and growing copies little. When it is full it starts afresh, which
// bounds it whatever comes in. Not safe for concurrent use.
type cache struct {
	seed    maphash.Seed
	max     int
	n       uint32
	mask    uint64
	table   []entry
	records [][]record
	keys    [][]byte
}

type entry struct{ tag, id uint32 } // id counts from 1; 0 is free

const (
	recordBlock = 1 << 9
	keyBlock    = 1 << 16
)

func newCache(limit int) cache {
	return cache{seed: maphash.MakeSeed(), max: limit, mask: 255, table: make([]entry, 256)}
}

func (c *cache) hash(name, suffix []byte) uint64 {
	return maphash.Bytes(c.seed, name) ^ maphash.Bytes(c.seed, suffix)*0x9E3779B97F4A7C15
}

// find returns the record of name and suffix, or nil. It stays valid until the next put.
func (c *cache) find(name, suffix []byte) *record {
	h := c.hash(name, suffix)
	tag := uint32(h >> 32)
	for i := h & c.mask; ; i = (i + 1) & c.mask {
		e := c.table[i]
		if e.id == 0 {
			return nil
		}
		if e.tag != tag {
			continue
		}
		r := c.record(e.id)
		if int(r.name) != len(name) || int(r.total) != len(name)+len(suffix) {
			continue
		}
		if k := c.key(r); string(k[:len(name)]) == string(name) && string(k[len(name):]) == string(suffix) {
			return r
		}
	}
}

func (c *cache) record(id uint32) *record { return &c.records[(id-1)/recordBlock][(id-1)%recordBlock] }

func (c *cache) key(r *record) []byte {
	return c.keys[r.off/keyBlock][r.off%keyBlock:][:r.total]
}

// put keeps a record, in place of one that is there. Raw bytes that are too long to keep
// are not kept.
func (c *cache) put(name, suffix []byte, r record) {
	if have := c.find(name, suffix); have != nil {
		have.x, have.scale, have.weight, have.op = r.x, r.scale, r.weight, r.op
		return
	}
	total := len(name) + len(suffix)
	if total >= keyBlock/16 {
		return
	}
	if int(c.n) >= c.max {
		*c = newCache(c.max)
	}
	if int(c.n+1)*2 > len(c.table) {
		c.grow()
	}
	last := len(c.keys) - 1
	if last < 0 || len(c.keys[last])+total > keyBlock {
		size := keyBlock
		if last < 0 {
			size = keyBlock / 16 // small for the many that know a hundred names
		}
		c.keys = append(c.keys, make([]byte, 0, size))
		last++
	}
	r.off = uint32(last*keyBlock + len(c.keys[last]))
	r.name, r.total = uint16(len(name)), uint16(total)
	c.keys[last] = append(append(c.keys[last], name...), suffix...)
	if c.n%recordBlock == 0 {
		c.records = append(c.records, make([]record, 0, recordBlock))
	}
	b := &c.records[c.n/recordBlock]
	*b = append(*b, r)
	c.n++
	c.place(c.hash(name, suffix), c.n)
}

func (c *cache) grow() {
	c.table = make([]entry, 2*len(c.table))
	c.mask = uint64(len(c.table) - 1)
	for id := uint32(1); id <= c.n; id++ {
		r := c.record(id)
		k := c.key(r)
		c.place(c.hash(k[:r.name], k[r.name:]), id)
	}
}

func (c *cache) place(h uint64, id uint32) {
	i := h & c.mask
	for c.table[i].id != 0 {
		i = (i + 1) & c.mask
	}
	c.table[i] = entry{uint32(h >> 32), id}
}
