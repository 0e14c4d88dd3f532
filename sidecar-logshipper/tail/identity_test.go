package tail

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }

func TestHead_IsComparedAsAPrefixWhileTheFileGrows(t *testing.T) {
	short := bytes.NewReader([]byte("first line\n"))
	mark, err := headOf(short, headBytes)
	if err != nil || mark.Len != 11 {
		t.Fatalf("head %+v, %v", mark, err)
	}
	if !hasHead(bytes.NewReader([]byte("first line\nsecond\n")), mark) {
		t.Error("the grown file was not recognised")
	}
	if hasHead(bytes.NewReader([]byte("other line\nsecond\n")), mark) || hasHead(bytes.NewReader([]byte("first")), mark) {
		t.Error("another file was taken for it")
	}
	if !hasHead(short, checkpoint.Mark{}) {
		t.Error("a mark of nothing must fit everything")
	}
}

func TestMarker_TellsContinuedFromTruncatedAndWrittenAgain(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 100)
	at := checkpoint.Position{Offset: 500, Marker: markOf(text[:500])}
	if !hasMarker(bytes.NewReader(text), at) {
		t.Error("the same bytes were not recognised")
	}
	again := append([]byte("x"), text...)
	if hasMarker(bytes.NewReader(again), at) || hasMarker(bytes.NewReader(text[:400]), at) {
		t.Error("other bytes before the position passed")
	}
	if hasMarker(bytes.NewReader(text), checkpoint.Position{Offset: 1, Marker: checkpoint.Mark{Len: 9}}) {
		t.Error("a marker longer than its offset passed")
	}
}

func TestRotationNames_AreToldFromOtherSiblings(t *testing.T) {
	for name, want := range map[string]bool{
		"app.log.1": true, "app.log.12.gz": true, "app.log-20261124": true, "app.log.2026-11-24T10:00": true, "app.log.3.zst": true,
		"app.log": false, "app.log.swp": false, "app.log.bak": false, "app.log.1.tmp": false, "other.log.1": false,
	} {
		if got := rotationOf("/logs/"+name, "/logs/app.log"); got != want {
			t.Errorf("%s is a rotation of app.log: %v, want %v", name, got, want)
		}
	}
}

func TestOpen_ReadsCompressedFilesByTheOffsetsWithin(t *testing.T) {
	text := bytes.Repeat([]byte("a line of some length\n"), 20_000)
	writers := map[string]func(io.Writer) io.WriteCloser{
		"plain": func(w io.Writer) io.WriteCloser { return nopCloser{w} },
		"gzip":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	}
	for name, wrap := range writers {
		var b bytes.Buffer
		w := wrap(&b)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		src, size, compressed, err := open(path)
		if err != nil || size != int64(len(text)) || compressed != (name != "plain") {
			t.Fatalf("%s: size %d, compressed %v, %v", name, size, compressed, err)
		}
		buf := make([]byte, 1000)
		for _, off := range []int64{300_000, 5, 200_000} { // forwards and back
			if n, err := src.ReadAt(buf, off); err != nil || !bytes.Equal(buf[:n], text[off:off+1000]) {
				t.Errorf("%s: at %d read %d bytes, %v", name, off, n, err)
			}
		}
		if n, err := src.ReadAt(buf, size-10); n != 10 || err != io.EOF {
			t.Errorf("%s: at the end read %d bytes, %v, want 10 and EOF", name, n, err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if name == "plain" {
			continue
		}
		if err := os.WriteFile(path, b.Bytes()[:b.Len()/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := open(path); err == nil {
			t.Errorf("%s: half a file was taken for a whole one", name)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestOpen_DoesNotWaitForTheWriterOfAPipe(t *testing.T) {
	path := t.TempDir() + "/a.log" // it has taken the place of a file
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := open(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}
