package source

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestFiles_ThatAreNamedPipesAreRefusedAndNobodyWaitsForTheirWriters(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (File{Path: pipe, Limit: 1 << 10}).Fetch(t.Context(), nil); !errors.Is(err, errIrregular) {
		t.Error(err)
	}
	if _, _, err := LastLines(pipe, 1); !errors.Is(err, errIrregular) {
		t.Error(err)
	}
	got := &collected{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	tail := OpenTail(pipe, true)
	wg.Go(func() { tail.Run(ctx, got) })
	kittest.Eventually(t, 10*time.Second, func() bool {
		got.mu.Lock()
		defer got.mu.Unlock()
		return len(got.why) > 0 && errors.Is(got.why[0], errIrregular)
	}, "the follower to say so")
	cancel()
	wg.Wait()
	tail.Close()
}
