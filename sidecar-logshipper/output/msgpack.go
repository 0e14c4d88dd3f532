package output

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// MessagePack, as far as entries of the Forward protocol need it (https://github.com/msgpack/msgpack/blob/master/spec.md).

// appendEventTime starts an entry: an array of two, the first of which is a time with nanoseconds (ext type 0).
func appendEventTime(dst []byte, nano int64) []byte {
	second, rest := floorSecond(nano)
	dst = binary.BigEndian.AppendUint32(append(dst, 0x92, 0xd7, 0x00), uint32(second))
	return binary.BigEndian.AppendUint32(dst, rest)
}

// appendPackedLength appends the head of a value of n bytes or members. Kind is the first of its family's formats: 0xc4 for
// bytes, 0xd9 for text, each with 8, 16 and 32 bits of length, and 0xde for a map, of 16 bits.
func appendPackedLength(dst []byte, kind byte, n int) []byte {
	switch {
	case kind == 0xde:
		return binary.BigEndian.AppendUint16(append(dst, kind), uint16(n))
	case n < 1<<8:
		return append(dst, kind, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, kind+1), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, kind+2), uint32(n))
	}
}

func appendPackedString[T string | []byte](dst []byte, s T) []byte {
	if len(s) < 32 {
		return append(append(dst, 0xa0|byte(len(s))), s...)
	}
	return append(appendPackedLength(dst, 0xd9, len(s)), s...)
}

func appendPackedInt(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
}

// appendPackedValue appends a field. Objects and arrays stay JSON text.
func appendPackedValue(dst []byte, f *record.Field) []byte {
	switch f.Kind {
	case record.Null:
		return append(dst, 0xc0)
	case record.Bool:
		if string(f.Value) == "true" {
			return append(dst, 0xc3)
		}
		return append(dst, 0xc2)
	case record.Number:
		if n, err := strconv.ParseInt(string(f.Value), 10, 64); err == nil {
			return appendPackedInt(dst, n)
		}
		if v, err := strconv.ParseFloat(string(f.Value), 64); err == nil {
			return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(v))
		}
	}
	return appendPackedString(dst, repaired(f.Value))
}
