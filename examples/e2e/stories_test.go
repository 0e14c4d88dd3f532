//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

// apply creates an example as it stands, waits until its Pods are ready, and deletes them when the test ends.
func apply(t *testing.T, manifest string) {
	t.Helper()
	text, err := os.ReadFile("../pods/" + manifest)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := create(t.Context(), text, nil)
	t.Cleanup(func() {
		ctx, now := context.Background(), int64(0)
		for _, name := range pods {
			if t.Failed() {
				t.Log(evidence(ctx, name))
			}
			_ = client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
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
	var c upstream.Counts
	if err := json.Unmarshal(text, &c); err != nil {
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

func TestBroker_EachEnvironmentReachesItsOwnService(t *testing.T) {
	t.Parallel()
	apply(t, "broker.yaml")
	eventually(t, 30*time.Second, func() error {
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
	today, next, dark := requests(t, "quotes:8444"), requests(t, "quotes:8544"), requests(t, "quotes:8644")
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
		t.Log(shards)
		return nil
	})
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
}

func TestAdapter_SeesCPUMemoryAndDiskOfTheApp(t *testing.T) {
	t.Parallel()
	start(t, "adapter.yaml", "stats", nil)
	eventually(t, 30*time.Second, func() error {
		for _, name := range []string{"app_cpu_seconds_total", "app_memory_resident_bytes", "app_volume_used_bytes"} {
			if metric(t, "stats", "19103", name) <= 0 {
				return fmt.Errorf("no %s", name)
			}
		}
		return nil
	})
}

// steady fails the test when a helper was restarted, and says what memory it has and may have.
func steady(t *testing.T, pod, port string) {
	t.Helper()
	p, err := client.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Status.InitContainerStatuses {
		if c.RestartCount != 0 {
			t.Errorf("%s was restarted: %+v", c.Name, c.LastTerminationState.Terminated)
		}
	}
	t.Logf("resident memory %.1f MiB of %s", metric(t, pod, port, "process_resident_memory_bytes")/(1<<20), p.Spec.InitContainers[0].Resources.Limits.Memory())
}

// counted waits until a counter has risen by total and logs at which rate that was. The load asks for its rate; what a busy
// machine gives is no claim of the helper.
func counted(t *testing.T, pod, port, name string, total float64) {
	t.Helper()
	first, begin := metric(t, pod, port, name), time.Now()
	eventually(t, 60*time.Second, func() error {
		if now := metric(t, pod, port, name); now-first < total {
			return fmt.Errorf("%s has risen by %.0f", name, now-first)
		}
		return nil
	})
	t.Logf("%s: %.0f a second", name, total/time.Since(begin).Seconds())
}

func TestAmbassador_StaysBelowItsMemoryLimitAtAThousandRequestsASecond(t *testing.T) {
	start(t, "ambassador.yaml", "load-requests", func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Args = []string{"app", "--listen=", "--log-dir=", "--calls=1400", "--callers=32", "--backend=http://127.0.0.1:8081"}
	})
	counted(t, "load-requests", "19102", "ambassador_requests_total", 10_000)
	steady(t, "load-requests", "19102")
}

func TestAdapter_StaysBelowItsMemoryLimitAtTwentyThousandStatsDLinesASecond(t *testing.T) {
	start(t, "adapter.yaml", "load-statsd", func(pod *corev1.Pod) {
		pod.Spec.InitContainers[0].Args = []string{"--source=statsd://127.0.0.1:8125"}
		pod.Spec.Containers[0].Args = []string{"app", "--listen=", "--log-dir=", "--statsd=127.0.0.1:8125", "--statsd-rate=22000"}
	})
	counted(t, "load-statsd", "19103", "adapter_statsd_lines_total", 200_000)
	t.Logf("%.0f lines dropped by the kernel", metric(t, "load-statsd", "19103", "adapter_statsd_kernel_drops_total"))
	steady(t, "load-statsd", "19103")
}
