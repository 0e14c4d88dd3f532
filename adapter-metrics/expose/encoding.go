package expose

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encoding picks zstd or gzip from an Accept-Encoding header, "" for neither. Of two
// that the client likes equally zstd wins: it is faster and smaller.
func encoding(accept string) string {
	best, bestQ := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "zstd" {
			continue
		}
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				q = 0
			}
		}
		if q > bestQ || q == bestQ && q > 0 && name == "zstd" {
			best, bestQ = name, q
		}
	}
	return best
}

// compressor is a gzip or zstd writer that can be used again.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// zip is a compressor and what it has made that has not gone out yet: compressors hand on a few hundred bytes at a time, which
// net/http would send in pieces of 4 KiB.
type zip struct {
	in  compressor
	out *bufio.Writer
}

// zips keeps compressors between scrapes.
type zips struct{ gzip, zstd sync.Pool }

func (z *zips) pool(name string) *sync.Pool {
	if name == "zstd" {
		return &z.zstd
	}
	return &z.gzip
}

func (z *zips) get(name string, w io.Writer) *zip {
	c, ok := z.pool(name).Get().(*zip)
	if !ok {
		c = &zip{newCompressor(name), bufio.NewWriterSize(nil, flushBytes)}
	}
	c.out.Reset(w)
	c.in.Reset(c.out)
	return c
}

// newCompressor returns the cheapest level: the page is sent once, over a network that is
// rarely the bottleneck. Its options are constants, so an error cannot happen.
func newCompressor(name string) compressor {
	if name == "zstd" {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10))
		return w
	}
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}

func (z *zips) put(name string, c *zip) {
	_ = c.in.Close() // fails, as Flush does, when the scraper has gone
	_ = c.out.Flush()
	c.in.Reset(nil)
	c.out.Reset(nil)
	z.pool(name).Put(c)
}
