//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// workloads of somebody who has the app only: the labels ask for the helpers.
const workloads = `apiVersion: apps/v1
kind: Deployment
metadata: {name: component, labels: {pod-helpers/logshipper: "true", pod-helpers/ambassador: "true", pod-helpers/adapter: "true"}}
spec:
  selector: {matchLabels: {app: component}}
  template:
    metadata: {labels: {app: component}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
      terminationGracePeriodSeconds: 40
      containers:
        - name: app
          image: pod-helpers/demo:dev
          args: [app, "--listen=127.0.0.1:8080", --log-dir=/srv/log, "--backend=http://127.0.0.1:8081"]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: logs, mountPath: /srv/log}]
      volumes: [{name: logs, emptyDir: {}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: component-job, labels: {pod-helpers/logshipper: "true", pod-helpers/ambassador: "true", pod-helpers/adapter: "true"}}
spec:
  template:
    metadata: {labels: {app: component-job}}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
      terminationGracePeriodSeconds: 40
      containers:
        - name: app
          image: pod-helpers/demo:dev
          args: [app, "--listen=127.0.0.1:8080", --log-dir=/srv/log, "--backend=http://127.0.0.1:8081", --rate=500, --orders=1000]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: logs, mountPath: /srv/log}]
      volumes: [{name: logs, emptyDir: {}}]
`

func TestComponents_AddAllThreeToADeploymentAndAJob(t *testing.T) {
	t.Parallel()
	if err := create(t.Context(), withComponents(t), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, background := context.Background(), metav1.DeletePropagationBackground
		_ = client.AppsV1().Deployments(namespace).Delete(ctx, "component", metav1.DeleteOptions{PropagationPolicy: &background})
	})
	var pod *corev1.Pod
	eventually(t, 90*time.Second, func() error {
		list, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=component"})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("%d Pods", len(list.Items))
		}
		if err != nil {
			return err
		}
		pod = &list.Items[0]
		return available(t.Context(), "component", 1)
	})
	running(t, pod.Name, 100)
	eventually(t, 30*time.Second, func() error {
		if metric(t, pod.Name, "19102", "ambassador_requests_total") < 10 || metric(t, pod.Name, "19103", "adapter_source_up") != 1 {
			return fmt.Errorf("the ambassador or the adapter has no work")
		}
		return nil
	})
	eventually(t, 60*time.Second, func() error {
		job, err := client.BatchV1().Jobs(namespace).Get(t.Context(), "component-job", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("the Job has not completed: %+v", job.Status)
	})
	if counts := arrived(t, "component-job-", "farewell"); counts.Distinct != 1001 {
		t.Errorf("%d lines received, 1001 written", counts.Distinct)
	}
}

// withComponents is what kubectl apply -k of the user's folder would send.
func withComponents(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Rel(dir, filepath.Join(here, "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"workloads.yaml":         workloads,
		"logshipper/config.yaml": "inputs: [{paths: [/var/log/app/*.log]}]\noutputs: [{http: {url: \"http://sink:9428/ingest\"}}]\n",
		"ambassador/config.yaml": "listeners: [{address: \"127.0.0.1:8081\", to: api}]\nupstreams: {api: {url: \"https://upstream:8443\", tls: {insecure_skip_verify: true}}}\n",
		"adapter/config.yaml":    "sources: [{name: app, json: {url: \"http://127.0.0.1:8080/stats\"}}]\n",
		"kustomization.yaml": `resources: [workloads.yaml]
components: [ROOT/sidecar-logshipper/deploy, ROOT/ambassador-proxy/deploy, ROOT/adapter-metrics/deploy]
configMapGenerator:
  - {name: logshipper, files: [logshipper/config.yaml]}
  - {name: ambassador, files: [ambassador/config.yaml]}
  - {name: adapter, files: [adapter/config.yaml]}
`,
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "ROOT", root)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The manifest tests hold every Pod against a copy of the rules; here is the API server itself, and it admitted all others.
func TestRestrictedNamespace_RefusesWhatIsNotRestricted(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "loose"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "pod-helpers/demo:dev"}}}}
	_, err := client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("admitted, or refused for another reason: %v", err)
	}
}
