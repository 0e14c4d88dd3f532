package decode

import (
	"bytes"
	"strconv"
)

// Memcached decodes the replies to stats, stats settings, stats items and stats slabs, in this order. Paths are
// stats.KEY, settings.KEY, items.SLAB.KEY, slabs.SLAB.KEY and slabs.KEY. cmd_set counts cas commands too, so
// stats.set_hits is what remains without them.
func Memcached(doc []byte, to Walker) error {
	sections := [...]string{"stats", "settings", "items", "slabs"}
	at, found, sets := 0, false, 0.0
	for line := range bytes.Lines(doc) {
		line = bytes.TrimRight(line, "\r\n")
		if string(line) == "END" {
			if at == 0 && found {
				leaf(to, strconv.AppendFloat(nil, sets, 'f', -1, 64), nil, []byte("stats"), []byte("set_hits"))
			}
			at = min(at+1, len(sections)-1)
			continue
		}
		rest, ok := bytes.CutPrefix(line, []byte("STAT "))
		key, value, ok2 := bytes.Cut(rest, []byte{' '})
		if !ok || !ok2 {
			continue
		}
		found = true
		if n, _ := textNumber(value); string(key) == "cmd_set" && at == 0 {
			sets += n
		} else if bytes.HasPrefix(key, []byte("cas_")) && at == 0 {
			sets -= n
		}
		key = bytes.TrimPrefix(key, []byte("items:"))
		if slab, name, ok := bytes.Cut(key, []byte{':'}); ok {
			leaf(to, value, nil, []byte(sections[at]), slab, name)
		} else {
			leaf(to, value, nil, []byte(sections[at]), key)
		}
	}
	if !found {
		return errForeign
	}
	return nil
}
