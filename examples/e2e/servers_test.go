//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// server is a third-party image that a manifest names, and how to make one like it from this machine's packages where
// no registry can be reached.
type server struct {
	image, binary, command string
	also                   []string // more programs
	files                  map[string]string
}

var servers = []server{
	{
		image: "nginxinc/nginx-unprivileged:1.29", binary: "/usr/sbin/nginx", command: `["nginx", "-g", "daemon off;", "-e", "/tmp/error.log"]`,
		files: map[string]string{
			"etc/passwd": "nginx:x:101:101::/:/bin/false\n", "etc/group": "nginx:x:101:\n",
			"etc/nginx/nginx.conf": `pid /tmp/nginx.pid;
events {}
http {
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  include /etc/nginx/conf.d/*.conf;
}
`,
		},
	},
	{image: "redis:8", binary: "/usr/bin/redis-server", also: []string{"/usr/bin/redis-benchmark"}, command: `["redis-server"]`},
	{image: "prom/prometheus:v2.42.0", binary: "/usr/bin/prometheus", command: `["prometheus"]`, files: map[string]string{"etc/prometheus/empty": ""}},
}

// ensure pulls the image, or makes it out of the installed program and its libraries.
func (s server) ensure() error {
	if exec.Command("docker", "image", "inspect", s.image).Run() == nil || exec.Command("docker", "pull", "-q", s.image).Run() == nil {
		return nil
	}
	root, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	libraries, err := exec.Command("ldd", append(s.also, s.binary)...).Output()
	if err != nil {
		return fmt.Errorf("no image %s, and %s is not installed: %w", s.image, s.binary, err)
	}
	paths := append(regexp.MustCompile(`/\S+\.so\S*`).FindAllString(string(libraries), -1), append(s.also, s.binary)...)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := place(root, path, data); err != nil {
			return err
		}
	}
	for path, text := range s.files {
		if err := place(root, path, []byte(text)); err != nil {
			return err
		}
	}
	dockerfile := "FROM scratch\nCOPY . /\nENV PATH=/usr/sbin:/usr/bin\nUSER 65534\nENTRYPOINT " + s.command + "\n"
	if err := os.WriteFile(filepath.Join(root, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return err
	}
	if out, err := exec.Command("docker", "build", "-q", "-t", s.image, root).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", s.image, err, out)
	}
	return nil
}

func place(root, path string, data []byte) error {
	to := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func ready(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, 60*time.Second, func() (err error) {
		if pod, err = client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("Pod %s is not ready", name)
	})
	return pod
}

const prometheus = `apiVersion: v1
kind: ConfigMap
metadata: {name: prometheus}
data:
  prometheus.yml: |
    global: {scrape_interval: 1s}
    scrape_configs:
      - job_name: helpers
        static_configs: [{targets: ["IP:19101", "IP:19102", "IP:19103"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: prometheus
      image: prom/prometheus:v2.42.0
      args: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/prometheus]
      readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: data, mountPath: /prometheus}, {name: config, mountPath: /etc/prometheus}]
  volumes: [{name: data, emptyDir: {}}, {name: config, configMap: {name: prometheus}}]
`

func TestPrometheus_ScrapesEveryHelperAndTheAdaptedApp(t *testing.T) {
	t.Parallel()
	start(t, "all-three.yaml", "scraped", nil)
	pod := ready(t, "scraped")
	if err := create(t.Context(), []byte(strings.ReplaceAll(prometheus, "IP", pod.Status.PodIP)), nil); err != nil {
		t.Fatal(err)
	}
	ready(t, "prometheus")
	query := func(expression string, want float64) {
		t.Helper()
		eventually(t, 30*time.Second, func() error {
			text, err := through(t.Context(), "pods", "prometheus:9090", "api/v1/query?query="+expression)
			if err != nil {
				return err
			}
			var answer struct {
				Data struct{ Result []struct{ Value [2]any } }
			}
			if err := json.Unmarshal(text, &answer); err != nil {
				return err
			}
			if len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != fmt.Sprint(want) {
				return fmt.Errorf("%s: %s, want %v", expression, text, want)
			}
			return nil
		})
	}
	query(`sum(up)`, 3)
	query(`count(rate(shop_log_lines_total[10s])>50)`, 1)
	query(`count(shop_backend_calls_total)`, 3)
	query(`sum(shop_backend_errors_total)`, 0)
	query(`count({__name__=~"(logshipper|ambassador|adapter)_build_info"})`, 3)
}
