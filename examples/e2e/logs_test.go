//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
)

// onlyLogs leaves nothing of all-three.yaml but the logshipper and an app with these arguments.
func onlyLogs(args ...string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.InitContainers = pod.Spec.InitContainers[:1]
		pod.Spec.Containers[0].Args = append([]string{"app", "--listen=", "--log-dir=/var/log/app"}, args...)
	}
}

// arrived waits until the last line of a run is there and nothing before it is missing.
func arrived(t *testing.T, run, last string) sink.Counts {
	t.Helper()
	var counts sink.Counts
	eventually(t, 60*time.Second, func() (err error) {
		if counts, err = received(t.Context(), run); err != nil {
			return err
		}
		if counts.Last != last || counts.Missing != 0 {
			return fmt.Errorf("the receiver has %d lines, %d missing, last %q", counts.Distinct, counts.Missing, counts.Last)
		}
		return nil
	})
	t.Logf("%s: %d lines received, %d missing, %d twice, last line %q", run, counts.Distinct, counts.Missing, counts.Duplicates, counts.Last)
	return counts
}

func running(t *testing.T, run string, lines int64) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		counts, err := received(t.Context(), run)
		if err == nil && counts.Distinct < lines {
			err = fmt.Errorf("%d lines received", counts.Distinct)
		}
		return err
	})
}

func TestDeletedPod_LosesNoLine(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "logs-deleted", onlyLogs("--rate=1000"))
	running(t, "logs-deleted", 2000)
	remove(t, "logs-deleted")
	arrived(t, "logs-deleted", "farewell")
}

func TestEvictedPod_LosesNoLine(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "logs-evicted", onlyLogs("--rate=1000"))
	running(t, "logs-evicted", 2000)
	// what kubectl drain does to each Pod of a node
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "logs-evicted", Namespace: namespace}}
	if err := client.PolicyV1().Evictions(namespace).Evict(t.Context(), eviction); err != nil {
		t.Fatal(err)
	}
	gone(t, "logs-evicted")
	arrived(t, "logs-evicted", "farewell")
}

func TestOOMKilledApp_LosesNoLine(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "logs-oom", func(pod *corev1.Pod) {
		onlyLogs("--rate=1000", "--eat-after=2000")(pod)
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	})
	counts := arrived(t, "logs-oom", "out of memory")
	if counts.Distinct != 2001 {
		t.Errorf("%d lines received, 2001 written", counts.Distinct)
	}
	eventually(t, 30*time.Second, func() error {
		pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "logs-oom", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if end := pod.Status.ContainerStatuses[0].State.Terminated; end == nil || end.Reason != "OOMKilled" {
			return fmt.Errorf("the app was not OOM-killed: %+v", pod.Status.ContainerStatuses[0].State)
		}
		return nil
	})
}

func TestJob_CompletesAndItsLastLineArrives(t *testing.T) {
	t.Parallel()
	documented(t, "kubectl apply -f examples/pods/job.yaml")
	documented(t, "kubectl wait --for=condition=Complete job/report --timeout=60s")
	t.Log(documented(t, "kubectl get job report"))
	if counts := arrived(t, "report-", "farewell"); counts.Distinct != 2001 {
		t.Errorf("%d lines received, 2001 written", counts.Distinct)
	}
}

func TestConfigMapEdit_ReloadsEveryHelperWithoutARestart(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "logs-reload", nil)
	running(t, "logs-reload", 100)
	config, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "logs-reload", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config.Data["logshipper.yaml"] += "\nlabels: {edited: \"yes\"}\n"
	config.Data["ambassador.yaml"] += "\nlog_level: warn\n"
	config.Data["adapter.yaml"] += "\nlog_level: warn\n"
	begin := time.Now()
	if _, err := client.CoreV1().ConfigMaps(namespace).Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for port, edit := range map[string]string{"19101": "edited", "19102": "log_level: warn", "19103": "log_level: warn"} {
		eventually(t, 150*time.Second, func() error { // the kubelet's own delay is a minute and more
			text, err := through(t.Context(), "pods", "logs-reload:"+port, "config")
			if err == nil && !strings.Contains(string(text), edit) {
				err = fmt.Errorf("port %s: still the old configuration", port)
			}
			return err
		})
		t.Logf("port %s: reloaded %.0f s after the edit", port, time.Since(begin).Seconds())
	}
	pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "logs-reload", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if c.RestartCount != 0 {
			t.Errorf("%s was restarted %d times", c.Name, c.RestartCount)
		}
	}
	remove(t, "logs-reload")
	arrived(t, "logs-reload", "farewell")
}
