//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
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

func TestRotationUnderLoad_LosesNoLineAtTenMegabytesASecond(t *testing.T) {
	start(t, "all-three.yaml", "logs-load", onlyLogs("--rate=10000", "--pad=880", "--rotate-bytes=8388608"))
	running(t, "logs-load", 150_000)
	pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "logs-load", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if restarts := pod.Status.InitContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("the logshipper was restarted %d times", restarts)
	}
	families, err := scrape(t.Context(), "logs-load", "19101")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident memory %.1f MiB, %.0f rotations", total(families, "process_resident_memory_bytes")/(1<<20), total(families, "logshipper_rotations_total"))
	remove(t, "logs-load")
	arrived(t, "logs-load", "farewell")
}

func TestJob_CompletesAndItsLastLineArrives(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../pods/job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context(), text, nil); err != nil {
		t.Fatal(err)
	}
	var job *batchv1.Job
	eventually(t, 60*time.Second, func() error {
		if job, err = client.BatchV1().Jobs(namespace).Get(t.Context(), "report", metav1.GetOptions{}); err != nil {
			return err
		}
		if job.Status.Succeeded != 1 || job.Status.CompletionTime == nil {
			return fmt.Errorf("job: %+v", job.Status)
		}
		return nil
	})
	if counts := arrived(t, "report-", "farewell"); counts.Distinct != 2001 {
		t.Errorf("%d lines received, 2001 written", counts.Distinct)
	}
}

func TestKilledLogshipper_GoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	share := true
	start(t, "all-three.yaml", "logs-killed", func(pod *corev1.Pod) {
		onlyLogs("--rate=1000")(pod)
		pod.Spec.ShareProcessNamespace = &share
		killer := pod.Spec.Containers[0].DeepCopy()
		killer.Name, killer.Args, killer.VolumeMounts = "killer", []string{"kill", "--after=3s"}, nil
		killer.SecurityContext.RunAsUser = pod.Spec.InitContainers[0].SecurityContext.RunAsUser
		pod.Spec.Containers = append(pod.Spec.Containers, *killer)
	})
	eventually(t, 60*time.Second, func() error {
		pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "logs-killed", metav1.GetOptions{})
		if err != nil {
			return err
		}
		end := pod.Status.InitContainerStatuses[0].LastTerminationState.Terminated
		if end == nil || pod.Status.InitContainerStatuses[0].State.Running == nil {
			return fmt.Errorf("not restarted yet")
		}
		if end.ExitCode != 137 {
			t.Errorf("it ended with code %d, not by SIGKILL", end.ExitCode)
		}
		return nil
	})
	now, err := received(t.Context(), "logs-killed")
	if err != nil {
		t.Fatal(err)
	}
	running(t, "logs-killed", now.Distinct+1000)
	remove(t, "logs-killed")
	arrived(t, "logs-killed", "farewell") // some lines may have come twice: at least once is the promise here
}

func TestConfigMapEdit_ReloadsWithoutARestart(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "logs-reload", onlyLogs("--rate=100"))
	running(t, "logs-reload", 100)
	config, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "logs-reload", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config.Data["logshipper.yaml"] += "\nlabels: {edited: \"yes\"}\n"
	begin := time.Now()
	if _, err := client.CoreV1().ConfigMaps(namespace).Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 150*time.Second, func() error { // the kubelet's own delay is a minute and more
		text, err := through(t.Context(), "pods", "logs-reload:19101", "config")
		if err == nil && !strings.Contains(string(text), "edited") {
			err = fmt.Errorf("still the old configuration")
		}
		return err
	})
	t.Logf("reloaded %.0f s after the edit", time.Since(begin).Seconds())
	pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "logs-reload", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if restarts := pod.Status.InitContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("restarted %d times", restarts)
	}
	remove(t, "logs-reload")
	arrived(t, "logs-reload", "farewell")
}
