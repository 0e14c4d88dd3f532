package source

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestActuator_GetsEveryMetricThatTheListNames(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := strings.TrimPrefix(r.URL.Path, "/actuator/metrics"); name {
		case "":
			fmt.Fprint(w, `{"names":["b.c","gone","a"]}`)
		case "/gone":
			http.NotFound(w, r)
		default:
			fmt.Fprintf(w, `{"name":%q}`, name[1:])
		}
	}))
	defer s.Close()
	get := func(path string) (string, error) {
		h, err := NewHTTP(HTTPOptions{URL: s.URL + path, Limit: 1000, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		doc, err := Actuator{h}.Fetch(t.Context(), nil)
		return string(doc), err
	}
	if doc, err := get("/actuator/metrics"); err != nil || strings.Join(strings.Fields(doc), " ") != `{"name":"b.c"} {"name":"a"}` {
		t.Errorf("%v %q", err, doc)
	}
	if doc, err := get("/actuator/metrics/a"); err == nil {
		t.Errorf("one metric is taken for the list: %q", doc)
	}
}
