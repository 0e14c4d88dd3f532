package output

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// heading is what stands in front of each record of one source: text rendered once, with holes for what differs from
// record to record. Filling in the holes costs a few nanoseconds where formatting a time costs a hundred.
type heading struct {
	text   []byte
	clock  clock
	timeAt int   // where in text the time stands, -1 for nowhere
	idAt   int   // where in text the event ID stands, -1 for nowhere
	second int64 // to which the time in text belongs
	tick   int64 // Unix nanoseconds of the time in text, whose last four digits each record fills in
}

// idMark stands in a heading where the event ID goes, and is as long.
const idMark = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"

// clock says how a heading writes times.
type clock struct {
	mark   string // as long as a time
	digits int    // where in it the nine digits of the nanosecond start
	render func(dst []byte, second int64) []byte
}

// rfc3339 is 2006-01-02T15:04:05.000000000Z.
func rfc3339() clock {
	return clock{"@@@@-@@-@@T@@:@@:@@.@@@@@@@@@Z", 20, func(dst []byte, second int64) []byte {
		return time.Unix(second, 0).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z")
	}}
}

// epoch is 1136214245.000000000, seconds since 1970. It has ten digits before the point until the year 2286.
func epoch() clock {
	return clock{"@@@@@@@@@@.@@@@@@@@@", 11, func(dst []byte, second int64) []byte {
		var room [20]byte
		digits := strconv.AppendInt(room[:0], max(second, 0), 10)
		dst = append(dst, "0000000000"[min(len(digits), 10):]...)
		return append(append(dst, digits...), ".000000000"...)
	}}
}

// newHeading finds the marks in text, which is the caller's no more. The generation, the first half of an event ID, is
// filled in for good.
func newHeading(text []byte, c clock, source *record.Source) heading {
	h := heading{text: text, clock: c, second: -1, tick: math.MinInt64, idAt: bytes.Index(text, []byte(idMark)), timeAt: -1}
	if h.idAt >= 0 {
		putHex(text[h.idAt:], source.Generation)
	}
	if c.mark != "" {
		h.timeAt = bytes.Index(text, []byte(c.mark))
	}
	return h
}

// put writes the heading of the record of time nano at offset to d, which has room for it, and returns its length.
func (h *heading) put(d []byte, nano, offset int64) int {
	if h.timeAt >= 0 && uint64(nano-h.tick) >= ticks {
		h.turn(nano)
	}
	n := copy(d, h.text)
	if h.timeAt >= 0 {
		binary.LittleEndian.PutUint32(d[h.timeAt+h.clock.digits+5:], fourDigits(uint32(nano-h.tick)))
	}
	if h.idAt >= 0 {
		putHex(d[h.idAt+16:], uint64(offset))
	}
	return n
}

// ticks are the nanoseconds that four digits can tell: the records of some ten thousand bytes differ in no more.
const ticks = 1e4

// turn writes the time of nano into text, all but its last four digits.
func (h *heading) turn(nano int64) {
	second, rest := floorSecond(nano)
	if second != h.second {
		h.second = second
		h.clock.render(h.text[:h.timeAt], second)
	}
	h.tick = nano - int64(rest%ticks)
	putNanos(h.text[h.timeAt+h.clock.digits:], rest-rest%ticks)
}

// append is put for a slice that grows.
func (h *heading) append(dst []byte, nano, offset int64) []byte {
	at := len(dst)
	dst = append(dst, h.text...)
	h.put(dst[at:], nano, offset)
	return dst
}

func floorSecond(nano int64) (second int64, rest uint32) {
	second = nano / 1e9
	r := nano - second*1e9
	if r < 0 {
		second, r = second-1, r+1e9
	}
	return second, uint32(r)
}

// putNanos writes n, less than a billion, as nine decimal digits.
func putNanos(d []byte, n uint32) {
	d[0] = byte('0' + n/1e8)
	binary.LittleEndian.PutUint64(d[1:9], eightDigits(n%1e8))
}

// eightDigits is n, less than 1e8, as eight decimal digits, the first one in the lowest byte. It halves the digits three
// times, all parts at once, because dividing by ten digit after digit is most of what a heading costs. x*10486>>20 is
// x/100 for x below 10000, x*103>>10 is x/10 for x below 100.
func eightDigits(n uint32) uint64 {
	fours := uint64(n/1e4) | uint64(n%1e4)<<32
	hundreds := fours * 10486 >> 20 & 0x0000007f0000007f
	twos := hundreds | (fours-100*hundreds)<<16
	tens := twos * 103 >> 10 & 0x000f000f000f000f
	return (tens | (twos-10*tens)<<8) + '0'*ones
}

// fourDigits is n, less than 1e4, as four decimal digits, the first one in the lowest byte.
func fourDigits(n uint32) uint32 {
	hundreds := n * 10486 >> 20
	twos := hundreds | (n-100*hundreds)<<16
	tens := twos * 103 >> 10 & 0x000f000f
	return (tens | (twos-10*tens)<<8) + '0'*(ones&math.MaxUint32)
}
