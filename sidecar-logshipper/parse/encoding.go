package parse

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// decoder turns the bytes of a record in another encoding into UTF-8; nil for UTF-8.
func decoder(encoding string) func(dst, raw []byte) []byte {
	switch encoding {
	case "utf-16le":
		return func(dst, raw []byte) []byte {
			return decodeUTF16(dst, bytes.TrimPrefix(raw, []byte{0}), binary.LittleEndian)
		}
	case "utf-16be":
		return func(dst, raw []byte) []byte {
			return decodeUTF16(dst, bytes.TrimSuffix(raw, []byte{0}), binary.BigEndian)
		}
	case "latin1":
		return func(dst, raw []byte) []byte { return decodeBytes(dst, raw, nil) }
	case "windows-1252":
		return func(dst, raw []byte) []byte { return decodeBytes(dst, raw, []rune(windows1252)) }
	default:
		return nil
	}
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

// decodeUTF16 decodes text whose newline has been cut off at the byte 0x0a: the zero beside it, at the end of a big-endian
// record or the start of the little-endian one after it, has been removed. A byte order mark and carriage returns go too.
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
