package show

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
	"github.com/pod-helpers/pod-helpers/examples/podfile"
)

// pod is the Pod of the manifest, its backend and its receiver, as processes.
type pod struct {
	dir, root, program string

	volumes   map[string]string // volume → directory
	addresses map[string]string // address in the manifest → address here
	processes []*process        // in the order of their start

	app, backend, sink string            // base URLs of /stats, of the backend's /counts, of the receiver
	admin              map[string]string // helper → base URL of its admin server
}

// helper is the container name, the folder of its module and the prefix of its variables.
var helpers = map[string]struct{ module, prefix string }{
	"logshipper": {"sidecar-logshipper", "LOGSHIPPER_"},
	"ambassador": {"ambassador-proxy", "AMBASSADOR_"},
	"adapter":    {"adapter-metrics", "ADAPTER_"},
}

func (p *pod) build(ctx context.Context) error {
	args := []string{"build", "-o", filepath.Join(p.dir, "bin") + "/"}
	for _, h := range helpers {
		args = append(args, "./"+h.module)
	}
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = p.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the helpers: %w\n%s", err, text)
	}
	return nil
}

// start starts what the Pod talks to, then its sidecars one after the other, each when the one before is ready, and
// the app last: the order that a kubelet keeps.
func (p *pod) start(ctx context.Context) error {
	manifest, err := podfile.Read(filepath.Join(p.root, "examples/pods/all-three.yaml"))
	if err != nil {
		return err
	}
	if p.volumes, err = manifest.WriteVolumes(filepath.Join(p.dir, "volumes")); err != nil {
		return err
	}
	ca := p.volumes["upstream-ca"]
	if err := upstream.Certs([]string{"--dir", ca}, nil); err != nil {
		return err
	}
	control, err := p.findAddresses()
	if err != nil {
		return err
	}
	if err := p.launch("sink", p.program, []string{"sink", "--listen", p.addresses["sink:9428"]}, nil); err != nil {
		return err
	}
	err = p.launch("upstream", p.program, []string{"upstream", "--listen", p.addresses["upstream:8443"], "--control", control,
		"--cert", filepath.Join(ca, "tls.crt"), "--key", filepath.Join(ca, "tls.key")}, nil)
	if err != nil {
		return err
	}
	for _, url := range []string{p.sink + "/counts", p.backend + "/counts"} {
		if err := ready(ctx, url); err != nil {
			return errors.Join(err, p.lastWords())
		}
	}
	for _, c := range manifest.Pod.InitContainers {
		if err := p.launchHelper(c); err != nil {
			return err
		}
		if err := ready(ctx, p.admin[c.Name]+"/readyz"); err != nil {
			return errors.Join(err, p.lastWords())
		}
	}
	for _, c := range manifest.Pod.Containers {
		if err := p.launch(c.Name, p.program, p.local(c, c.Args), p.env(c)); err != nil {
			return err
		}
	}
	if err := ready(ctx, p.app+"/stats"); err != nil {
		return errors.Join(err, p.lastWords())
	}
	return nil
}

// findAddresses keeps each port of the manifest when it is free on this machine, and takes another when it is not.
func (p *pod) findAddresses() (control string, err error) {
	p.addresses = map[string]string{}
	for _, address := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "upstream:8443", "upstream:8444", "sink:9428"} {
		if p.addresses[address], err = freeAddress(address); err != nil {
			return "", err
		}
	}
	control = p.addresses["upstream:8444"]
	p.app = "http://" + p.addresses["127.0.0.1:8080"]
	p.backend = "http://" + control
	p.sink = "http://" + p.addresses["sink:9428"]
	p.admin = map[string]string{}
	return control, nil
}

func freeAddress(like string) (string, error) {
	_, port, err := net.SplitHostPort(like)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func (p *pod) launchHelper(c podfile.Container) error {
	h, ok := helpers[c.Name]
	if !ok || !c.Sidecar() || len(c.Ports) != 1 {
		return fmt.Errorf("container %s of the manifest is not a helper with one port", c.Name)
	}
	admin, err := freeAddress(":" + strconv.Itoa(c.Ports[0].ContainerPort))
	if err != nil {
		return err
	}
	p.admin[c.Name] = "http://" + admin
	env := append(p.env(c), h.prefix+"ADMIN_ADDRESS="+admin)
	return p.launch(c.Name, filepath.Join(p.dir, "bin", h.module), p.local(c, c.Args), env)
}

// local replaces what is elsewhere here: mount paths by the volumes' directories, and the addresses.
func (p *pod) local(c podfile.Container, values []string) []string {
	var pairs []string
	for _, m := range c.Mounts {
		pairs = append(pairs, m.MountPath, p.volumes[m.Name])
	}
	for from, to := range p.addresses {
		pairs = append(pairs, from, to)
	}
	replacer := strings.NewReplacer(pairs...)
	replaced := make([]string, len(values))
	for i, v := range values {
		replaced[i] = replacer.Replace(v)
	}
	return replaced
}

// env is the whole environment of a container: as in the Pod, nothing of this machine's is in it.
func (p *pod) env(c podfile.Container) []string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	fields := map[string]string{"metadata.name": "all-three", "metadata.namespace": "default", "spec.nodeName": host}
	var env []string
	for _, e := range c.Env {
		value := e.Value
		if path := e.ValueFrom.FieldRef.FieldPath; path != "" {
			value = fields[path]
		}
		env = append(env, e.Name+"="+value)
	}
	return p.local(c, env)
}

// ready polls url every 20 ms until it answers 200, for 10 s.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
