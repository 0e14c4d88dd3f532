package decode

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// TestStatsD_MemoryHasACeilingWhateverComesIn sends names, tags, types, set members and events that never repeat.
func TestStatsD_MemoryHasACeilingWhateverComesIn(t *testing.T) {
	d, s := statsd(series.Limits{Series: 200, PerSource: 200, SetMembers: 200}, nil)
	n := 0
	flood := func(lines int) uint64 {
		for range lines {
			n++
			d.Decode(fmt.Appendf(nil, "n%d:1|c\nhits:1|c|#user:u%d\ntook%d:5|ms\nset:m%d|s\nlevel%d:1|g|#x%d\n_e{1,1}:a|b|#k:%d\n_sc|check%d|1\nbad%d\nt:1|c|T%d\n", n, n, n, n, n, n, n, n, n, n))
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := flood(3_000)
	if after := flood(9_000); after > before+1<<20 {
		t.Errorf("%d KiB after 3 000 of each, %d KiB after 12 000", before>>10, after>>10)
	}
	if s.Len() > 300 {
		t.Errorf("%d series", s.Len())
	}
	runtime.KeepAlive(d)
}
