package output

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestEscapeMask_FindsTheFirstByteToEscapeWhateverSurroundsIt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		if r.IntN(2) == 0 { // around the borders, and with the bytes that differ from a match by one bit
			for i := range word {
				word[i] = []byte{0x1f, 0x20, 0x21, '"', 0x23, '[', '\\', ']', 0x7f, 0x80, 0x9f, 0xa0, 0xa2, 0xdc, 0xff, 0}[r.IntN(16)]
			}
		}
		want := 0
		for want < 8 && !mustEscape(word[want]) {
			want++
		}
		got := bits.TrailingZeros64(escapeMask(binary.LittleEndian.Uint64(word[:]))) >> 3
		if got != want {
			t.Fatalf("% x: first byte to escape at %d, want %d", word, got, want)
		}
	}
}

func TestNumbers_AreWrittenAsPrintfDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	nanos := []uint32{0, 1, 9, 10, 99, 100, 9_999, 10_000, 99_999_999, 100_000_000, 999_999_999}
	hex := []uint64{0, 9, 10, 15, 16, 0x9a9a9a9a, 1<<64 - 1}
	for range 100_000 {
		nanos, hex = append(nanos, r.Uint32N(1e9)), append(hex, r.Uint64())
	}
	var d [16]byte
	for _, n := range nanos {
		if putNanos(d[:], n); string(d[:9]) != fmt.Sprintf("%09d", n) {
			t.Fatalf("%d: %s", n, d[:9])
		}
	}
	for n := range uint32(1e4) {
		if binary.LittleEndian.PutUint32(d[:], fourDigits(n)); string(d[:4]) != fmt.Sprintf("%04d", n) {
			t.Fatalf("%d: %s", n, d[:4])
		}
	}
	for _, v := range hex {
		if putHex(d[:], v); string(d[:]) != fmt.Sprintf("%016x", v) {
			t.Fatalf("%x: %s", v, d)
		}
	}
}
