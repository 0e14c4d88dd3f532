// Command demo is what the example Pods are made of besides the helpers: the application whose container never
// changes, the backend that it calls, and the receiver of its log. One binary, so that one image serves all Pods.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
	"github.com/pod-helpers/pod-helpers/examples/demo/kill"
	"github.com/pod-helpers/pod-helpers/examples/demo/show"
	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

const usage = `demo            runs the Pod of examples/pods/all-three.yaml as local processes and shows what happens; KEEP=1 stays up
demo app        an application: writes a rotating JSON log, calls its backend, serves /stats
demo upstream   a backend behind TLS that fails one request in ten
demo sink       a receiver of log lines that counts every line id
demo kill       kills a process of the Pod with SIGKILL: a drill
demo certs      prints the backend's certificates as Kubernetes manifests (--dir DIR writes files)

demo PROGRAM --help lists a program's flags; each flag F can be set by the variable DEMO_F.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return demonstrate(ctx, stdout)
	}
	switch name, rest := args[0], args[1:]; name {
	case "app":
		return app.Main(ctx, rest)
	case "upstream":
		return upstream.Main(ctx, rest)
	case "certs":
		return upstream.Certs(rest, stdout)
	case "kill":
		return kill.Main(ctx, rest)
	case "sink":
		return sink.Main(ctx, rest)
	case "help", "--help", "-h":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("no program %q\n\n%s", name, usage)
	}
}

func demonstrate(ctx context.Context, stdout io.Writer) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	keep := os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0"
	return show.Run(ctx, stdout, show.Options{Root: root, Program: program, Duration: 20 * time.Second, Keep: keep})
}

// findRoot goes up from the working directory to the folder of go.work.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find the repository above %s: no go.work (run the demo inside it)", dir)
		}
	}
}
