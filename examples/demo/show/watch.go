package show

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
)

// watcher prints what happens and keeps what the verdict needs.
type watcher struct {
	pod  *pod
	out  io.Writer
	last facts

	values, wrong int      // compared between /stats and the scrape
	problems      []string // whatever else went wrong
}

// event is something that the demo does to the Pod at a fraction of the time.
type event struct {
	at   float64
	says string
	do   func(p *pod) error
}

func events() []event {
	rotate := func(p *pod) error { return post(p.app + "/rotate") }
	return []event{
		{0.20, "the app rotates its log", rotate},
		{0.35, "the receiver is switched off", func(p *pod) error { return post(p.sink + "/outage?on=true") }},
		{0.50, "the app rotates its log again, while nobody receives", rotate},
		{0.60, "the receiver is back", func(p *pod) error { return post(p.sink + "/outage?on=false") }},
	}
}

func (p *pod) describe() string {
	return fmt.Sprintf(`
The Pod of examples/pods/all-three.yaml as local processes: three helpers and an app that knows of none of them.
Every tenth request to the backend fails (503 or connection reset); the receiver of the log will have an outage.
What the processes print is in %s/*.out

          sidecar-logshipper              ambassador-proxy                            adapter-metrics
   time   written  received  on its way   calls  backend failed  retried  app errors   series read by Prometheus
`, p.dir)
}

// watch prints a line a second and does the events in between.
func (w *watcher) watch(ctx context.Context, duration time.Duration) error {
	begin, todo := time.Now(), events()
	ticker := time.NewTicker(duration / 20)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		elapsed := time.Since(begin)
		for len(todo) > 0 && elapsed.Seconds() >= todo[0].at*duration.Seconds() {
			fmt.Fprintf(w.out, "%6.1fs  ── %s\n", elapsed.Seconds(), todo[0].says)
			if err := todo[0].do(w.pod); err != nil {
				return err
			}
			todo = todo[1:]
		}
		if err := w.line(elapsed); err != nil {
			return err
		}
		if elapsed >= duration {
			return nil
		}
	}
}

func (w *watcher) line(elapsed time.Duration) error {
	f, err := w.pod.ask()
	if err != nil {
		return err
	}
	families, err := scrape(w.pod.admin["adapter"] + "/metrics")
	if err != nil {
		return err
	}
	series := 0
	for name, family := range families {
		if strings.HasPrefix(name, "shop_") {
			series += len(family.GetMetric())
		}
	}
	calls, failed := f.calls()
	fmt.Fprintf(w.out, "%6.1fs  %8d %9d %11d  %6d %15d %8d %11d  %10d\n", elapsed.Seconds(), f.app.Log.LinesWritten,
		f.sink.Distinct, f.app.Log.LinesWritten-f.sink.Distinct, calls, f.backendFailures(), f.retries(), failed, series)
	w.last = f
	return nil
}

// translation shows the app's own format beside what Prometheus reads, and compares every value. The numbers move, so
// it looks until the app said the same before and after the scrape.
func (w *watcher) translation() {
	for range 500 {
		var before, after app.Stats
		if err := get(w.pod.app+"/stats", &before); err != nil {
			w.problems = append(w.problems, err.Error())
			return
		}
		families, err := scrape(w.pod.admin["adapter"] + "/metrics")
		if err == nil {
			err = get(w.pod.app+"/stats", &after)
		}
		if err != nil {
			w.problems = append(w.problems, err.Error())
			return
		}
		before.UptimeMS, after.UptimeMS = 0, 0
		if fmt.Sprint(before) != fmt.Sprint(after) {
			continue
		}
		fmt.Fprintf(w.out, "\n   %-28s %-12s   %s\n", "the app says at /stats", "", "Prometheus reads")
		for _, pair := range pairs(after) {
			got, found := value(families, pair.metric, pair.labels...)
			w.values++
			mark := ""
			if !found || math.Abs(got-pair.want) > 1e-9*max(1, math.Abs(pair.want)) {
				w.wrong++
				mark = fmt.Sprintf("   ← expected %v", pair.want)
			}
			series := pair.metric
			if len(pair.labels) == 2 {
				series += fmt.Sprintf("{%s=%q}", pair.labels[0], pair.labels[1])
			}
			fmt.Fprintf(w.out, "   %-28s %-12v   %-52s %v%s\n", pair.path, pair.raw, series, got, mark)
		}
		return
	}
	w.problems = append(w.problems, "the app's numbers never stood still for the length of a scrape")
}

// pair is one value in the app's format and in Prometheus'.
type pair struct {
	path   string
	raw    any
	metric string
	labels []string
	want   float64
}

func pairs(s app.Stats) []pair {
	list := []pair{
		{"log.linesWritten", s.Log.LinesWritten, "shop_log_lines_total", nil, float64(s.Log.LinesWritten)},
		{"log.rotations", s.Log.Rotations, "shop_log_rotations_total", nil, float64(s.Log.Rotations)},
		{"pool.state", s.Pool.State, "shop_pool_up", nil, 1},
		{"pool.used", s.Pool.Used, "shop_pool_used", nil, float64(s.Pool.Used)},
	}
	for _, name := range []string{"price", "quote", "stock"} {
		r, labels := s.Backend[name], []string{"route", name}
		list = append(list,
			pair{"backend." + name + ".calls", r.Calls, "shop_backend_calls_total", labels, float64(r.Calls)},
			pair{"backend." + name + ".avgMs", fmt.Sprintf("%.4f", r.AvgMS), "shop_backend_duration_seconds", labels, r.AvgMS / 1000})
	}
	return list
}

func (p *pod) urls() string {
	return fmt.Sprintf(`
Staying up. Ctrl-C stops the Pod and prints the verdict.
   app          %s/stats
   logshipper   %s/
   ambassador   %s/      the backend, as the app sees it: http://%s/quote
   adapter      %s/      %[5]s/metrics
   receiver     %s/counts
   backend      %s/counts
`, p.app, p.admin["logshipper"], p.admin["ambassador"], p.addresses["127.0.0.1:8081"], p.admin["adapter"], p.sink, p.backend)
}
