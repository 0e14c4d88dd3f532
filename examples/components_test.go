package examples

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// workloads of somebody who knows nothing of helpers: only the labels ask for them.
const workloads = "testdata/workloads.yaml"

// smallest configuration of each helper, by the name of its ConfigMap.
var smallest = map[string]struct{ module, config string }{
	"logshipper": {"sidecar-logshipper", "inputs: [{paths: [/var/log/app/*.log]}]\noutputs: [{stdout: {}}]\n"},
	"ambassador": {"ambassador-proxy", "listeners: [{address: \"127.0.0.1:8081\", to: api}]\nupstreams: {api: {url: \"https://api.example.com\"}}\n"},
	"adapter":    {"adapter-metrics", "sources: [{name: app, json: {url: \"http://127.0.0.1:8080/stats\"}}]\n"},
}

// kustomize builds what a user's folder would: the workloads, the component, and a generated ConfigMap.
func kustomize(t *testing.T, component, name string) []any {
	t.Helper()
	dir := t.TempDir()
	return build(t, dir, map[string]string{
		"config.yaml":        smallest[name].config,
		"kustomization.yaml": "resources: [workloads.yaml]\n" + readmeLines(t, name, relative(t, dir, component)),
	})
}

// relative is the way from a directory to a folder of the repository.
func relative(t *testing.T, dir, folder string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Rel(dir, filepath.Join(here, "..", folder))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build writes the files and the workloads into dir and returns what kubectl kustomize makes of it.
func build(t *testing.T, dir string, files map[string]string) []any {
	t.Helper()
	text, err := os.ReadFile(workloads)
	if err != nil {
		t.Fatal(err)
	}
	files["workloads.yaml"] = string(text)
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

// readmeLines are the lines that the component's README tells the user to add, with the component's local path.
func readmeLines(t *testing.T, name, path string) string {
	t.Helper()
	module := smallest[name].module
	text, err := os.ReadFile("../" + module + "/deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, found := strings.Cut(string(text), "```yaml\n")
	lines, _, _ = strings.Cut(lines, "```")
	url := "https://github.com/pod-helpers/pod-helpers//" + module + "/deploy?ref=main"
	if !found || !strings.Contains(lines, url) {
		t.Fatalf("the README of %s/deploy does not begin with the lines for a kustomization", module)
	}
	return strings.ReplaceAll(lines, url, path)
}

func TestComponent_AddsANativeSidecarToEveryKindOfWorkload(t *testing.T) {
	for name, h := range smallest {
		t.Run(name, func(t *testing.T) {
			objects := kustomize(t, h.module+"/deploy", name)
			found := 0
			for _, o := range objects {
				meta, spec := podOf(o)
				if spec == nil {
					continue
				}
				found++
				if len(spec.Containers) != 1 || spec.Containers[0].Name != "app" {
					t.Errorf("%T: the app's containers changed: %d of them", o, len(spec.Containers))
				}
				if len(spec.InitContainers) == 0 || helperOf(spec.InitContainers[0]) != h.module {
					t.Errorf("%T: the first init container is not %s", o, h.module)
					continue
				}
				wellBehaved(t, spec.InitContainers[0], true)
				restricted(t, meta, spec)
				mountsExist(t, spec, spec.InitContainers[0])
			}
			if found != 5 {
				t.Errorf("found %d workloads with a Pod template, want 5", found)
			}
			checkAll(t, objects)
		})
	}
}

func TestComponent_StandsBeforeTheWorkloadsOwnInitContainers(t *testing.T) {
	for _, o := range kustomize(t, "sidecar-logshipper/deploy", "logshipper") {
		_, spec := podOf(o)
		if spec == nil || len(spec.InitContainers) < 2 {
			continue
		}
		if spec.InitContainers[0].Name != "logshipper" || spec.InitContainers[1].Name != "migrate" {
			t.Errorf("%T: order is %s, %s", o, spec.InitContainers[0].Name, spec.InitContainers[1].Name)
		}
		return
	}
	t.Fatal("no workload has init containers of its own")
}

func TestPlainComponent_LeavesJobsAlone(t *testing.T) {
	for name, h := range smallest {
		t.Run(name, func(t *testing.T) {
			added := 0
			for _, o := range kustomize(t, h.module+"/deploy/plain", name) {
				meta, spec := podOf(o)
				if spec == nil {
					continue
				}
				restricted(t, meta, spec)
				at := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return helperOf(c) != "" })
				kind := strings.TrimPrefix(typeName(o), "*v1.")
				if job := kind == "Job" || kind == "CronJob"; job != (at < 0) {
					t.Errorf("%s: helper at %d", kind, at)
				}
				if at >= 0 {
					added++
					wellBehaved(t, spec.Containers[at], false)
					if at != 0 {
						t.Errorf("%s: the helper does not start before the app", kind)
					}
				}
			}
			if added != 3 {
				t.Errorf("added to %d workloads, want 3", added)
			}
		})
	}
}

func TestComponents_GoTogetherInOneKustomization(t *testing.T) {
	dir := t.TempDir()
	files, lines := map[string]string{}, "resources: [workloads.yaml]\ncomponents: ["
	generator := "configMapGenerator:\n"
	for _, name := range []string{"logshipper", "ambassador", "adapter"} {
		h := smallest[name]
		lines += relative(t, dir, h.module+"/deploy") + ", "
		files[name+".yaml"] = h.config
		generator += "  - {name: " + name + ", files: [config.yaml=" + name + ".yaml]}\n"
	}
	files["kustomization.yaml"] = strings.TrimSuffix(lines, ", ") + "]\n" + generator
	objects, found := build(t, dir, files), 0
	for _, o := range objects {
		meta, spec := podOf(o)
		if spec == nil {
			continue
		}
		found++
		helpers := map[string]bool{}
		for _, c := range spec.InitContainers {
			helpers[helperOf(c)] = true
			if helperOf(c) != "" {
				wellBehaved(t, c, true)
				mountsExist(t, spec, c)
			}
		}
		delete(helpers, "") // the workload's own
		if len(helpers) != 3 {
			t.Errorf("%T has %v", o, helpers)
		}
		restricted(t, meta, spec)
		if meta.Annotations["prometheus.io/scrape"] != "true" || meta.Annotations["prometheus.io/port"] != "19103" {
			t.Errorf("%T: the adapter is not found by annotations: %v", o, meta.Annotations)
		}
	}
	if found != 5 {
		t.Errorf("found %d workloads, want 5", found)
	}
	checkAll(t, objects)
}

func TestPodMonitorComponent_FindsThePodsAndThePortThatTheComponentsMake(t *testing.T) {
	for name, h := range smallest {
		monitor, err := os.ReadFile("../" + h.module + "/deploy/podmonitor/podmonitor.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, component := range []string{"/deploy", "/deploy/plain"} {
			for _, o := range kustomize(t, h.module+component, name) {
				meta, spec := podOf(o)
				if spec == nil {
					continue
				}
				for _, c := range append(spec.InitContainers, spec.Containers...) {
					if helperOf(c) == h.module && !strings.Contains(string(monitor), "{port: "+c.Ports[0].Name+", path: /metrics}") {
						t.Errorf("%s: the PodMonitor does not name port %s", name, c.Ports[0].Name)
					}
				}
				label := "pod-helpers/" + name
				if kind := typeName(o); meta.Labels[label] != "true" && (component == "/deploy" || !strings.Contains(kind, "Job")) {
					t.Errorf("%s: %s has no label that the PodMonitor selects by: %v", name, kind, meta.Labels)
				}
				if !strings.Contains(string(monitor), `selector: {matchLabels: {`+label+`: "true"}}`) {
					t.Errorf("%s: the PodMonitor selects by another label", name)
				}
			}
		}
		kustomize(t, h.module+"/deploy/podmonitor", name)
	}
}

// mountsExist checks that every mount has its volume, and that a generated ConfigMap's hashed name arrived there.
func mountsExist(t *testing.T, spec *corev1.PodSpec, c corev1.Container) {
	t.Helper()
	for _, m := range c.VolumeMounts {
		at := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if at < 0 {
			t.Errorf("%s: no volume %s", c.Name, m.Name)
			continue
		}
		if config := spec.Volumes[at].ConfigMap; config != nil && config.Name == c.Name {
			t.Errorf("%s: the ConfigMap's name got no hash, so a change would not roll the workload", c.Name)
		}
	}
}
