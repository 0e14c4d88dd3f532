package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stub stands for docker, kind and kubectl: it notes how it was called and answers what a sound cluster would.
const stub = `#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
"kind get clusters") echo "$CLUSTERS" ;;
*secret*) exit 1 ;;
*sink:9428*) printf '{\n  "distinct": 42,\n  "missing": %s,\n}\n' "$MISSING" ;;
*19102*) echo 'ambassador_retries_total{upstream="backend"} 3' ;;
*19103*) printf 'shop_log_lines_total 7\nshop_backend_errors_total{route="price"} %s\nshop_backend_errors_total{route="quote"} 0\n' "$ERRORS" ;;
esac
`

// kindDemo runs kind/demo.sh with stubs and returns their calls, one a line, and what it printed.
func kindDemo(t *testing.T, env ...string) (calls, out string, err error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"docker", "kind", "kubectl"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// nobody waits half a minute for a stub
	if err := os.WriteFile(filepath.Join(dir, "sleep"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "../kind/demo.sh")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "CALLS="+dir+"/calls", "CLUSTERS=other", "MISSING=0", "ERRORS=0")
	cmd.Env = append(cmd.Env, env...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	text, readErr := os.ReadFile(dir + "/calls")
	if readErr != nil {
		t.Fatalf("%v\n%s", readErr, &both)
	}
	return string(text), both.String(), err
}

func TestKindDemo_MakesTheClusterLoadsEveryImageAndLooks(t *testing.T) {
	calls, out, err := kindDemo(t, "KIND_NODE_IMAGE=kindest/node:v1.31.0")
	if err != nil || !strings.Contains(out, "verdict: all three patterns held") {
		t.Fatalf("%v\n%s\n%s", err, out, calls)
	}
	for _, want := range []string{
		"kind create cluster --config kind/cluster.yaml --wait 120s --image kindest/node:v1.31.0",
		"docker save", "kind load image-archive --name pod-helpers",
		"kubectl --context kind-pod-helpers apply -f examples/pods/backends.yaml",
		"apply -f examples/pods/all-three.yaml -f examples/pods/job.yaml", "wait --for=condition=Complete job/report",
	} {
		_, rest, found := strings.Cut(calls, want)
		if !found {
			t.Fatalf("never, or too early: %s\n%s", want, calls)
		}
		calls = rest
	}
}

func TestKindDemo_LoadsEveryImageOfTheManifests(t *testing.T) {
	calls, _, err := kindDemo(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pods/backends.yaml", "pods/all-three.yaml", "pods/job.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range decode(t, text) {
			_, spec := podOf(object)
			if spec == nil {
				continue
			}
			for _, c := range append(spec.InitContainers, spec.Containers...) {
				if !strings.Contains(calls, " "+c.Image) {
					t.Errorf("%s: %s is not loaded", name, c.Image)
				}
			}
		}
	}
}

func TestKindDemo_KeepsAClusterThatIsThere(t *testing.T) {
	calls, _, err := kindDemo(t, "CLUSTERS=pod-helpers")
	if err != nil || strings.Contains(calls, "create cluster") {
		t.Errorf("%v\n%s", err, calls)
	}
}

func TestKindDemo_FailsWhenAPromiseIsBroken(t *testing.T) {
	for _, broken := range []string{"MISSING=1", "ERRORS=2"} {
		if _, out, err := kindDemo(t, broken); err == nil || !strings.Contains(out, "FAILED") {
			t.Errorf("%s: %v\n%s", broken, err, out)
		}
	}
}

func TestScripts_SatisfyRealShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if out, err := exec.Command(shellcheck, "../kind/demo.sh", "docker/run-pod.sh", "../.ci/run", "../.ci/packages").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
