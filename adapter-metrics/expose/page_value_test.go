package expose

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestPage_WritesDecimalsAsTheStandardLibraryDoes(t *testing.T) {
	check := func(v float64) {
		t.Helper()
		if got, want := string(appendValue(nil, v)), strconv.FormatFloat(v, 'g', -1, 64); got != want && !strings.Contains(want, "e+") {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		v := float64(random.IntN(2_000_000_000)) / 1000
		for _, v := range []float64{v, -v, v / 1000, v + 1e-9, random.Float64(), random.Float64() * 2e6} {
			check(v)
		}
	}
	for _, v := range []float64{0.001, 0.0005, 0.1, 0.3, 1.005, 999999.999, 999999.9995, 1e6 + 0.5, 5e-324} {
		check(v)
	}
}

// BenchmarkPage_Decimals guards the cost of a number with decimals.
func BenchmarkPage_Decimals(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		buf = appendValue(buf[:0], float64(i%5000)+0.5)
	}
}
