package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// cell of the row that begins with key, in the column of a section.
func cell(t *testing.T, s admin.Status, section, column, key string) (text, state string) {
	t.Helper()
	for _, part := range s.Sections {
		i := slices.Index(part.Columns, column)
		for _, row := range part.Rows {
			if part.Title == section && i >= 0 && row.Cells[0] == key {
				return row.Cells[i], row.State
			}
		}
	}
	t.Fatalf("no %s of %s among the %s", column, key, section)
	return "", ""
}

func TestStatus_ShowsRoutesRatesAndWhatFails(t *testing.T) {
	well, _ := counting(t)
	address := kittest.FreeAddress(t)
	admins := configured(t, fmt.Sprintf(`
listeners: [{address: %q, routes: [{match: {path: /dead/, methods: [GET]}, to: dead}, {to: {well: 1, spare: 0}}]}]
upstreams: {well: {url: %q}, spare: {url: %[2]q}, dead: {url: "http://127.0.0.1:1"}}
`, address, well))
	for range 4 {
		do(t, client(t, false), "GET", "http://"+address+"/", "")
		do(t, client(t, false), "GET", "http://"+address+"/dead/", "")
	}
	var s admin.Status
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, text := kittest.Get("http://" + admins + "/status.json")
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		got, _ := cell(t, s, "Upstreams", "tries/s", "well")
		return got == "0.4"
	}, "four tries in ten seconds")
	if got, _ := cell(t, s, "Listeners", "leads to", address); got != "GET /dead/ → dead, → spare | well" {
		t.Errorf("routes: %q", got)
	}
	if _, state := cell(t, s, "Upstreams", "tries/s", "well"); state != "ok" {
		t.Errorf("well is %s", state)
	}
	if got, state := cell(t, s, "Upstreams", "failed in 10 s", "dead"); got == "0" || state != "bad" || s.Health != "bad" {
		t.Errorf("an upstream that answers nothing: %s failed, %s, the page %s", got, state, s.Health)
	}
	if got, _ := cell(t, s, "Upstreams", "retries", "dead"); got == "0" {
		t.Error("no retries are shown")
	}
	if _, state := cell(t, s, "Endpoints", "failed in 10 s", "dead"); state != "bad" {
		t.Errorf("its endpoint is %s", state)
	}
}
