package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"

	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

func newBufioReader(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }

func certs(out io.Writer) error { return upstream.Certs(nil, out) }

// binDir is where binaries puts them; TestMain makes and removes it.
var binDir string

// binaries builds the three helpers once for all tests, and returns their directory.
var binaries = sync.OnceValues(func() (string, error) {
	build := exec.Command("go", "build", "-o", binDir+"/")
	for name := range adminPorts {
		build.Args = append(build.Args, "../"+name)
	}
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return binDir, build.Run()
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pod-helpers-examples-")
	if err != nil {
		panic(err)
	}
	binDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func typeName(o any) string { return fmt.Sprintf("%T", o) }

// check runs the helper's own check over a container's arguments, variables and mounted files, as the Pod would see them:
// a mounted ConfigMap is a directory here, and so is every other volume.
func check(t *testing.T, spec *corev1.PodSpec, c corev1.Container, configs map[string]*corev1.ConfigMap) {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, m := range c.VolumeMounts {
		dir := filepath.Join(t.TempDir(), m.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, v := range spec.Volumes {
			if v.Name != m.Name || v.ConfigMap == nil {
				continue
			}
			if v.ConfigMap.Name == "upstream-ca" {
				if err := upstream.Certs([]string{"--dir", dir}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if config := configs[v.ConfigMap.Name]; config != nil {
				for name, text := range config.Data {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		pairs = append(pairs, m.MountPath, dir)
	}
	local := strings.NewReplacer(pairs...)
	cmd := exec.Command(filepath.Join(bin, helperOf(c)), "check")
	for _, arg := range c.Args {
		cmd.Args = append(cmd.Args, local.Replace(arg))
	}
	cmd.Env = []string{}
	for _, e := range c.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil && from.ConfigMapKeyRef != nil && configs[from.ConfigMapKeyRef.Name] != nil {
			value = configs[from.ConfigMapKeyRef.Name].Data[from.ConfigMapKeyRef.Key]
		}
		cmd.Env = append(cmd.Env, e.Name+"="+local.Replace(value))
	}
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	effective, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v: %v\n%s", c.Name, cmd.Args[1:], err, &warnings)
		return
	}
	matchesSchema(t, helperOf(c), effective)
	for i, arg := range cmd.Args {
		file, isConfig := strings.CutPrefix(arg, "--config=")
		if !isConfig && arg == "--config" && i+1 < len(cmd.Args) {
			file, isConfig = cmd.Args[i+1], true
		}
		if !isConfig {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		matchesSchema(t, helperOf(c), text)
	}
}

func TestManifests_EveryHelperAcceptsItsConfiguration(t *testing.T) {
	for _, file := range manifests(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkAll(t, decode(t, data))
		})
	}
}

// checkAll runs check for every helper of every Pod among the objects.
func checkAll(t *testing.T, objects []any) {
	t.Helper()
	configs := map[string]*corev1.ConfigMap{}
	for _, o := range objects {
		if config, ok := o.(*corev1.ConfigMap); ok {
			configs[config.Name] = config
		}
	}
	for _, o := range objects {
		_, spec := podOf(o)
		if spec == nil {
			continue
		}
		for _, c := range append(spec.InitContainers, spec.Containers...) {
			if helperOf(c) != "" {
				check(t, spec, c, configs)
			}
		}
	}
}
