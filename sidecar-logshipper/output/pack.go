package output

import (
	"bytes"
	"fmt"
	"net"
	"net/url"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// packer compresses whole bodies with an encoder and a buffer that it keeps.
type packer struct {
	encoding string // Content-Encoding, "" for none
	compress func(dst, body []byte) []byte
	buffer   []byte
}

// zstdWindow in bytes, and of its blocks: with a small one logs pack faster, and no worse, because each block has codes of its
// own.
const zstdWindow = 64 << 10

// packing is the compression that is configured, or else usual, which every server of its kind takes: over a network bytes are
// dearer than the CPU, to a server on the same host they are not.
func packing(configured, rawURL, usual string) string {
	if configured != "" {
		return configured
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return ""
	}
	return usual
}

func newPacker(compression string) (packer, error) {
	switch compression {
	case "", "none":
		return packer{}, nil
	case "snappy":
		return packer{encoding: "snappy", compress: func(dst, body []byte) []byte { return s2.EncodeSnappy(dst[:cap(dst)], body) }}, nil
	case "gzip":
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		return packer{encoding: "gzip", compress: func(dst, body []byte) []byte { return gzipped(w, dst, body) }}, err
	case "zstd":
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)) // no checksum, as the C library does by default
		return packer{encoding: "zstd", compress: func(dst, body []byte) []byte { return w.EncodeAll(body, dst[:0]) }}, err
	default:
		return packer{}, fmt.Errorf("unknown compression %q", compression)
	}
}

func gzipped(w *gzip.Writer, dst, body []byte) []byte {
	b := bytes.NewBuffer(dst[:0])
	w.Reset(b)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// pack returns the body to send, valid until the next call, and its Content-Encoding.
func (p *packer) pack(body []byte) (packed []byte, encoding string) {
	if p.compress == nil {
		return body, ""
	}
	p.buffer = p.compress(p.buffer, body)
	return p.buffer, p.encoding
}
