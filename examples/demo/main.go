// Command demo is what the example Pods are made of besides the helpers: the application whose container never
// changes, the backend that it calls, and the receiver of its log. One binary, so that one image serves all Pods.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
	"github.com/pod-helpers/pod-helpers/examples/demo/kill"
	"github.com/pod-helpers/pod-helpers/examples/demo/show"
	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
	"github.com/pod-helpers/pod-helpers/examples/podfile"
)

const usage = `demo            runs the Pod of examples/pods/all-three.yaml as local processes and shows what happens; KEEP=1 stays up
demo show       the same, with flags
demo app        an application: writes a rotating JSON log, calls its backend, serves /stats
demo upstream   a backend behind TLS that fails one request in ten
demo sink       a receiver of log lines that counts every line id
demo kill       kills a process of the Pod with SIGKILL: a drill
demo certs      prints the backend's certificates as Kubernetes manifests (--dir DIR writes files)
demo volumes    FILE DIR writes the ConfigMaps of a Pod's manifest into directories, one for each of its volumes

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
		args = []string{"show"}
	}
	switch name, rest := args[0], args[1:]; name {
	case "show":
		return demonstrate(ctx, rest, stdout)
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
	case "volumes":
		return writeVolumes(rest)
	case "help", "--help", "-h":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("no program %q\n\n%s", name, usage)
	}
}

func demonstrate(ctx context.Context, args []string, stdout io.Writer) error {
	o := show.Options{Keep: os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0"}
	fs := flag.NewFlagSet("demo show", flag.ContinueOnError)
	fs.DurationVar(&o.Duration, "duration", 20*time.Second, "watch for this long")
	fs.BoolVar(&o.Keep, "keep", o.Keep, "stay up until Ctrl-C")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	var err error
	if o.Root, err = findRoot(); err != nil {
		return err
	}
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	return show.Run(ctx, stdout, o)
}

// writeVolumes is for whoever runs the Pod without Kubernetes, with the same configuration files.
func writeVolumes(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want a manifest and a directory, not %q", args)
	}
	file, err := podfile.Read(args[0])
	if err != nil {
		return err
	}
	_, err = file.WriteVolumes(args[1])
	return err
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
