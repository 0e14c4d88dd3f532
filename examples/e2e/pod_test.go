//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
)

// The kubelet is what takes the time: see docs/which-shape.md.
func TestApp_StartsAfterItsSidecarsAreReadyAndWithinThreeSecondsOfEach(t *testing.T) {
	for name, sidecars := range map[string]int{"start-one": 1, "start-three": 3} {
		begin := time.Now()
		pod := start(t, "all-three.yaml", name, func(pod *corev1.Pod) {
			pod.Spec.InitContainers = pod.Spec.InitContainers[:sidecars]
			pod.Spec.Containers[0].Args[1] = "--listen=:8080" // to be asked from outside
		})
		app := pod.Status.ContainerStatuses[0].State.Running
		if app == nil {
			t.Fatalf("the app does not run: %+v", pod.Status.ContainerStatuses[0].State)
		}
		for _, c := range pod.Status.InitContainerStatuses {
			if c.State.Running == nil || c.Started == nil || !*c.Started || app.StartedAt.Before(&c.State.Running.StartedAt) {
				t.Errorf("%s was not up before the app: %+v", c.Name, c)
			}
		}
		took := startTimes(t, name, sidecars)
		for i, at := range took[1:] {
			if gap := at.Sub(took[i]); gap > 3*time.Second {
				t.Errorf("container %d started %s after the one before", i+2, gap)
			}
		}
		t.Logf("%d sidecars: the app started %.2f s after the first, %.2f s after the Pod was created", sidecars,
			took[sidecars].Sub(took[0]).Seconds(), took[sidecars].Sub(begin).Seconds())
	}
}

// startTimes are those of the processes, by their own word: the API's times are whole seconds.
func startTimes(t *testing.T, pod string, sidecars int) (at []time.Time) {
	t.Helper()
	for _, port := range []string{"19101", "19102", "19103"}[:sidecars] {
		at = append(at, time.UnixMilli(int64(1000*metric(t, pod, port, "process_start_time_seconds"))))
	}
	var stats app.Stats
	eventually(t, 10*time.Second, func() error {
		text, err := through(t.Context(), "pods", pod+":8080", "stats")
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &stats)
	})
	return append(at, time.Now().Add(-time.Duration(stats.UptimeMS)*time.Millisecond))
}

func TestAllThree_HoldTogether(t *testing.T) {
	start(t, "all-three.yaml", "pod-all", nil)
	eventually(t, 60*time.Second, func() error {
		families, err := scrape(t.Context(), "pod-all", "19103")
		if err == nil && total(families, "shop_backend_calls_total") < 100 {
			err = fmt.Errorf("the app has made %.0f calls", total(families, "shop_backend_calls_total"))
		}
		return err
	})
	families, err := scrape(t.Context(), "pod-all", "19103")
	if err != nil {
		t.Fatal(err)
	}
	if errors := total(families, "shop_backend_errors_total"); errors != 0 {
		t.Errorf("the app saw %.0f errors although the ambassador retries", errors)
	}
	proxy, err := scrape(t.Context(), "pod-all", "19102")
	if err != nil {
		t.Fatal(err)
	}
	if total(proxy, "ambassador_retries_total") < 5 {
		t.Errorf("%.0f retries for a backend that fails every tenth request", total(proxy, "ambassador_retries_total"))
	}
	t.Logf("%.0f calls, %.0f retried, 0 errors", total(families, "shop_backend_calls_total"), total(proxy, "ambassador_retries_total"))

	upstreams, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=upstream"})
	if err != nil || len(upstreams.Items) == 0 {
		t.Fatalf("no backend: %v", err)
	}
	before, err := backend(t.Context(), upstreams.Items[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, "pod-all")
	arrived(t, "pod-all", "farewell") // the app writes the error here when its farewell call fails
	after, err := backend(t.Context(), upstreams.Items[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	if after.Farewell <= before.Farewell {
		t.Errorf("the farewell call did not reach the backend: %d before, %d after", before.Farewell, after.Farewell)
	}
}

func TestBackends_ScaleAndRollWithoutAClientError(t *testing.T) {
	start(t, "all-three.yaml", "pod-scale", nil)
	for _, replicas := range []int32{3, 1} {
		scale, err := client.AppsV1().Deployments(namespace).GetScale(t.Context(), "upstream", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		scale.Spec.Replicas = replicas
		if _, err := client.AppsV1().Deployments(namespace).UpdateScale(t.Context(), "upstream", scale, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 60*time.Second, func() error { return available(t.Context(), "upstream", replicas) })
	}
	restart := []byte(`{"spec":{"template":{"metadata":{"annotations":{"restarted":"` + time.Now().Format(time.RFC3339) + `"}}}}}`)
	if _, err := client.AppsV1().Deployments(namespace).Patch(t.Context(), "upstream", "application/strategic-merge-patch+json", restart, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, func() error {
		d, err := client.AppsV1().Deployments(namespace).Get(t.Context(), "upstream", metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration < d.Generation {
			err = fmt.Errorf("the roll has not begun")
		}
		if err == nil {
			err = available(t.Context(), "upstream", 1)
		}
		return err
	})
	eventually(t, 60*time.Second, func() error { // the old ones serve until their preStop hook has ended
		pods, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=upstream"})
		if err == nil && len(pods.Items) != 1 {
			err = fmt.Errorf("%d backends are there", len(pods.Items))
		}
		return err
	})
	families, err := scrape(t.Context(), "pod-scale", "19103")
	if err != nil {
		t.Fatal(err)
	}
	calls, errors := total(families, "shop_backend_calls_total"), total(families, "shop_backend_errors_total")
	t.Logf("%.0f calls, %.0f errors while the backends scaled 1 → 3 → 1 and rolled", calls, errors)
	if calls == 0 || errors != 0 {
		t.Errorf("%.0f of %.0f calls failed", errors, calls)
	}
}

func TestPlainContainers_LoseNothingEither(t *testing.T) {
	t.Parallel()
	apply(t, "plain-containers.yaml")
	running(t, "plain-containers", 300)
	remove(t, "plain-containers")
	arrived(t, "plain-containers", "farewell")
}

func TestHelpers_ReadyBeforeAnyDestinationExists(t *testing.T) {
	t.Parallel()
	pod := start(t, "all-three.yaml", "pod-alone", func(pod *corev1.Pod) {
		for i := range pod.Spec.InitContainers {
			for j, e := range pod.Spec.InitContainers[i].Env {
				switch e.Name {
				case "SINK_URL":
					pod.Spec.InitContainers[i].Env[j].Value = "http://nowhere.invalid:9428/ingest"
				case "BACKEND_URL":
					pod.Spec.InitContainers[i].Env[j].Value = "https://nowhere.invalid:8443"
				case "STATS_URL":
					pod.Spec.InitContainers[i].Env[j].Value = "http://127.0.0.1:1/stats"
				}
			}
		}
	})
	if pod.Status.ContainerStatuses[0].State.Running == nil {
		t.Error("the app did not start")
	}
}
