package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Status are the facts of the status page: listener → route → upstream → endpoint with its health.
func (s *service) Status() admin.Status {
	listeners := admin.Section{Title: "Listeners", Columns: []string{"listener", "protocol", "leads to", "connections", "requests in flight"}}
	for _, f := range s.fronts() {
		connections, requests, _ := f.busy()
		l := f.settings()
		listeners.Rows = append(listeners.Rows, admin.Row{State: "ok", Cells: []string{f.address, l.Protocol, ways(&l), fmt.Sprint(connections), fmt.Sprint(requests)}})
	}
	upstreams := admin.Section{Title: "Upstreams", Columns: []string{"upstream", "healthy", "out", "tries/s", "failed in 10 s", "p50", "p99", "waiting", "retries", "retry tokens", "name lookup"}}
	endpoints := admin.Section{Title: "Endpoints", Columns: []string{"upstream", "endpoint", "state", "tries/s", "failed in 10 s", "latency", "in flight", "connections"}}
	status := admin.Status{Health: "ok"}
	now := time.Now()
	for _, u := range s.all() {
		row := upstreamRow(u, now)
		status.Health = worse(status.Health, row.State)
		upstreams.Rows = append(upstreams.Rows, row)
		for _, e := range u.Endpoints() {
			endpoints.Rows = append(endpoints.Rows, endpointRow(u, e, now))
		}
	}
	status.Headline = admin.Count(len(listeners.Rows), "listener") + ", " + admin.Count(len(upstreams.Rows), "upstream") + ", " + admin.Count(len(endpoints.Rows), "endpoint")
	status.Sections = []admin.Section{listeners, upstreams, endpoints}
	return status
}

func upstreamRow(u *upstream.Upstream, now time.Time) admin.Row {
	f := u.Facts(now)
	well, all := f.States[health.Healthy], len(u.Endpoints())
	state, lookup := trouble(f.Good, f.Bad), "ok" // the last endpoint is never ejected, however it fails
	switch {
	case f.DNSError != nil:
		lookup, state = f.DNSError.Error(), worse(state, "warn")
	case !f.Known:
		lookup, state = "under way", worse(state, "warn")
	}
	if well < all {
		state = worse(state, "warn")
	}
	if well == 0 || f.Panic {
		state = "bad"
	}
	return admin.Row{State: state, Cells: []string{u.Name(), fmt.Sprintf("%d of %d", well, all), fmt.Sprint(all - well), perSecond(f.Good + f.Bad), fmt.Sprint(f.Bad),
		short(f.P50), short(f.P99), fmt.Sprint(f.Waiting), fmt.Sprint(f.Retries), fmt.Sprintf("%.1f", f.Tokens), lookup}}
}

func endpointRow(u *upstream.Upstream, e *upstream.Endpoint, now time.Time) admin.Row {
	good, bad := e.Recent(now)
	state := trouble(good, bad)
	if e.State() != health.Healthy {
		state = "bad"
	}
	return admin.Row{State: state, Cells: []string{u.Name(), e.Address(), e.State().String(), perSecond(good + bad), fmt.Sprint(bad),
		short(e.Load().Latency(now)), fmt.Sprint(e.Load().InFlight()), fmt.Sprint(e.Connections())}}
}

// ways are the routes of a listener in short.
func ways(l *config.Listener) string {
	switch {
	case l.To != "":
		return l.To
	case l.Protocol == "forward":
		return strings.Join(l.Allow, ", ")
	}
	all := make([]string, len(l.Routes))
	for i, r := range l.Routes {
		m := r.Match
		when := slices.Concat(m.Methods, []string{m.Host + m.Path}, slices.Sorted(maps.Keys(m.Header)))
		all[i] = strings.Join(append(slices.DeleteFunc(when, func(s string) bool { return s == "" }), "→", strings.Join(slices.Sorted(maps.Keys(r.To)), " | ")), " ")
	}
	return strings.Join(all, ", ")
}

// trouble is the state of what has had these results.
func trouble(good, bad int) string {
	switch {
	case bad > 0 && good == 0:
		return "bad"
	case bad > good/4: // as an endpoint is ejected by its success rate
		return "warn"
	}
	return "ok"
}

func worse(a, b string) string {
	for _, state := range []string{"bad", "warn"} {
		if a == state || b == state {
			return state
		}
	}
	return "ok"
}

func perSecond(in10 int) string { return fmt.Sprintf("%.1f", float64(in10)/10) }

func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Microsecond).String()
}
