package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// late is an app that is away for the first pulls, and counts them.
type late struct {
	pulls atomic.Int64
	away  int64
}

func (l *late) Fetch(_ context.Context, buf []byte) ([]byte, error) {
	if l.pulls.Add(1) <= l.away {
		return buf, errors.New("away")
	}
	return append(buf, "{}"...), nil
}

func TestInterval_IsNotWaitedForByASourceThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := series.New(series.Options{})
		set, err := rules.New(nil, "app")
		if err != nil {
			t.Fatal(err)
		}
		app, src := &late{away: 3}, store.Source("app")
		p := &pull{name: "app", fetch: app, decode: quick(decode.JSON), feed: set.Feed(store, src), src: src, errors: map[string]uint64{}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.repeat(ctx, time.Hour, slog.New(slog.DiscardHandler))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !p.up.Load() || app.pulls.Load() != 4 {
			t.Errorf("after 20 s: up %v, %d pulls", p.up.Load(), app.pulls.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if app.pulls.Load() != 5 {
			t.Errorf("%d pulls an hour later", app.pulls.Load())
		}
	})
}

func TestSources_ThatAreAbsentAreToldOnceAndAllOfThem(t *testing.T) {
	var yaml strings.Builder
	yaml.WriteString("sources:\n")
	for i := range 8 {
		fmt.Fprintf(&yaml, "- {name: s%d, json: {url: 'http://%s/'}}\n", i, kittest.FreeAddress(t))
	}
	shop := newApp(t, "")
	admin, _, p := configured(t, yaml.String()+"- {name: shop, json: {url: "+shop.URL+"}}\n")
	for range 3 {
		scrape(t, admin)
	}
	shop.say("{}")
	scrape(t, admin)
	text := p.Stderr.String()
	for i := range 8 {
		if n := strings.Count(text, fmt.Sprintf("pull s%d: ", i)); n != 1 {
			t.Errorf("s%d is named %d times", i, n)
		}
	}
	if strings.Count(text, "pull shop: get document: 500") != 1 || strings.Count(text, `msg="source back" source=shop`) != 1 {
		t.Error("shop is not told twice, gone and back")
	}
	if t.Failed() {
		t.Log(text)
	}
}
