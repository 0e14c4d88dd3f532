//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

// TestSecretRotation_ChangesTheClientCertificate has a backend that demands client certificates and lets no connection
// live longer than a request, and exchanges the Secret that the ambassador mounts.
func TestSecretRotation_ChangesTheClientCertificate(t *testing.T) {
	t.Parallel()
	authority, err := upstream.NewAuthority("e2e clients")
	if err != nil {
		t.Fatal(err)
	}
	issue := func() (secret *corev1.Secret, serial string) {
		cert, key, serial, err := authority.Issue("mtls")
		if err != nil {
			t.Fatal(err)
		}
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "mtls"},
			Data:       map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.pem": authority.CA},
		}, serial
	}
	secrets := client.CoreV1().Secrets(namespace)
	first, serial := issue()
	if _, err := secrets.Create(t.Context(), first, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = secrets.Delete(context.Background(), "mtls", metav1.DeleteOptions{}) })
	fromSecret := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "mtls"}}

	start(t, "ambassador.yaml", "mtls-backend", func(pod *corev1.Pod) { // only its security settings are of use here
		pod.Spec.InitContainers = nil
		pod.Spec.Volumes = []corev1.Volume{{Name: "upstream-ca", VolumeSource: fromSecret}}
		app := &pod.Spec.Containers[0]
		app.Args = strings.Fields("upstream --cert=/etc/upstream/tls.crt --key=/etc/upstream/tls.key --client-ca=/etc/upstream/ca.pem --keep-alive=false --fail-every=0")
		app.VolumeMounts = []corev1.VolumeMount{{Name: "upstream-ca", MountPath: "/etc/upstream"}}
	})
	backendPod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "mtls-backend", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start(t, "ambassador.yaml", "mtls-app", func(pod *corev1.Pod) {
		pod.Spec.Volumes[0].VolumeSource = fromSecret
		pod.Spec.InitContainers[0].Args = []string{fmt.Sprintf(
			"--proxy=8081=https://%s:8443?ca=/etc/upstream/ca.pem&cert=/etc/upstream/tls.crt&key=/etc/upstream/tls.key&server_name=mtls", backendPod.Status.PodIP)}
	})
	shows := func(serial string, limit time.Duration) {
		t.Helper()
		eventually(t, limit, func() error {
			counts, err := backend(t.Context(), "mtls-backend")
			if err == nil && counts.Client != serial {
				err = fmt.Errorf("the client shows certificate %q, want %q, after %d requests", counts.Client, serial, counts.Requests)
			}
			return err
		})
	}
	shows(serial, 30*time.Second)
	second, serial := issue()
	begin := time.Now()
	if _, err := secrets.Update(t.Context(), second, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	shows(serial, 150*time.Second) // the kubelet's own delay is a minute and more
	t.Logf("the backend saw the new certificate %.0f s after the Secret changed", time.Since(begin).Seconds())
	pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), "mtls-app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if restarts := pod.Status.InitContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("the ambassador was restarted %d times", restarts)
	}
}
