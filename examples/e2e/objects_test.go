//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

// create makes the objects of a manifest; change may alter each before.
func create(ctx context.Context, manifest []byte, change func(any)) error {
	return each(manifest, func(object any) (err error) {
		if change != nil {
			change(object)
		}
		options := metav1.CreateOptions{}
		switch o := object.(type) {
		case *corev1.ConfigMap:
			_, err = client.CoreV1().ConfigMaps(namespace).Create(ctx, o, options)
		case *appsv1.Deployment:
			_, err = client.AppsV1().Deployments(namespace).Create(ctx, o, options)
		case *batchv1.Job:
			_, err = client.BatchV1().Jobs(namespace).Create(ctx, o, options)
		case *corev1.Pod:
			_, err = client.CoreV1().Pods(namespace).Create(ctx, o, options)
		default:
			err = fmt.Errorf("create %T: not foreseen", o)
		}
		return err
	})
}

// podNames are the names of a manifest's Pods.
func podNames(t *testing.T, manifest []byte) (names []string) {
	t.Helper()
	for _, object := range decode(t, manifest) {
		if pod, ok := object.(*corev1.Pod); ok {
			names = append(names, pod.Name)
		}
	}
	return names
}

func decode(t *testing.T, manifest []byte) (objects []any) {
	t.Helper()
	if err := each(manifest, func(object any) error { objects = append(objects, object); return nil }); err != nil {
		t.Fatal(err)
	}
	return objects
}

// each calls do for every object of a manifest.
func each(manifest []byte, do func(any) error) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	decoder := scheme.Codecs.UniversalDeserializer()
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return err
		}
		if err := do(object); err != nil {
			return err
		}
	}
}

// start creates the Pod of an example manifest under a name of its own and waits until its app runs. Everything that it
// made is deleted when the test ends.
func start(t *testing.T, manifest, name string, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	text, err := os.ReadFile("../pods/" + manifest)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.TrimSuffix(manifest, ".yaml")
	err = create(t.Context(), text, func(object any) {
		switch o := object.(type) {
		case *corev1.ConfigMap:
			o.Name = name
		case *corev1.Pod:
			o.Name, o.Labels = name, map[string]string{"app": name}
			for _, v := range o.Spec.Volumes {
				if v.ConfigMap != nil && v.ConfigMap.Name == old {
					v.ConfigMap.Name = name
				}
			}
			if change != nil {
				change(o)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, now := context.Background(), int64(0)
		if t.Failed() {
			t.Log(evidence(ctx, name))
		}
		_ = client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		_ = client.CoreV1().ConfigMaps(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	var pod *corev1.Pod
	eventually(t, 60*time.Second, func() error {
		pod, err = client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Running == nil && c.State.Terminated == nil {
				return fmt.Errorf("container %s has not started: %+v", c.Name, c.State.Waiting)
			}
		}
		if len(pod.Status.ContainerStatuses) == 0 {
			return errors.New("no container has started")
		}
		return nil
	})
	return pod
}

// evidence is what one would look at after a failure.
func evidence(ctx context.Context, name string) string {
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	tail := int64(15)
	for _, c := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		state, _ := json.Marshal(c.State)
		fmt.Fprintf(&b, "%s: restarts %d, %s\n", c.Name, c.RestartCount, state)
		text, err := client.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{Container: c.Name, TailLines: &tail}).DoRaw(ctx)
		fmt.Fprintf(&b, "%s%v\n", text, err)
	}
	return b.String()
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := client.CoreV1().Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, name)
}

func gone(t *testing.T, name string) {
	t.Helper()
	eventually(t, 150*time.Second, func() error {
		if _, err := client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}); err == nil {
			return fmt.Errorf("Pod %s is still there", name)
		}
		return nil
	})
}

func available(ctx context.Context, deployment string, replicas int32) error {
	d, err := client.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if d.Status.AvailableReplicas != replicas || d.Status.Replicas != replicas || d.Status.UpdatedReplicas != replicas {
		return fmt.Errorf("deployment %s: %d available of %d, want %d", deployment, d.Status.AvailableReplicas, d.Status.Replicas, replicas)
	}
	return nil
}

func poll(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	if err := poll(t.Context(), limit, check); err != nil {
		t.Fatal(err)
	}
}

// through asks a Pod or a Service by way of the API server, which works wherever the test runs.
func through(ctx context.Context, kind, nameAndPort, path string) ([]byte, error) {
	path, query, _ := strings.Cut(path, "?")
	request := client.CoreV1().RESTClient().Get().Namespace(namespace).Resource(kind).Name(nameAndPort).SubResource("proxy").Suffix(path)
	if name, value, ok := strings.Cut(query, "="); ok {
		request = request.Param(name, value)
	}
	return request.DoRaw(ctx)
}

func received(ctx context.Context, run string) (c sink.Counts, err error) {
	text, err := through(ctx, "services", "sink:9428", "counts?run="+run)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

func backend(ctx context.Context, pod string) (c upstream.Counts, err error) {
	text, err := through(ctx, "pods", pod+":8444", "counts")
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

func scrape(ctx context.Context, pod, port string) (map[string]*dto.MetricFamily, error) {
	text, err := through(ctx, "pods", pod+":"+port, "metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

// total adds up a metric over its labels.
func total(families map[string]*dto.MetricFamily, name string) (sum float64) {
	for _, m := range families[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}
