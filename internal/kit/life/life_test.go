package life

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitQuiet_CountsFromTheLastActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		farewell := begin.Add(700 * time.Millisecond)
		err := WaitQuiet(t.Context(), time.Second, func() time.Time {
			if time.Now().Before(farewell) {
				return begin.Add(-time.Hour)
			}
			return farewell
		})
		if took := time.Since(begin); err != nil || took < 1700*time.Millisecond || took > 1750*time.Millisecond {
			t.Errorf("%v after %s, want 1.7 s", err, took)
		}
	})
}

func TestWaitQuiet_EndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := WaitQuiet(ctx, time.Second, time.Now); err == nil {
			t.Error("an app that never rests was called quiet")
		}
	})
}
