package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// bucket keeps the lines of each object that is put.
type bucket struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	objects [][]string
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{t: t}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := gzip.NewReader(r.Body)
	if err != nil {
		b.t.Error(err)
		return
	}
	lines, err := io.ReadAll(body)
	if err != nil {
		b.t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var object []string
	for line := range bytes.Lines(lines) {
		object = append(object, string(line))
	}
	b.objects = append(b.objects, object)
}

func (b *bucket) sizes() (sizes []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.objects {
		sizes = append(sizes, len(o))
	}
	return sizes
}

// ship starts the shipper with that output and waits until it is ready.
func (b *bucket) ship(options, dir string) *kittest.Process {
	admin := kittest.FreeAddress(b.t)
	p := kittest.Start(b.t, []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret"}, "sidecar-logshipper",
		"--path", filepath.Join(dir, "app.log"), "--to", "s3+"+b.URL+"/logs/app?"+options, "--state", filepath.Join(dir, "state"),
		"--admin-address", admin, "--drain-quiet", "50ms")
	p.WaitReady(admin)
	return p
}

func TestS3_LinesOfAWhileShareAnObjectAndTheDrainDoesNotWaitForIt(t *testing.T) {
	b, dir := newBucket(t), t.TempDir()
	app := newApp(t, filepath.Join(dir, "app.log"))
	p := b.ship("object_age=1h", dir)
	for range 5 {
		app.write(100)
		time.Sleep(300 * time.Millisecond) // each would be a batch of its own
	}
	app.rename(0)
	app.write(100)
	if sizes := b.sizes(); len(sizes) > 0 {
		t.Errorf("objects of %d lines within two seconds, want none", sizes)
	}
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	if sizes := b.sizes(); !slices.Equal(sizes, []int{600}) {
		t.Errorf("objects of %d lines, want one of 600", sizes)
	}
}

func TestS3_AnObjectLeavesWhenItIsFullOrOld(t *testing.T) {
	b, dir := newBucket(t), t.TempDir()
	app := newApp(t, filepath.Join(dir, "app.log"))
	b.ship("object_size=512KiB&object_age=2s", dir)
	app.write(9000) // 105 bytes each
	kittest.Eventually(t, 10*time.Second, func() bool { return len(b.sizes()) == 2 }, "a full object, and the rest by its age")
	sizes := b.sizes()
	if sizes[0] < 4000 || sizes[0]+sizes[1] != 9000 {
		t.Errorf("objects of %d lines", sizes)
	}
}

func TestS3_AnObjectThatWasNotPutIsReadAgainAfterAKill(t *testing.T) {
	b, dir := newBucket(t), t.TempDir()
	app := newApp(t, filepath.Join(dir, "app.log"))
	p := b.ship("object_age=1h", dir)
	app.write(100)
	time.Sleep(1500 * time.Millisecond) // longer than positions take to be saved
	p.Signal(syscall.SIGKILL)
	p.Wait(5 * time.Second)
	app.rename(10)
	app.write(100)
	p = b.ship("object_age=1h", dir)
	p.Signal(syscall.SIGTERM)
	p.Wait(10 * time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	all := strings.Join(slices.Concat(b.objects...), "")
	for _, id := range app.whole {
		if !strings.Contains(all, id) {
			t.Fatalf("%s is lost", id)
		}
	}
}
