package main

import (
	"expvar"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// uwsgi starts a real uWSGI with one app and its stats server.
func uwsgi(t *testing.T) (app, stats string) {
	kittest.NeedReal(t, "uwsgi")
	app, stats = kittest.FreeAddress(t), kittest.FreeAddress(t)
	file := filepath.Join(t.TempDir(), "app.py")
	write(t, file, "def application(env, start):\n    start('200 OK', [])\n    return [b'x']\n")
	server(t, "tcp", stats, "uwsgi", "--plugin", "http,python3", "--http-socket", app, "--master", "--workers", "1", "--stats", stats,
		"--memory-report", "--wsgi-file", file, "--die-on-term", "--cache2", "name=c,items=10")
	return app, stats
}

func TestRealUWSGI_StatsServerIsNamedAsItsExporterDoes(t *testing.T) {
	app, stats := uwsgi(t)
	admin, _ := adapter(t, "--source", "uwsgi+tcp://"+stats)
	shows(t, admin, `uwsgi_worker_accepting{worker_id="1"} 1`)
	kittest.Get("http://" + app + "/")
	shows(t, admin, `uwsgi_worker_requests_total{worker_id="1"} 1`)
	mustHave(t, scrape(t, admin), "uwsgi_up 1", "uwsgi_listen_queue_length 0", `uwsgi_worker_rss_bytes{worker_id="1"}`, `uwsgi_worker_idle{worker_id="1"} 1`,
		`uwsgi_worker_app_requests_total{app_id="0",worker_id="1"} 1`, `uwsgi_socket_max_queue_length{name="`+app+`",proto="http"}`, `uwsgi_cache_misses{name="c"} 0`)
}

// puma starts a real Puma and returns where its control app tells its state.
func puma(t *testing.T, workers string) (stats string) {
	kittest.NeedReal(t, "puma")
	app, control := kittest.FreeAddress(t), kittest.FreeAddress(t)
	file := filepath.Join(t.TempDir(), "config.ru")
	write(t, file, "run lambda { |env| [200, {}, ['x']] }\n")
	server(t, "tcp", app, "puma", "-w", workers, "-t", "1:4", "-b", "tcp://"+app, "--control-url", "tcp://"+control, "--control-token", "TOKEN", file)
	return "http://" + control + "/stats?token=TOKEN"
}

func TestRealPuma_ControlAppIsNamedAsItsPluginDoes(t *testing.T) {
	for _, workers := range []string{"0", "2"} {
		admin, _ := adapter(t, "--source", "puma+"+puma(t, workers))
		shows(t, admin, `puma_max_threads{index="0"} 4`)
		mustHave(t, scrape(t, admin), "puma_up 1", `puma_backlog{index="0"}`, `puma_pool_capacity{index="0"}`, `puma_requests_count{index="0"} 0`)
		if workers == "2" {
			shows(t, admin, `puma_max_threads{index="1"} 4`)
			mustHave(t, scrape(t, admin), "puma_workers 2", "puma_booted_workers 2", "puma_old_workers 0")
		}
	}
}

func TestRealGunicorn_StatsDLinesAreMapped(t *testing.T) {
	kittest.NeedReal(t, "gunicorn")
	dir, app, port := t.TempDir(), kittest.FreeAddress(t), kittest.FreePort(t)
	write(t, filepath.Join(dir, "shop.py"), "def application(env, start):\n    start('404 Not Found', [])\n    return [b'x']\n")
	admin, _ := adapter(t, "--source", "gunicorn+statsd://127.0.0.1:"+port)
	server(t, "tcp", app, "gunicorn", "-w", "2", "--graceful-timeout", "1", "-b", app, "--chdir", dir, "--statsd-host", "127.0.0.1:"+port, "--statsd-prefix", "shop", "shop:application")
	kittest.Get("http://" + app + "/")
	shows(t, admin, `gunicorn_responses_total{status="404"} 1`)
	shows(t, admin, "gunicorn_workers 2")
	mustHave(t, scrape(t, admin), "gunicorn_requests_total 1", "gunicorn_request_duration_seconds_count 1", `adapter_unmatched_total{source="gunicorn"} 0`)
}

// jolokiaAgent serves a JVM's own MBeans through Jolokia's core, which Debian has; the agent around it is this.
const jolokiaAgent = `import com.sun.net.httpserver.*;
import java.net.*;
import java.util.*;
import org.jolokia.backend.BackendManager;
import org.jolokia.config.*;
import org.jolokia.http.HttpRequestHandler;
import org.jolokia.restrictor.*;
import org.jolokia.util.*;
public class Agent {
  public static void main(String[] args) throws Exception {
    Configuration config = new Configuration(ConfigKey.AGENT_ID, "test");
    LogHandler log = new LogHandler() { public void debug(String m) {} public void info(String m) {} public void error(String m, Throwable t) {} };
    HttpRequestHandler handler = new HttpRequestHandler(config, new BackendManager(config, log, new AllowAllRestrictor(), true), log);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
    server.createContext("/jolokia", x -> {
      String path = x.getRequestURI().getPath().substring("/jolokia".length()), out;
      try { out = handler.handleGetRequest(path, path, new HashMap<String, String[]>()).toString(); }
      catch (Throwable t) { out = handler.handleThrowable(t).toString(); }
      byte[] body = out.getBytes("UTF-8");
      x.sendResponseHeaders(200, body.length);
      x.getResponseBody().write(body);
      x.close();
    });
    server.start();
  }
}
`

// jvm starts a JVM that Jolokia tells about.
func jvm(t *testing.T) (base string) {
	const jar = "/usr/share/java/jolokia-core.jar"
	kittest.NeedReal(t, "java", "javac")
	if _, err := os.Stat(jar); err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	port, file := kittest.FreePort(t), filepath.Join(t.TempDir(), "Agent.java")
	write(t, file, jolokiaAgent)
	server(t, "tcp", "127.0.0.1:"+port, "java", "-cp", jar+":/usr/share/java/json-simple.jar", file, port)
	return "http://127.0.0.1:" + port + "/jolokia/read/"
}

func TestRealJolokia_AJVMIsNamedAsClientJavaDoes(t *testing.T) {
	base := jvm(t)
	admin, _ := adapter(t, "--source", "jolokia+"+base+"java.*:*")
	mustHave(t, scrape(t, admin), `jvm_memory_used_bytes{area="heap"}`, `jvm_memory_pool_used_bytes{pool="Metaspace"}`, "jvm_threads_current", "jvm_classes_currently_loaded",
		`jvm_buffer_pool_used_bytes{pool="direct"}`, `jvm_runtime_info{runtime="OpenJDK`, "process_cpu_seconds_total", `jvm_gc_collection_seconds_count{gc="`)

	wrong, _ := adapter(t, "--source", "jolokia+"+base+"nobody:type=X")
	mustHave(t, scrape(t, wrong), `adapter_source_up{source="jolokia"} 0`, `adapter_source_errors_total{reason="document",source="jolokia"} 1`)
}

func TestExpvar_OfAGoProgramIsNamedAsClientGolangDoes(t *testing.T) {
	orders := expvar.NewInt("test_orders_total")
	orders.Add(3)
	app := httptest.NewServer(http.HandlerFunc(expvar.Handler().ServeHTTP))
	defer app.Close()
	admin, _ := adapter(t, "--source", "expvar+"+app.URL+"/debug/vars")
	mustHave(t, scrape(t, admin), "go_memstats_heap_alloc_bytes", "go_memstats_mallocs_total", "go_gc_duration_seconds_count", "app_test_orders_total 3")
}

// uWSGI is a client too: it pushes its own metrics by carbon's plaintext protocol and by StatsD.
func TestRealUWSGI_PushesByCarbonAndStatsD(t *testing.T) {
	kittest.NeedReal(t, "uwsgi")
	dir, app, carbon, statsd := t.TempDir(), kittest.FreeAddress(t), kittest.FreePort(t), kittest.FreePort(t)
	file := filepath.Join(dir, "app.py")
	write(t, file, "def application(env, start):\n    start('200 OK', [])\n    return [b'x']\n")
	admin, _, _ := configured(t, "sources:\n- statsd: {listen: ['udp://127.0.0.1:"+statsd+"']}\n"+
		"- graphite: {listen: ['tcp://127.0.0.1:"+carbon+"']}\n  rules: [{match: 'uwsgi.*.shop.requests', name: shop_requests_total}, {match: '**', drop: true}]\n")
	server(t, "tcp", app, "uwsgi", "--plugin", "http,python3,carbon,stats_pusher_statsd", "--http-socket", app, "--master", "--workers", "1", "--wsgi-file", file, "--die-on-term",
		"--enable-metrics", "--carbon", "127.0.0.1:"+carbon, "--carbon-id", "shop", "--carbon-freq", "1", "--carbon-no-workers",
		"--stats-push", "statsd:127.0.0.1:"+statsd, "--stats-pusher-default-freq", "1")
	kittest.Get("http://" + app + "/")
	shows(t, admin, "uwsgi_core_idle_workers 1")
	shows(t, admin, "uwsgi_worker_1_requests_total")
	shows(t, admin, "shop_requests_total 1")
	mustHave(t, scrape(t, admin), `!adapter_parse_errors_total`)
}
