//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
)

const (
	applyAllThree = "kubectl apply -f examples/pods/all-three.yaml"
	sharing       = `sed 's/^  enableServiceLinks: false/&\n  shareProcessNamespace: true/' examples/pods/all-three.yaml | kubectl apply -f -`
	killNine      = "kubectl debug all-three --profile=restricted --image=pod-helpers/demo:dev --image-pull-policy=IfNotPresent -- /demo kill --after=0s"
)

// TestDrills replays the drills of examples/pods/README.md, command by command.
func TestDrills_LoseNoLine(t *testing.T) {
	t.Parallel()
	documented(t, applyAllThree)
	t.Cleanup(func() {
		now := int64(0)
		_ = client.CoreV1().Pods(namespace).Delete(context.Background(), "all-three", metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	pod := ready(t, "all-three")
	for port, url := range forwarded(t, "kubectl port-forward all-three 19101 19102 19103") {
		if text := page(t, url+"/"); !strings.Contains(text, "<html") {
			t.Errorf("port %s has no status page", port)
		}
	}
	status := forwarded(t, "kubectl port-forward pod/NAME 19101", "NAME", "all-three")
	page(t, status["19101"]+"/")
	documented(t, "kubectl logs NAME -c CONTAINER", "NAME", "all-three", "CONTAINER", "adapter")

	eventually(t, 60*time.Second, func() error { // rotation
		return complete(t, "kubectl get --raw /api/v1/namespaces/default/pods/all-three:19101/proxy/metrics | grep ^logshipper_rotations_total")
	})
	missingNothing(t)

	documented(t, "kubectl delete pod all-three")
	documented(t, sharing)
	ready(t, "all-three")
	running(t, "all-three", 100)
	documented(t, killNine)
	eventually(t, 60*time.Second, func() error {
		pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "all-three", metav1.GetOptions{})
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
	t.Log(documented(t, "kubectl get pod all-three"))
	missingNothing(t)

	drain, uncordon := "kubectl drain NODE --pod-selector app=all-three --force --delete-emptydir-data", "kubectl uncordon NODE"
	defer func() { documented(t, uncordon, "NODE", pod.Spec.NodeName) }()
	t.Log(documented(t, drain, "NODE", pod.Spec.NodeName))
	gone(t, "all-three")
	arrived(t, "all-three-", "farewell")
	t.Log(missingNothing(t))
}

// complete runs a command of the pages that succeeds at some time.
func complete(t *testing.T, command string) error {
	t.Helper()
	out, err := docs.run(t.Context(), command)
	if err == nil {
		t.Log(strings.TrimSpace(out))
	}
	return err
}

// missingNothing asks the receiver as the README does; other Pods send lines at the same time, and what is on its way is not
// missing, so that it may take a moment.
func missingNothing(t *testing.T) (counts string) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		counts = documented(t, "kubectl get --raw /api/v1/namespaces/default/services/sink:9428/proxy/counts")
		var c sink.Counts
		if err := json.Unmarshal([]byte(counts), &c); err != nil {
			return err
		}
		if c.Missing != 0 || c.Distinct == 0 {
			return fmt.Errorf("the receiver says %s", counts)
		}
		return nil
	})
	return counts
}
