// Command demo is what the example Pods are made of besides the helpers: the application whose container never
// changes, the backend that it calls, and the receiver of its log. One binary, so that one image serves all Pods.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

const usage = `demo app        an application: writes a rotating JSON log, calls its backend, serves /stats
demo upstream   a backend behind TLS that fails one request in ten
demo sink       a receiver of log lines that counts every line id
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
		return errors.New("no program named\n\n" + usage)
	}
	switch name, rest := args[0], args[1:]; name {
	case "app":
		return app.Main(ctx, rest)
	case "upstream":
		return upstream.Main(ctx, rest)
	case "certs":
		return upstream.Certs(rest, stdout)
	case "sink":
		return sink.Main(ctx, rest)
	case "help", "--help", "-h":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("no program %q\n\n%s", name, usage)
	}
}
