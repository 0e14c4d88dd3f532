package suggest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"go.yaml.in/yaml/v4"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/suggest"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, nil)
}

// TestSuggest_RulesPassCheckAndPromlintUnedited runs documents of thirteen servers through the rules that were made of them.
func TestSuggest_RulesPassCheckAndPromlintUnedited(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.json")
	if len(files) != 13 {
		t.Fatalf("%d documents", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			list, err := suggest.JSON(doc, "app")
			if err != nil {
				t.Fatal(err)
			}
			problems := &conf.Problems{}
			for i := range list {
				list[i].Validate("rule", problems)
			}
			if err := problems.Err(); err != nil {
				t.Error(err)
			}
			store := series.New(series.Options{Refused: func(err error) { t.Error(err) }})
			src := store.Source("s")
			set, err := rules.New(list, "app")
			if err != nil {
				t.Fatal(err)
			}
			feed := set.Feed(store, src)
			feed.Begin()
			if err := decode.JSON(doc, feed); err != nil {
				t.Fatal(err)
			}
			feed.Commit()
			if n := src.Unmatched.Load(); n != 0 {
				t.Errorf("%d numbers have no rule", n)
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(store)
			own, _ := registry.Gather()
			for _, f := range own {
				if f.GetName() == "adapter_parse_errors_total" {
					t.Error(f)
				}
			}
			var page bytes.Buffer
			if err := expose.New(store, nil, nil).Write(&page, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
				t.Fatal(err)
			}
			found, err := promlint.New(strings.NewReader(page.String())).Lint()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range found {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
			text, err := yaml.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			kittest.Golden(t, strings.TrimSuffix(filepath.Base(file), ".json")+".yaml", string(text))
		})
	}
}

func FuzzSuggest(f *testing.F) {
	f.Add([]byte(`{"a":{"b-1":{"x":1,"y_ms":2},"b-2":{"x":1,"y_ms":2}},"":[1,{"{":2}],"*":3,"..":4}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := suggest.JSON(doc, "app")
		if err != nil {
			return
		}
		problems := &conf.Problems{}
		for i := range list {
			list[i].Validate("rule", problems)
		}
		if err := problems.Err(); err != nil {
			t.Error(err)
		}
	})
}

// What the documents of more servers than those above have taught.
func TestSuggest_NamesWhatOtherDocumentsHoldWithoutAClash(t *testing.T) {
	for _, c := range []struct{ claim, doc, want string }{
		{"a counter and a gauge whose families would be one", `{"cache":{"total_count":1,"cache_count":2}}`, "cache.total_count→app_cache_total cache.cache_count→app_cache_2"},
		{"units that are spelled out", `{"read_kilobytes":1}`, "read_kilobytes→app_read_bytes"},
		{"the only key is an id", `{"nodes":{"bYOdayETbrsrgZYMinKaIpmhCQ":{"load":1}}}`, "nodes.{node}.load→app_nodes_load"},
		{"a long name in camel case is none", `{"collectionUsageThresholdExceeded":true}`, "collectionUsageThresholdExceeded→app_collection_usage_threshold_exceeded"},
		{"a value here and an object there", `{"q":[{"a":1,"n":1},{"a":{"x":2},"n":1}]}`, "q.{q}.a→app_q_a q.{q}.a.x→app_q_a_x q.{q}.n→app_q_n"},
		{"a text here and a number there", `{"q":[{"a":"","n":1},{"a":2,"n":1}]}`, "q.{q}.a→app_q_a q.{q}.n→app_q_n"},
	} {
		list, err := suggest.JSON([]byte(c.doc), "app")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append(got, r.Match+"→"+r.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.claim, strings.Join(got, " "), c.want)
		}
	}
}
