package logs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeats_AreHeldBackAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := New(&b, slog.LevelDebug, "text").With("output", "loki")
		for i := range 100 {
			log.Warn("send failed", "try", i)
			log.Debug("detail", "try", i)
		}
		log.Warn("another message")
		if got := strings.Count(b.String(), "send failed"); got != burst {
			t.Errorf("%d repeats passed, want %d", got, burst)
		}
		if got := strings.Count(b.String(), "detail"); got != 100 {
			t.Errorf("%d of 100 debug records passed", got)
		}
		if !strings.Contains(b.String(), "another message") {
			t.Error("another message was held back")
		}
		time.Sleep(window)
		log.Warn("send failed", "try", 100)
		if !strings.Contains(b.String(), "similar_suppressed=95") {
			t.Errorf("no count of what was held back:\n%s", b.String())
		}
	})
}
