package preset_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, nil)
}

// page is what a recorded document, or recorded lines, become under a preset.
func page(t *testing.T, name string) string {
	t.Helper()
	p, err := preset.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.New(p.Rules, "")
	if err != nil {
		t.Fatal(err)
	}
	store := series.New(series.Options{Refused: func(err error) { t.Errorf("%s: %v", name, err) }})
	src := store.Source(name)
	if p.Format == "" {
		decode.NewStatsD(store, src, set.Mapper()).Decode(doc)
	} else {
		feed := set.Feed(store, src)
		feed.Begin()
		if err := decode.Format(p.Format)(doc, feed); err != nil {
			t.Fatal(err)
		}
		feed.Commit()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(store)
	if n, _ := testutil.GatherAndCount(registry, "adapter_parse_errors_total"); n > 0 {
		t.Errorf("%s: there are values that could not be used", name)
	}
	var b bytes.Buffer
	if err := expose.New(store, nil, nil).Write(&b, expfmt.FmtText); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What each recorded document becomes stands beside it.
func TestPresets_MakeThePageThatStandsBesideTheRecordedDocument(t *testing.T) {
	for _, name := range preset.Names() {
		if name != "apache" && name != "haproxy" { // of which the real servers speak, in make test-real
			kittest.Golden(t, name+".prom", page(t, name))
		}
	}
}

func TestPresets_LoadCompileAndNameAKnownFormat(t *testing.T) {
	for _, name := range preset.Names() {
		p, err := preset.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rules.New(p.Rules, ""); err != nil || p.Format != "" && decode.Format(p.Format) == nil || p.Format == "" && !strings.HasPrefix(p.URL, "statsd:") || p.About == "" || p.URL == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShow_NamesTheNearestPreset(t *testing.T) {
	if _, err := preset.Show("redi"); err == nil || !strings.Contains(err.Error(), "did you mean redis?") {
		t.Error(err)
	}
}

// The exporters' names are kept even where the linter would have others.
func TestPresets_PromlintFindsOnlyWhatTheExportersNamesBring(t *testing.T) {
	known := regexp.MustCompile(`_duration_sec|jvm_gc_collection_seconds_count|(jvm_gc_pause|http_server_requests)_seconds_count|go_gc_duration_seconds_count|system_cpu_count|puma_requests_count|envoy_\w+_total`)
	for _, name := range preset.Names() {
		if name == "apache" || name == "haproxy" {
			continue
		}
		problems, err := promlint.New(strings.NewReader(page(t, name))).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if !known.MatchString(p.Metric) {
				t.Errorf("%s: %s %s", name, p.Metric, p.Text)
			}
		}
	}
}

// client_golang itself says how it names and types what expvar's memstats hold.
func TestExpvar_NamesAndTypesAreClientGolangs(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	n := 0
	for line := range strings.Lines(page(t, "expvar")) {
		words := strings.Fields(line)
		if words[1] == "TYPE" && strings.HasPrefix(words[2], "go_memstats_") && words[2] != "go_memstats_gc_cpu_fraction" {
			if n++; types[words[2]] != words[3] {
				t.Errorf("%s is a %s, client_golang has %q", words[2], words[3], types[words[2]])
			}
		}
	}
	if n < 20 {
		t.Errorf("%d metrics", n)
	}
}

// What the exporters document: name, type and a series with its labels. OpenMetrics has no counter without _total, so
// the exporters' counters of such names are untyped here.
func TestPresets_NameTypeAndLabelAsTheExportersDo(t *testing.T) {
	for name, want := range map[string][]string{
		"redis": {
			"redis_up gauge", "redis_uptime_in_seconds gauge", "redis_connected_clients gauge", "redis_blocked_clients gauge", "redis_memory_used_bytes gauge",
			"redis_memory_used_rss_bytes gauge", "redis_memory_max_bytes gauge", "redis_mem_fragmentation_ratio gauge", "redis_rdb_last_save_timestamp_seconds gauge",
			"redis_rdb_last_bgsave_status gauge", "redis_connected_slaves gauge", "redis_master_repl_offset gauge", "redis_replication_backlog_bytes gauge",
			"redis_connections_received_total counter", "redis_commands_processed_total counter", "redis_rejected_connections_total counter", "redis_net_input_bytes_total counter",
			"redis_net_output_bytes_total counter", "redis_expired_keys_total counter", "redis_evicted_keys_total counter", "redis_keyspace_hits_total counter",
			"redis_keyspace_misses_total counter", "redis_cpu_sys_seconds_total counter", "redis_cpu_user_seconds_total counter",
			`redis_commands_total counter {cmd="get"}`, `redis_commands_duration_seconds_total counter {cmd="get"}`, `redis_db_keys gauge {db="db0"}`,
			`redis_db_keys_expiring gauge {db="db0"}`, `redis_db_avg_ttl_seconds gauge {db="db0"}`,
			`redis_connected_slave_lag_seconds gauge {slave_ip="10.1.2.3",slave_port="6379",slave_state="online"}`,
			`redis_connected_slave_offset_bytes gauge {slave_ip="10.1.2.3",slave_port="6379",slave_state="online"}`,
		},
		"memcached": {
			"memcached_up gauge", "memcached_uptime_seconds untyped", "memcached_time_seconds gauge", `memcached_version gauge {version="1.6.18"}`, "memcached_current_bytes gauge",
			"memcached_limit_bytes gauge", "memcached_current_connections gauge", "memcached_connections_total counter", "memcached_max_connections gauge",
			`memcached_commands_total counter {command="get",status="hit"}`, `memcached_commands_total counter {command="set",status="hit"}`,
			`memcached_commands_total counter {command="cas",status="badval"}`, `memcached_commands_total counter {command="flush",status="hit"}`,
			"memcached_current_items gauge", "memcached_items_total counter", "memcached_items_evicted_total counter", "memcached_items_reclaimed_total counter",
			"memcached_read_bytes_total counter", "memcached_written_bytes_total counter", "memcached_malloced_bytes gauge", "memcached_process_user_cpu_seconds_total counter",
			`memcached_slab_current_items gauge {slab="1"}`, `memcached_slab_items_evicted_total counter {slab="1"}`, `memcached_slab_chunk_size_bytes gauge {slab="1"}`,
			`memcached_slab_items_moves_to_cold untyped {slab="1"}`, "memcached_lru_crawler_enabled gauge", "memcached_lru_crawler_starts_total counter",
		},
		"nginx": {
			"nginx_up gauge", "nginx_connections_active gauge", "nginx_connections_accepted untyped", "nginx_connections_handled untyped",
			"nginx_connections_reading gauge", "nginx_connections_writing gauge", "nginx_connections_waiting gauge", "nginx_http_requests_total counter",
		},
	} {
		got := page(t, name)
		for _, row := range want {
			metric, rest, _ := strings.Cut(row, " ")
			typ, labels, _ := strings.Cut(rest, " ")
			if !strings.Contains(got, "# TYPE "+metric+" "+typ+"\n") || !strings.Contains(got, "\n"+metric+labels+" ") {
				t.Errorf("%s lacks %s\n", name, row)
			}
		}
	}
}
