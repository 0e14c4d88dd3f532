package podfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const manifest = `kind: ConfigMap
metadata: {name: settings}
data: {a.yaml: "x: 1\n"}
---
kind: Service
metadata: {name: passed-over}
---
kind: Pod
metadata: {name: shop}
spec:
  initContainers:
    - {name: helper, restartPolicy: Always, env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}
    - {name: setup}
  containers:
    - {name: app, args: [app], volumeMounts: [{name: config, mountPath: /etc/helpers, readOnly: true}]}
  volumes:
    - {name: config, configMap: {name: settings}}
    - {name: logs, emptyDir: {}}
`

func read(t *testing.T, text string) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(path)
}

func TestRead_KeepsTheStartingOrderAndTellsSidecarsFromSetup(t *testing.T) {
	f, err := read(t, manifest)
	if err != nil {
		t.Fatal(err)
	}
	init := f.Pod.InitContainers
	if f.Pod.Name != "shop" || len(init) != 2 || !init[0].Sidecar() || init[1].Sidecar() {
		t.Errorf("got %+v", f.Pod)
	}
	if got := init[0].Env[0].ValueFrom.FieldRef.FieldPath; got != "spec.nodeName" {
		t.Errorf("the downward API's path is %q", got)
	}
	if m := f.Pod.Containers[0].Mounts; len(m) != 1 || m[0] != (Mount{Name: "config", MountPath: "/etc/helpers", ReadOnly: true}) {
		t.Errorf("mounts are %+v", m)
	}
}

func TestWriteVolumes_WritesTheFilesOfConfigMapsAndLeavesOtherVolumesEmpty(t *testing.T) {
	f, err := read(t, manifest)
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := f.WriteVolumes(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(volumes["config"], "a.yaml")); err != nil || string(text) != "x: 1\n" {
		t.Errorf("a.yaml is %q, %v", text, err)
	}
	if entries, err := os.ReadDir(volumes["logs"]); err != nil || len(entries) != 0 {
		t.Errorf("the empty volume holds %v, %v", entries, err)
	}
}

func TestRead_NamesTheFileThatIsNoYAML(t *testing.T) {
	if _, err := read(t, "kind: ["); err == nil || !strings.Contains(err.Error(), "pod.yaml") {
		t.Errorf("got %v", err)
	}
}
