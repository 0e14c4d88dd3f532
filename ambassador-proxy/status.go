package main

import (
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
)

// Status are the facts of the status page: listener → upstream → endpoint with its health.
func (s *service) Status() admin.Status {
	listeners := admin.Section{Title: "Listeners", Columns: []string{"listener", "protocol", "connections", "requests in flight"}}
	for _, f := range s.fronts() {
		connections, requests, _ := f.busy()
		listeners.Rows = append(listeners.Rows, admin.Row{State: "ok", Cells: []string{f.address, f.settings().Protocol, fmt.Sprint(connections), fmt.Sprint(requests)}})
	}
	upstreams := admin.Section{Title: "Upstreams", Columns: []string{"upstream", "healthy", "out", "p50", "p99", "waiting", "retry tokens", "name lookup"}}
	endpoints := admin.Section{Title: "Endpoints", Columns: []string{"upstream", "endpoint", "state", "latency", "in flight", "connections"}}
	status := admin.Status{Health: "ok"}
	now := time.Now()
	for _, u := range s.all() {
		f := u.Facts(now)
		well, all := f.States[health.Healthy], len(u.Endpoints())
		row := admin.Row{State: "ok"}
		lookup := "ok"
		switch {
		case f.DNSError != nil:
			lookup, row.State = f.DNSError.Error(), "warn"
		case !f.Known:
			lookup, row.State = "under way", "warn"
		}
		if well < all {
			row.State = "warn"
		}
		if well == 0 || f.Panic {
			row.State = "bad"
		}
		if row.State != "ok" {
			status.Health = worse(status.Health, row.State)
		}
		row.Cells = []string{u.Name(), fmt.Sprintf("%d of %d", well, all), fmt.Sprint(all - well), short(f.P50), short(f.P99), fmt.Sprint(f.Waiting), fmt.Sprintf("%.1f", f.Tokens), lookup}
		upstreams.Rows = append(upstreams.Rows, row)
		for _, e := range u.Endpoints() {
			state := "ok"
			if e.State() != health.Healthy {
				state = "bad"
			}
			endpoints.Rows = append(endpoints.Rows, admin.Row{State: state, Cells: []string{u.Name(), e.Address(), e.State().String(), short(e.Load().Latency(now)), fmt.Sprint(e.Load().InFlight()), fmt.Sprint(e.Connections())}})
		}
	}
	status.Headline = admin.Count(len(listeners.Rows), "listener") + ", " + admin.Count(len(upstreams.Rows), "upstream") + ", " + admin.Count(len(endpoints.Rows), "endpoint")
	status.Sections = []admin.Section{listeners, upstreams, endpoints}
	return status
}

func worse(a, b string) string {
	if a == "bad" || b == "bad" {
		return "bad"
	}
	return "warn"
}

func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Microsecond).String()
}
