package output

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	packedMost  = 4 << 10 // longest text of a handshake
	packedDepth = 4
	packedItems = 64
)

// readPacked reads the MessagePack values that servers of the Forward protocol send: nil, booleans, small integers, text,
// bytes (both as []byte), arrays ([]any) and maps with text as keys. What a handshake has no use for is an error.
func readPacked(r *bufio.Reader, depth int) (any, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch {
	case depth > packedDepth:
		return nil, fmt.Errorf("read message: nested too deeply")
	case kind < 0x80:
		return int64(kind), nil
	case kind < 0x90:
		return readPackedPairs(r, int(kind&0x0f), depth)
	case kind < 0xa0:
		return readPackedArray(r, int(kind&0x0f), depth)
	case kind < 0xc0:
		return readPackedText(r, int(kind&0x1f))
	}
	switch kind {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return kind == 0xc3, nil
	case 0xc4, 0xd9, 0xcc:
		return readPackedSized(r, kind, 1)
	case 0xc5, 0xda, 0xcd:
		return readPackedSized(r, kind, 2)
	case 0xc6, 0xdb, 0xce:
		return readPackedSized(r, kind, 4)
	}
	return nil, fmt.Errorf("read message: format %#x", kind)
}

// readPackedSized reads a number of size bytes, and what it is the length of where kind is bytes or text.
func readPackedSized(r *bufio.Reader, kind byte, size int) (any, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[4-size:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(b[:])
	if kind >= 0xcc && kind <= 0xce {
		return int64(n), nil
	}
	return readPackedText(r, int(n))
}

func readPackedText(r *bufio.Reader, n int) ([]byte, error) {
	if n < 0 || n > packedMost {
		return nil, fmt.Errorf("read message: %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func readPackedArray(r *bufio.Reader, n, depth int) (any, error) {
	list := make([]any, min(n, packedItems))
	for i := range list {
		var err error
		if list[i], err = readPacked(r, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func readPackedPairs(r *bufio.Reader, n, depth int) (any, error) {
	m := make(map[string]any, n)
	for range min(n, packedItems) {
		key, err := readPacked(r, depth+1)
		if err != nil {
			return nil, err
		}
		name, ok := key.([]byte)
		if !ok {
			return nil, fmt.Errorf("read message: key %v", key)
		}
		if m[string(name)], err = readPacked(r, depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}
