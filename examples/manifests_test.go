package examples

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// decode reads every object of a manifest strictly: unknown fields, duplicates and wrong case are errors. sigs.k8s.io/yaml
// alone would let startUpProbe pass for startupProbe.
func decode(t *testing.T, data []byte) []any {
	t.Helper()
	var objects []any
	reader := utilyaml.NewYAMLReader(newBufioReader(data))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		var kind metav1.TypeMeta
		if err := json.UnmarshalCaseSensitivePreserveInts(text, &kind); err != nil {
			t.Fatal(err)
		}
		if kind.Kind == "" {
			continue // only a comment
		}
		object := newObject(t, kind)
		strict, err := json.UnmarshalStrict(text, object)
		if err = errors.Join(append(strict, err)...); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
		objects = append(objects, object)
	}
}

func newObject(t *testing.T, kind metav1.TypeMeta) any {
	t.Helper()
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Pod":
		return &corev1.Pod{}
	case "v1 ConfigMap":
		return &corev1.ConfigMap{}
	case "v1 Service":
		return &corev1.Service{}
	case "v1 Secret":
		return &corev1.Secret{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	case "apps/v1 StatefulSet":
		return &appsv1.StatefulSet{}
	case "apps/v1 DaemonSet":
		return &appsv1.DaemonSet{}
	case "batch/v1 Job":
		return &batchv1.Job{}
	case "batch/v1 CronJob":
		return &batchv1.CronJob{}
	case "monitoring.coreos.com/v1 PodMonitor":
		return &runtime.Unknown{}
	}
	t.Fatalf("no type for %s %s", kind.APIVersion, kind.Kind)
	return nil
}

// podOf returns the Pod or the Pod template of an object, or nil.
func podOf(object any) (*metav1.ObjectMeta, *corev1.PodSpec) {
	switch o := object.(type) {
	case *corev1.Pod:
		return &o.ObjectMeta, &o.Spec
	case *appsv1.Deployment:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	case *batchv1.Job:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template.ObjectMeta, &o.Spec.JobTemplate.Spec.Template.Spec
	}
	return nil, nil
}

// restricted fails the test when Pod Security Admission would refuse the Pod at level restricted.
func restricted(t *testing.T, meta *metav1.ObjectMeta, spec *corev1.PodSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, meta, spec))
	if !result.Allowed {
		t.Errorf("Pod Security refuses it: %s", result.ForbiddenDetail())
	}
}

// adminPorts are the defaults of the binaries, by image.
var adminPorts = map[string]int32{"sidecar-logshipper": 19101, "ambassador-proxy": 19102, "adapter-metrics": 19103}

func helperOf(c corev1.Container) string {
	name := strings.TrimSuffix(strings.TrimPrefix(c.Image, "pod-helpers/"), ":dev")
	if _, ok := adminPorts[name]; ok {
		return name
	}
	return ""
}

// wellBehaved checks what a helper's container must say, whoever adds it.
func wellBehaved(t *testing.T, c corev1.Container, native bool) {
	t.Helper()
	port := adminPorts[helperOf(c)]
	if len(c.Ports) != 1 || c.Ports[0].ContainerPort != port {
		t.Errorf("%s: ports are %v, and the admin server's default is %d", c.Name, c.Ports, port)
		return
	}
	probe := c.LivenessProbe
	if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/livez" || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
		t.Errorf("%s: no probe of /livez at port %s", c.Name, c.Ports[0].Name)
	}
	// a startup probe would do as well, and takes the kubelet a second more (docs/which-shape.md)
	if c.StartupProbe != nil || c.Lifecycle == nil || c.Lifecycle.PostStart == nil || c.Lifecycle.PostStart.Exec == nil ||
		!slices.Equal(c.Lifecycle.PostStart.Exec.Command, []string{"/" + helperOf(c), "wait", "--timeout=30s"}) {
		t.Errorf("%s: nothing holds the app back until it is ready", c.Name)
	}
	if got := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways; got != native {
		t.Errorf("%s: native sidecar is %v, want %v", c.Name, got, native)
	}
	if c.Resources.Requests.Memory().String() != "32Mi" || c.Resources.Limits.Memory().String() != "64Mi" || !c.Resources.Limits.Cpu().IsZero() {
		t.Errorf("%s: resources are %v", c.Name, c.Resources)
	}
	if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%s: the root file system is writable", c.Name)
	}
}

func manifests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("pods/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %d manifests: %v", len(files), err)
	}
	return files
}

func TestManifests_DecodeStrictlyAndPassPodSecurityRestricted(t *testing.T) {
	for _, file := range manifests(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pods := 0
			for _, object := range decode(t, data) {
				meta, spec := podOf(object)
				if spec == nil {
					continue
				}
				pods++
				restricted(t, meta, spec)
				if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
					t.Error("mounts a service account token that nobody needs")
				}
				for _, c := range spec.InitContainers {
					wellBehaved(t, c, true)
				}
				for _, c := range spec.Containers {
					if helperOf(c) != "" {
						wellBehaved(t, c, false)
					}
				}
			}
			if pods == 0 {
				t.Error("holds no Pod")
			}
		})
	}
}

func TestDecode_RefusesAFieldInWrongCase(t *testing.T) {
	text := []byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","startUpProbe":{}}]}}`)
	strict, err := json.UnmarshalStrict(text, &corev1.Pod{})
	if err != nil || len(strict) != 1 {
		t.Fatalf("want one strict error, got %v, %v", strict, err)
	}
}

func TestRestricted_IsNotAlwaysHappy(t *testing.T) {
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	if policy.AggregateCheckResults(evaluator.EvaluatePod(level, &metav1.ObjectMeta{}, spec)).Allowed {
		t.Fatal("a Pod without any security context was allowed")
	}
}

func TestCerts_PrintsManifestsThatBackendsUse(t *testing.T) {
	var out bytes.Buffer
	if err := certs(&out); err != nil {
		t.Fatal(err)
	}
	objects := decode(t, out.Bytes())
	if len(objects) != 2 {
		t.Fatalf("got %d objects", len(objects))
	}
	secret, isSecret := objects[0].(*corev1.Secret)
	if !isSecret || secret.Name != "upstream-tls" || !strings.HasPrefix(secret.StringData["tls.crt"], "-----BEGIN CERTIFICATE") {
		t.Errorf("the Secret is %v", objects[0])
	}
}
