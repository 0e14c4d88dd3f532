//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

// apply applies an example as its README does, waits until its Pods are ready, and deletes them when the test ends.
func apply(t *testing.T, manifest string) {
	t.Helper()
	text, err := os.ReadFile("../pods/" + manifest)
	if err != nil {
		t.Fatal(err)
	}
	pods := podNames(t, text)
	t.Cleanup(func() {
		ctx, now := context.Background(), int64(0)
		for _, name := range pods {
			if t.Failed() {
				t.Log(evidence(ctx, name))
			}
			_ = client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		}
	})
	documented(t, "kubectl apply -f examples/pods/"+manifest)
	for _, name := range pods {
		ready(t, name)
	}
}

// requests that a backend of an example has got, by its control port.
func requests(t *testing.T, podAndPort string) float64 {
	t.Helper()
	text, err := through(t.Context(), "pods", podAndPort, "counts")
	if err != nil {
		t.Fatal(err)
	}
	return counted(t, string(text))
}

// counted reads what a backend's control port has answered.
func counted(t *testing.T, text string) float64 {
	t.Helper()
	var c upstream.Counts
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return float64(c.Requests)
}

// metric asks a helper for one of its metrics, added up over its labels.
func metric(t *testing.T, pod, port, name string) float64 {
	t.Helper()
	families, err := scrape(t.Context(), pod, port)
	if err != nil {
		t.Fatal(err)
	}
	return total(families, name)
}

func TestSidecar_SavesEveryRequestOfAnUnchangedNginx(t *testing.T) {
	t.Parallel()
	apply(t, "sidecar.yaml")
	web := forwarded(t, "kubectl port-forward web 8080")["8080"]
	for i := range 200 {
		page(t, fmt.Sprintf("%s/request-%d-end", web, i))
	}
	var saved string
	eventually(t, 30*time.Second, func() error {
		if saved = documented(t, "kubectl logs web -c logshipper"); !strings.Contains(saved, "request-199-end") {
			return fmt.Errorf("the last request is not saved yet")
		}
		return nil
	})
	for i := range 200 {
		if n := strings.Count(saved, fmt.Sprintf("request-%d-end", i)); n != 1 {
			t.Errorf("request %d is saved %d times", i, n)
		}
	}
	if kept := metric(t, "web", "19101", "logshipper_output_records_total"); kept < 400 {
		t.Errorf("%.0f records for the two outputs", kept)
	}
}

func TestAmbassador_HidesThatEveryTenthRequestFails(t *testing.T) {
	apply(t, "ambassador.yaml")
	eventually(t, 60*time.Second, func() error {
		if n := metric(t, "shop", "19102", "ambassador_requests_total"); n < 200 {
			return fmt.Errorf("%.0f requests", n)
		}
		return nil
	})
	t.Log(documented(t, "kubectl get --raw /api/v1/namespaces/default/pods/shop:19102/proxy/metrics | grep ^ambassador_retries_total"))
	families, err := scrape(t.Context(), "shop", "19102")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range families["ambassador_requests_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "code" && !strings.HasPrefix(l.GetValue(), "2") {
				t.Errorf("the app got %v", m)
			}
		}
	}
}

func TestBroker_EachEnvironmentReachesItsOwnService(t *testing.T) {
	t.Parallel()
	apply(t, "broker.yaml")
	eventually(t, 60*time.Second, func() error {
		if n := metric(t, "broker-staging", "19102", "ambassador_requests_total"); n < 100 {
			return fmt.Errorf("%.0f requests", n)
		}
		return nil
	})
	before := requests(t, "upstream-staging:8444")
	staging := metric(t, "broker-staging", "19102", "ambassador_requests_total")
	after := requests(t, "upstream-staging:8444")
	production := metric(t, "broker-production", "19102", "ambassador_requests_total")
	t.Logf("staging's service has got %.0f to %.0f requests; staging's ambassador sent %.0f, production's %.0f", before, after, staging, production)
	if staging < before-2 || staging > after+2 { // one may be under way
		t.Error("the service of staging has requests of somebody else")
	}
	if production == 0 {
		t.Error("production made no request")
	}
	status := page(t, forwarded(t, "kubectl port-forward broker-staging 19102")["19102"]+"/status.json")
	if !strings.Contains(status, "upstream-staging") {
		t.Errorf("the status page does not say where staging's requests go: %s", status)
	}
}

func TestExperiment_GetsTenPercentAndTheDarkVersionACopyOfAll(t *testing.T) {
	t.Parallel()
	apply(t, "experiment.yaml")
	eventually(t, 60*time.Second, func() error {
		if n := requests(t, "quotes:8444"); n < 1000 {
			return fmt.Errorf("%.0f requests", n)
		}
		return nil
	})
	at := forwarded(t, "kubectl port-forward quotes 8444 8544 8644")
	today, next, dark := counted(t, page(t, at["8444"]+"/counts")), counted(t, page(t, at["8544"]+"/counts")), counted(t, page(t, at["8644"]+"/counts"))
	t.Logf("today's version got %.0f requests, the next one %.0f, the dark one %.0f copies", today, next, dark)
	if share := next / (today + next); share < 0.06 || share > 0.14 {
		t.Errorf("the experiment got %.1f %%", 100*share)
	}
	if dark < 0.95*(today+next) {
		t.Errorf("%.0f copies of %.0f requests", dark, today+next)
	}
}

func TestShardedRedis_SpreadsTheKeysOfAnUnchangedClient(t *testing.T) {
	t.Parallel()
	apply(t, "sharded-redis.yaml")
	eventually(t, 60*time.Second, func() error {
		families, err := scrape(t.Context(), "sharded-redis", "19102")
		if err != nil {
			return err
		}
		shards := families["ambassador_shard_requests_total"].GetMetric()
		for _, m := range shards {
			if m.GetCounter().GetValue() < 1000 {
				return fmt.Errorf("%v", m)
			}
		}
		if len(shards) != 3 {
			return fmt.Errorf("%d shards: %v", len(shards), shards)
		}
		return nil
	})
	t.Log(documented(t, "kubectl get --raw /api/v1/namespaces/default/pods/sharded-redis:19102/proxy/metrics | grep ^ambassador_shard_requests_total"))
}

func TestAdapter_SpeaksForARealRedisAndARealNginx(t *testing.T) {
	t.Parallel()
	apply(t, "redis-nginx.yaml")
	eventually(t, 30*time.Second, func() error {
		for _, name := range []string{"redis_up", "redis_memory_used_bytes", "nginx_up", "nginx_http_requests_total"} {
			if metric(t, "redis-nginx", "19103", name) <= 0 {
				return fmt.Errorf("no %s", name)
			}
		}
		return nil
	})
	t.Log(documented(t, "kubectl get --raw /api/v1/namespaces/default/pods/redis-nginx:19103/proxy/metrics | grep -E '^(redis_connected_clients|nginx_http_requests_total)'"))
}

func TestAdapter_SeesCPUMemoryAndDiskOfTheApp(t *testing.T) {
	t.Parallel()
	apply(t, "adapter.yaml")
	for _, name := range []string{"app_cpu_seconds_total", "app_memory_resident_bytes", "app_volume_used_bytes"} {
		eventually(t, 30*time.Second, func() error {
			if metric(t, "stats", "19103", name) <= 0 {
				return fmt.Errorf("no %s", name)
			}
			return nil
		})
	}
	exposition := page(t, forwarded(t, "kubectl port-forward stats 19103")["19103"]+"/metrics")
	if !strings.Contains(exposition, "\napp_memory_resident_bytes") || !strings.Contains(exposition, "log_linesWritten") && !strings.Contains(exposition, "lines_written") {
		t.Errorf("/metrics lacks the app's numbers:\n%s", exposition)
	}
}

// The kubelet's node says which version of cgroups it has by what the adapter finds; the metrics are the same.
func TestAdapter_ReadsTheContainersCgroupWithTheAppsUid(t *testing.T) {
	t.Parallel()
	start(t, "adapter.yaml", "stats-cgroup", func(pod *corev1.Pod) {
		pod.Spec.InitContainers[0].SecurityContext.RunAsUser = pod.Spec.Containers[0].SecurityContext.RunAsUser
	})
	eventually(t, 30*time.Second, func() error {
		for _, name := range []string{"app_memory_working_set_bytes", "app_open_fds", "app_cpu_seconds_total"} {
			if metric(t, "stats-cgroup", "19103", name) <= 0 {
				return fmt.Errorf("no %s", name)
			}
		}
		return nil
	})
	if limit := metric(t, "stats-cgroup", "19103", "app_memory_limit_bytes"); limit != 64<<20 {
		t.Errorf("the limit is %.0f bytes, and the manifest says 64Mi", limit)
	}
}
