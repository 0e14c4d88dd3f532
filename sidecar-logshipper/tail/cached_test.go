package tail

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadAt_IsReadAtWhereverTheBytesAre(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader, writer, err := os.Pipe() // refuses every read at an offset
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	closed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, src := range map[string]io.ReaderAt{"a file": f, "what was inflated": strings.NewReader(text), "a pipe": reader, "a closed file": closed} {
		for _, at := range []int64{0, 7, 999_990, 1_000_000, 1_000_010, 1 << 40} {
			for _, size := range []int{1, 20, 1 << 18, 2_000_000} {
				got, want := make([]byte, size), make([]byte, size)
				n, err := readAt(src, got, at, int64(len(text)))
				m, werr := src.ReadAt(want, at)
				if n != m || !bytes.Equal(got, want) || (err == nil) != (werr == nil) || errors.Is(err, io.EOF) != errors.Is(werr, io.EOF) {
					t.Errorf("%s: %d bytes at %d: %d, %v, want %d, %v", name, size, at, n, err, m, werr)
				}
			}
		}
	}
}
