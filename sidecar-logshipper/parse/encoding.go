package parse

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// decoder turns the bytes of a record in another encoding into UTF-8; nil for UTF-8. first says that the file begins with it.
func decoder(encoding string) func(dst, raw []byte, first bool) []byte {
	switch encoding {
	case "utf-16le":
		return func(dst, raw []byte, first bool) []byte {
			return decodeUTF16(dst, littleUnits(raw, first), binary.LittleEndian)
		}
	case "utf-16be":
		return func(dst, raw []byte, _ bool) []byte {
			return decodeUTF16(dst, raw[:len(raw)&^1], binary.BigEndian) // without the zero of the newline
		}
	case "latin1":
		return func(dst, raw []byte, _ bool) []byte { return decodeBytes(dst, raw, nil) }
	case "windows-1252":
		return func(dst, raw []byte, _ bool) []byte { return decodeBytes(dst, raw, []rune(windows1252)) }
	default:
		return nil
	}
}

// littleUnits takes the zero of the newline before off the start of a little-endian record. An odd byte at the end is the half
// of a character whose other half, 0x0d, was taken for the carriage return of a line end.
func littleUnits(raw []byte, first bool) []byte {
	if !first || len(raw)%2 == 1 { // a stream goes on in a file that begins with it
		raw = bytes.TrimPrefix(raw, []byte{0})
	}
	if len(raw)%2 == 1 {
		raw = append(raw[:len(raw):len(raw)], '\r')
	}
	return raw
}

// windows1252 are the characters 0x80 to 0x9f (WHATWG Encoding, index windows-1252).
const windows1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

func decodeBytes(dst, raw []byte, high []rune) []byte {
	for _, c := range raw {
		r := rune(c)
		if high != nil && c >= 0x80 && c < 0xa0 {
			r = high[c-0x80]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// decodeUTF16 decodes text without its newline and the zero of that. A byte order mark and a carriage return go too.
func decodeUTF16(dst, raw []byte, order binary.ByteOrder) []byte {
	start := len(dst)
	for ; len(raw) >= 2; raw = raw[2:] {
		r := rune(order.Uint16(raw))
		if utf16.IsSurrogate(r) && len(raw) >= 4 {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(raw[2:]))); pair != utf8.RuneError {
				r, raw = pair, raw[2:]
			}
		}
		if r != 0xfeff || len(dst) > start {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return bytes.TrimSuffix(dst, []byte{'\r'})
}
