//go:build e2e

// Package e2e holds the claims of each pattern on a real cluster: the one of KUBECONFIG, which has the images already,
// or, without that, one that is started for the run by the scripts in KUBELAB.
package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const namespace = "pod-helpers-e2e"

var images = []string{"pod-helpers/demo:dev", "pod-helpers/sidecar-logshipper:dev", "pod-helpers/ambassador-proxy:dev", "pod-helpers/adapter-metrics:dev"}

// client of the cluster, and the pages that speak of it; set by TestMain.
var (
	client *kubernetes.Clientset
	docs   *pages
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they mostly wait for the kubelet; the flag exists
	code, err := run(m)
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		lab, err := startLab()
		if err != nil {
			return 1, err
		}
		defer lab.stop()
		kubeconfig = lab.kubeconfig
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 1, err
	}
	config.QPS, config.Burst = 100, 200
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	ctx := context.Background()
	if err := prepareNamespace(ctx); err != nil {
		return 1, err
	}
	if docs, err = readPages(kubeconfig); err != nil {
		return 1, err
	}
	defer docs.close()
	if err := startBackends(ctx); err != nil {
		return 1, err
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		if left := docs.neverRun(); len(left) > 0 {
			return 1, fmt.Errorf("no test runs these commands of the pages:\n%s", strings.Join(left, "\n"))
		}
	}
	return code, nil
}

// command runs a program at the root of the repository and returns what it printed.
func command(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %v: %w\n%s%s", name, args, err, &out, &errs)
	}
	return out.String(), nil
}

// lab is a one-node cluster made of local processes.
type lab struct {
	scripts, kubeconfig string
	env                 []string
}

func startLab() (*lab, error) {
	scripts := os.Getenv("KUBELAB")
	if scripts == "" {
		scripts = "../shared/tools/kubelab"
	}
	if info, err := os.Stat(filepath.Join("..", "..", scripts)); !filepath.IsAbs(scripts) && (err != nil || !info.IsDir()) {
		return nil, fmt.Errorf("no cluster: set KUBECONFIG, or KUBELAB to a folder of scripts that start one")
	}
	l := &lab{scripts: scripts, env: []string{"KUBELAB_NAME=e2e", "KUBELAB_NET=10.223.0", "KUBELAB_PODS=10.224.0", "KUBELAB_SERVICES=10.225.0"}}
	if _, err := command(l.env, scripts+"/build.sh"); err != nil {
		return nil, err
	}
	out, err := command(l.env, scripts+"/up.sh")
	if err != nil {
		return nil, err
	}
	match := regexp.MustCompile(`KUBECONFIG=(\S+)`).FindStringSubmatch(out)
	if match == nil {
		l.stop()
		return nil, fmt.Errorf("%s/up.sh named no KUBECONFIG: %s", scripts, out)
	}
	l.kubeconfig = match[1]
	load := images
	for _, s := range servers {
		if err := s.ensure(); err != nil {
			l.stop()
			return nil, err
		}
		load = append(load, s.image)
	}
	if _, err := command(l.env, scripts+"/load-image.sh", load...); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// stop ends the cluster, and with it everything that the tests left there.
func (l *lab) stop() {
	if _, err := command(l.env, l.scripts+"/down.sh"); err != nil {
		log.Print(err)
	}
}

// prepareNamespace makes a fresh namespace that admits only restricted Pods.
func prepareNamespace(ctx context.Context) error {
	_ = client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}) // of an earlier run
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	err := poll(ctx, time.Minute, func() error {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return poll(ctx, time.Minute, func() error { // Pods are refused until the controller has made it
		_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// startBackends starts what the example Pods talk to, by the commands of their README.
func startBackends(ctx context.Context) error {
	for _, command := range []string{
		"docker run --rm pod-helpers/demo:dev certs | kubectl apply -f -",
		"kubectl apply -f examples/pods/backends.yaml",
	} {
		if _, err := docs.run(ctx, command); err != nil {
			return err
		}
	}
	for _, name := range []string{"upstream", "sink"} {
		if err := poll(ctx, time.Minute, func() error { return available(ctx, name, 1) }); err != nil {
			return err
		}
	}
	return nil
}
