// Package kit is what the three helpers share and what is not about a pattern: the command line, the configuration, the
// admin server and the life of a process in a Pod. A helper describes itself with a Helper and hands it to Main.
package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
)

// Helper describes one helper binary. C is its configuration: a struct that embeds conf.Common inline.
type Helper[C any] struct {
	Name         string // sidecar-logshipper
	EnvPrefix    string // LOGSHIPPER_
	Metrics      string // logshipper: prefix of its metric names
	AdminAddress string // :19101
	Usage        string // begins --help, laid out by hand: what it does, an example, its own flags

	Defaults func() C
	Flags    func(*conf.Flags, *C)

	// Start begins the work. When it returns, listeners are bound and watches are set; it waits for neither the app nor
	// the network. Its goroutines end with the Service's Close; ctx is the life of the process.
	Start func(ctx context.Context, config *C, env Env) (Service[C], error)
	// Explain shows, without side effects, what the helper would do with a sample.
	Explain func(ctx context.Context, config *C, in Invocation) error
	// Check adds to the check command what only the helper can tell of a valid configuration; nil when there is nothing.
	Check func(ctx context.Context, config *C, in Invocation) error
	// Commands are further subcommands by name.
	Commands map[string]Command[C]
}

// Service is a started helper. Its methods are called from different goroutines.
type Service[C any] interface {
	// Reload swaps to a new, valid configuration. After an error the old one is still at work.
	Reload(ctx context.Context, config *C) error
	// Drain works on until the app has been quiet for that long, then finishes what is under way and saves. ctx ends with
	// the drain timeout. It returns a *life.Unfinished when work is left. It is called once at most.
	Drain(ctx context.Context, quiet time.Duration) error
	// Close stops everything at once and waits for the goroutines. It is called once, after Drain if that was called.
	Close() error
	// Done is closed when the service has come to an end by itself; Err then says why, nil for a clean end.
	Done() <-chan struct{}
	Err() error
	// Status are the facts of the status page.
	Status() admin.Status
}

// A Service may also be a Checker or a Liver.
type (
	// Checker adds rows to /readyz. They must not depend on the app or on the destination.
	Checker interface{ Checks() []admin.Check }
	// Liver makes /livez fail by naming the part that is stuck.
	Liver interface{ Live() error }
)

// Env is what a helper works with.
type Env struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Pod     life.Pod
	Secrets *conf.Secrets
	Admin   *admin.Server
}

// Command is a subcommand of one helper. With NoConfig it gets all arguments and a nil configuration.
type Command[C any] struct {
	Summary  string
	NoConfig bool
	Run      func(ctx context.Context, config *C, in Invocation) error
}

// Invocation is how a command was called. Env.Admin is never served.
type Invocation struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            Env
}

// Exit codes of every helper.
const (
	exitOK         = 0
	exitFailed     = 1 // at run time
	exitUsage      = 2 // bad flags or configuration
	exitUnfinished = 3 // the drain ran out of time with work left
)

// secondSignal cut a drain short.
type secondSignal struct{ signal os.Signal }

func (e *secondSignal) Error() string {
	return fmt.Sprintf("stopped at once by a second signal (%s): work may be left", e.signal)
}

type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// Usage is an error of the command line; the process exits with 2.
func Usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// Main runs the helper with the process's environment and standard streams and returns its exit code.
func Main[C any](h Helper[C], args []string) int {
	p := &process[C]{
		Helper: h, environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		loader: conf.Loader[C]{Name: h.Name, EnvPrefix: h.EnvPrefix, AdminAddress: h.AdminAddress, Defaults: h.Defaults, Flags: h.Flags},
	}
	err := p.dispatch(context.Background(), args)
	if err != nil {
		p.complain(err)
	}
	return exitCode(err)
}

type process[C any] struct {
	Helper[C]
	loader         conf.Loader[C]
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

func exitCode(err error) int {
	var problems *conf.Problems
	var usage *usageError
	var unfinished *life.Unfinished
	var second *secondSignal
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &problems), errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unfinished), errors.As(err, &second):
		return exitUnfinished
	}
	return exitFailed
}

// complain makes the reason the last thing that a failing helper says: the kubelet shows it as the termination message.
func (p *process[C]) complain(err error) {
	var problems *conf.Problems
	if errors.As(err, &problems) {
		count := "1 problem"
		if n := len(problems.List); n > 1 {
			count = fmt.Sprintf("%d problems", n)
		}
		fmt.Fprintf(p.stderr, "%s\n%s: %s\n", err, p.Name, count)
		return
	}
	fmt.Fprintf(p.stderr, "%s: %s\n", p.Name, err)
}

func (p *process[C]) dispatch(ctx context.Context, args []string) error {
	name := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	builtin := p.builtin()
	if run, ok := builtin[name]; ok {
		return run(ctx, args)
	}
	if command, ok := p.Commands[name]; ok {
		return p.command(ctx, command, args)
	}
	known := make([]string, 0, len(builtin)+len(p.Commands))
	for n := range builtin {
		known = append(known, n)
	}
	for n := range p.Commands {
		known = append(known, n)
	}
	slices.Sort(known)
	if near := conf.Nearest(name, known); near != "" {
		return Usage("unknown command %q (did you mean %q?)", name, near)
	}
	return Usage("unknown command %q (known: %s)", name, strings.Join(known, ", "))
}
