//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The loads of these tests are asked for; what a busy machine gives of them is logged and no claim. That the helper stays
// below its memory limit, is never restarted and loses nothing is the claim.

func TestLogshipper_StaysBelowItsMemoryLimitAtTenMegabytesASecondThroughRotations(t *testing.T) {
	start(t, "all-three.yaml", "load-logs", func(pod *corev1.Pod) {
		onlyLogs("--rate=10000", "--pad=880", "--rotate-bytes=8388608")(pod)
		grace := int64(130) // where the receiver cannot keep pace, much is left when the app ends
		pod.Spec.TerminationGracePeriodSeconds = &grace
		pod.Spec.InitContainers[0].Args = append(pod.Spec.InitContainers[0].Args, "--drain-timeout=100s")
	})
	carry(t, "load-logs", "logshipper", "19101", "logshipper_output_records_total", 120_000)
	t.Logf("%.0f rotations", metric(t, "load-logs", "19101", "logshipper_rotations_total"))
	remove(t, "load-logs")
	arrived(t, "load-logs", "farewell")
}

func TestAmbassador_StaysBelowItsMemoryLimitAtAThousandRequestsASecond(t *testing.T) {
	start(t, "ambassador.yaml", "load-requests", func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Args = []string{"app", "--listen=", "--log-dir=", "--calls=1600", "--callers=48", "--backend=http://127.0.0.1:8081"}
	})
	carry(t, "load-requests", "ambassador", "19102", "ambassador_requests_total", 15_000)
}

func TestAdapter_StaysBelowItsMemoryLimitAtTwentyThousandStatsDLinesASecond(t *testing.T) {
	start(t, "adapter.yaml", "load-statsd", func(pod *corev1.Pod) {
		pod.Spec.InitContainers[0].Args = []string{"--source=statsd://127.0.0.1:8125"}
		pod.Spec.Containers[0].Args = []string{"app", "--listen=", "--log-dir=", "--statsd=127.0.0.1:8125", "--statsd-rate=22000"}
	})
	carry(t, "load-statsd", "adapter", "19103", "adapter_statsd_lines_total", 300_000)
	t.Logf("%.0f lines dropped by the kernel", metric(t, "load-statsd", "19103", "adapter_statsd_kernel_drops_total"))
}

// carry waits until a counter of the helper has risen by amount under the load that the Pod's app makes, and logs what that
// took of CPU and memory, by the helper's own word and by the kubelet's.
func carry(t *testing.T, pod, container, port, counter string, amount float64) {
	t.Helper()
	families, err := scrape(t.Context(), pod, port)
	if err != nil {
		t.Fatal(err)
	}
	first, cpu, begin, resident := total(families, counter), total(families, "process_cpu_seconds_total"), time.Now(), 0.0
	eventually(t, 90*time.Second, func() error {
		if families, err = scrape(t.Context(), pod, port); err != nil {
			return err
		}
		resident = max(resident, total(families, "process_resident_memory_bytes"))
		if now := total(families, counter); now-first < amount {
			return fmt.Errorf("%s has risen by %.0f", counter, now-first)
		}
		return nil
	})
	took := time.Since(begin).Seconds()
	set := workingSet(t, pod, container)
	p, err := client.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	limit := ""
	for i, c := range p.Status.InitContainerStatuses {
		if c.RestartCount != 0 {
			t.Errorf("%s was restarted: %+v", c.Name, c.LastTerminationState.Terminated)
		}
		if c.Name == container {
			limit = p.Spec.InitContainers[i].Resources.Limits.Memory().String()
		}
	}
	if limit == "" {
		t.Errorf("the Pod has no sidecar %s", container)
	}
	t.Logf("%s: %.0f a second; CPU %.2f of a core, resident memory at most %.1f MiB, working set %s, limit %s",
		counter, (total(families, counter)-first)/took, (total(families, "process_cpu_seconds_total")-cpu)/took, resident/(1<<20), set, limit)
}

// workingSet is what the kubelet counts against the limit of a container, when it has measured it already: some take a
// minute to find a new container.
func workingSet(t *testing.T, pod, container string) string {
	t.Helper()
	p, err := client.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := client.CoreV1().RESTClient().Get().Resource("nodes").Name(p.Spec.NodeName).SubResource("proxy").Suffix("metrics/resource").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(fmt.Sprintf(`container_memory_working_set_bytes{container=%q,namespace=%q,pod=%q} (\S+)`, container, namespace, pod)).FindSubmatch(text)
	if match == nil {
		return "not measured by the kubelet yet"
	}
	bytes, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%.1f MiB", bytes/(1<<20))
}
