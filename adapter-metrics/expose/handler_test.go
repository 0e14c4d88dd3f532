package expose_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// pullFunc is a Puller.
type pullFunc func(context.Context) error

func (f pullFunc) Pull(ctx context.Context) error { return f(ctx) }

func get(h http.Handler, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/metrics", nil)
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_NegotiatesFormatAndEscaping(t *testing.T) {
	h := expose.New(utf8Zoo(t), nil, nil)
	for _, c := range []struct{ accept, contentType, body string }{
		{"", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "zoo_requests_total{"},
		{"*/*", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "zoo_requests_total{"},
		{"text/plain;version=0.0.4;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8", `{"zoo.requests_total"`},
		{"application/openmetrics-text;version=1.0.0;escaping=dots", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots", "zoo_dot_requests__total{"},
		{"application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores", "# EOF"},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores", "zoo_requests_total"},
		{"image/png", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "zoo_requests_total{"},
	} {
		w := get(h, "Accept", c.accept)
		if got := w.Header().Get("Content-Type"); got != c.contentType {
			t.Errorf("Accept %q: Content-Type %q, want %q", c.accept, got, c.contentType)
		}
		if !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("Accept %q: no %q in\n%s", c.accept, c.body, w.Body.String())
		}
	}
}

func TestHandler_CompressesAsTheClientLikes(t *testing.T) {
	h := expose.New(zoo(t), nil, nil)
	want := get(h).Body.String()
	for accept, encoding := range map[string]string{
		"": "", "br": "", "gzip;q=0": "", "gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd",
		"gzip;q=1, zstd;q=0.5": "gzip", "GZIP ; q=0.3": "gzip", "gzip;q=x": "",
	} {
		for range 2 { // the second time with a compressor that was used before
			w := get(h, "Accept-Encoding", accept)
			if got := w.Header().Get("Content-Encoding"); got != encoding {
				t.Errorf("%q: encoding %q, want %q", accept, got, encoding)
			}
			if got := decompress(t, encoding, w.Body); got != want {
				t.Errorf("%q: the page differs", accept)
			}
		}
	}
}

func TestHandler_TellsTheLengthOfAPageThatGoesOutInOnePiece(t *testing.T) {
	for _, c := range []struct {
		series   int
		encoding string
		known    bool
	}{{300, "identity", true}, {5000, "identity", false}, {5000, "gzip", false}} {
		server := httptest.NewServer(expose.New(numbered(t, c.series), nil, nil))
		defer server.Close()
		r, err := http.NewRequest("GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", c.encoding)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		length := int64(-1)
		if c.known {
			length = int64(len(body))
		}
		if err != nil || len(body) < 4<<10 || res.ContentLength != length { // net/http itself knows the length of up to 2 KiB
			t.Errorf("%d series, %s: Content-Length %d with %d bytes, error %v", c.series, c.encoding, res.ContentLength, len(body), err)
		}
	}
}

func TestHandler_SendsACompressedPageInLargePieces(t *testing.T) {
	h := expose.New(numbered(t, 20_000), nil, nil)
	for _, encoding := range []string{"gzip", "zstd"} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := &pieces{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if bytes := w.Body.Len(); bytes < 4<<10 || w.n > 1+bytes/(64<<10) {
			t.Errorf("%s: %d bytes in %d pieces", encoding, bytes, w.n)
		}
	}
}

// pieces counts the writes of an answer.
type pieces struct {
	*httptest.ResponseRecorder
	n int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.n++
	return p.ResponseRecorder.Write(b)
}

// numbered is a store of one family of n series.
func numbered(t *testing.T, n int) *series.Store {
	t.Helper()
	s := series.New(series.Options{})
	family, err := s.Family(series.Desc{Name: "numbered", Type: series.Gauge})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := family.Series(s.Source("test"), sample.Label{Name: "n", Value: strconv.AppendInt(nil, int64(i), 10)}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func decompress(t *testing.T, encoding string, r io.Reader) string {
	t.Helper()
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r); err == nil {
			defer d.Close()
		}
		r = d
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandler_ConcurrentScrapesShareOnePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pulls atomic.Int32
		h := expose.New(zoo(t), nil, pullFunc(func(ctx context.Context) error {
			pulls.Add(1)
			time.Sleep(time.Second) // the bubble's clock
			return nil
		}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(h) })
		}
		wg.Wait()
		if n := pulls.Load(); n != 1 {
			t.Errorf("%d pulls for ten scrapes at once", n)
		}
		get(h)
		if n := pulls.Load(); n != 2 {
			t.Errorf("%d pulls after one more scrape, want 2", n)
		}
	})
}

func TestHandler_PullsWithinTheScrapersTimeout(t *testing.T) {
	for head, want := range map[string]time.Duration{
		"": 9500 * time.Millisecond, "5": 4500 * time.Millisecond, "0.4": 200 * time.Millisecond,
		"-1": 9500 * time.Millisecond, "x": 9500 * time.Millisecond, "1e9": 2*time.Minute - 500*time.Millisecond, "NaN": 9500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			h := expose.New(zoo(t), nil, pullFunc(func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			}))
			w := get(h, "X-Prometheus-Scrape-Timeout-Seconds", head)
			if d := time.Since(began); d != want || w.Code != 200 {
				t.Errorf("%q: answered %d after %v, want 200 after %v", head, w.Code, d, want)
			}
		})
	}
}

func TestHandler_AScraperThatGoesAwayDoesNotEndThePullOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := false
		h := expose.New(zoo(t), nil, pullFunc(func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				cut = true
			case <-time.After(2 * time.Second):
			}
			return nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
		synctest.Wait()
		cancel()
		get(h)
		if cut {
			t.Error("the pull was cut short")
		}
	})
}

func TestHandler_AnswersUnavailableWithItsOwnMetricsWhenNothingCouldBePulled(t *testing.T) {
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "adapter_source_up", Help: "Whether."}))
	h := expose.New(zoo(t), own, pullFunc(func(context.Context) error { return errors.New("shop: connection refused") }))
	w := get(h)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "adapter_source_up 0") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestHandler_AnAppsOwnGoMetricsReplaceTheHelpers(t *testing.T) {
	p := newPen(t, series.Limits{})
	p.series(series.Desc{Name: "go_goroutines", Type: series.Gauge, Help: "The app's."}).Set(4711)
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), p.store)
	h := expose.New(p.store, own, nil)
	for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0"} {
		page := get(h, "Accept", accept).Body.String()
		if strings.Count(page, "# TYPE go_goroutines ") != 1 || !strings.Contains(page, "go_goroutines 4711\n") || !strings.Contains(page, "go_threads ") {
			t.Errorf("%s: got\n%s", accept, page)
		}
		if !strings.Contains(page, `adapter_series{source="zoo"} 1`) {
			t.Errorf("%s: no adapter_series", accept)
		}
	}
}

// slow blocks in Write until it is let go.
type slow struct {
	http.ResponseWriter
	began, free chan struct{}
	once        sync.Once
}

func (s *slow) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.began) })
	<-s.free
	return len(p), nil
}

func TestHandler_ASlowScraperBlocksNeitherOthersNorUpdates(t *testing.T) {
	p := newPen(t, series.Limits{})
	h := expose.New(p.store, nil, nil)
	p.series(series.Desc{Name: "x", Type: series.Gauge}).Set(1)
	s := &slow{ResponseWriter: httptest.NewRecorder(), began: make(chan struct{}), free: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { h.ServeHTTP(s, httptest.NewRequest("GET", "/metrics", nil)) })
	<-s.began
	p.series(series.Desc{Name: "x", Type: series.Gauge}, label("a", "new")).Set(2)
	p.src.Clear()
	p.series(series.Desc{Name: "y", Type: series.Gauge}).Set(3)
	if page := get(h).Body.String(); !strings.Contains(page, "y 3\n") {
		t.Errorf("got %s", page)
	}
	close(s.free)
	wg.Wait()
}

// TestWrite_WhileSeriesComeAndGo is for the race detector, and no page may be broken.
func TestWrite_WhileSeriesComeAndGo(t *testing.T) {
	p := newPen(t, series.Limits{PerSource: 50})
	h := expose.New(p.store, nil, nil)
	var wg sync.WaitGroup
	for g := range 3 {
		src := p.store.Source(strings.Repeat("s", g+1))
		wg.Go(func() {
			for i := range 300 {
				d := series.Desc{Name: "n" + string(rune('a'+i%20)), Type: series.Type(i % 5)}
				f, err := p.store.Family(d)
				if err != nil {
					continue
				}
				if x, err := f.Series(src, label("id", string(rune('a'+i%30)))); err == nil {
					x.Set(1)
					x.Add(1)
					x.Observe(1, 1)
				}
				if i%40 == 0 {
					src.Clear()
					p.store.Sweep(time.Now())
				}
			}
		})
	}
	for range 50 {
		for _, f := range []expfmt.Format{expfmt.FmtText, expfmt.FmtProtoDelim} {
			var b bytes.Buffer
			if err := h.Write(&b, f); err != nil {
				t.Fatal(err)
			}
			if f == expfmt.FmtText {
				parseText(t, b.String())
			} else {
				parseProto(t, b.String())
			}
		}
	}
	wg.Wait()
}
