//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestApp_StartsAfterItsSidecarsAreReadyAndWithinThreeSecondsEach(t *testing.T) {
	pod := start(t, "all-three.yaml", "pod-start", nil)
	app := pod.Status.ContainerStatuses[0].State.Running
	if app == nil {
		t.Fatalf("the app does not run: %+v", pod.Status.ContainerStatuses[0].State)
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if c.State.Running == nil || c.Started == nil || !*c.Started || app.StartedAt.Before(&c.State.Running.StartedAt) {
			t.Errorf("%s was not up before the app: %+v", c.Name, c)
		}
	}
	// The kubelet takes about two seconds for each native sidecar (it looks at containers once a second, and probes once a
	// second), however fast that is ready. The API's times are whole seconds.
	first := pod.Status.InitContainerStatuses[0].State.Running.StartedAt
	took := app.StartedAt.Sub(first.Time)
	t.Logf("the app started %s after the first sidecar, %s after the Pod was created", took, app.StartedAt.Sub(pod.CreationTimestamp.Time))
	if took > 3*time.Second*time.Duration(len(pod.Status.InitContainerStatuses)) {
		t.Errorf("the app started %s after the first sidecar", took)
	}
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
	if after.Farewell != before.Farewell+1 {
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
	pod := start(t, "plain-containers.yaml", "pod-plain", nil)
	if len(pod.Spec.InitContainers) != 0 {
		t.Fatal("not the plain shape")
	}
	running(t, "pod-plain", 300)
	remove(t, "pod-plain")
	arrived(t, "pod-plain", "farewell")
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
