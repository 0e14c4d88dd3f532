package kit

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
	"github.com/pod-helpers/pod-helpers/internal/kit/logs"
)

func (p *process[C]) builtin() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"run":         p.run,
		"check":       p.check,
		"explain":     p.explain,
		"healthcheck": p.healthcheck,
		"wait":        p.wait,
		"quit":        p.quit,
		"schema":      p.alone(p.schema),
		"version":     p.alone(p.printVersion),
		"help":        func(context.Context, []string) error { return p.help() },
	}
}

// alone is a command that takes no arguments.
func (p *process[C]) alone(run func() error) func(context.Context, []string) error {
	return func(_ context.Context, args []string) error {
		if asksHelp(args) {
			return p.help()
		}
		if len(args) > 0 {
			return Usage("unexpected argument %q", args[0])
		}
		return run()
	}
}

func asksHelp(args []string) bool { return len(args) > 0 && args[0] == "--help" }

// load reads the configuration; done is true when the arguments only asked for help or the version.
func (p *process[C]) load(args []string) (loaded *conf.Loaded[C], done bool, err error) {
	return p.answered(p.loader.Load(args, p.environ))
}

// loadClient is load for a command that only talks to the running helper; extra binds its own flags.
func (p *process[C]) loadClient(args []string, extra func(*conf.Flags)) (loaded *conf.Loaded[C], done bool, err error) {
	return p.answered(p.loader.LoadClient(args, p.environ, extra))
}

func (p *process[C]) answered(loaded *conf.Loaded[C], err error) (*conf.Loaded[C], bool, error) {
	switch {
	case err != nil:
		return nil, false, err
	case loaded.Help:
		return nil, true, p.help()
	case loaded.Version:
		return nil, true, p.printVersion()
	}
	return loaded, false, nil
}

func (p *process[C]) check(ctx context.Context, args []string) error {
	loaded, done, err := p.load(args)
	if err != nil || done {
		return err
	}
	if p.Check != nil {
		if err := p.Check(ctx, loaded.Config, p.invocation(loaded.Config, loaded.Rest)); err != nil {
			return err
		}
	}
	text, err := loaded.Dump()
	if err == nil {
		_, err = p.stdout.Write(text)
	}
	return err
}

func (p *process[C]) explain(ctx context.Context, args []string) error {
	loaded, done, err := p.answered(p.loader.LoadWith(args, p.environ))
	if err != nil || done {
		return err
	}
	return p.Explain(ctx, loaded.Config, p.invocation(loaded.Config, loaded.Rest))
}

func (p *process[C]) command(ctx context.Context, c Command[C], args []string) error {
	if c.NoConfig {
		if asksHelp(args) {
			return p.help()
		}
		config := p.Defaults()
		return c.Run(ctx, nil, p.invocation(&config, args))
	}
	loaded, done, err := p.answered(p.loader.LoadWith(args, p.environ))
	if err != nil || done {
		return err
	}
	return c.Run(ctx, loaded.Config, p.invocation(loaded.Config, loaded.Rest))
}

func (p *process[C]) invocation(config *C, rest []string) Invocation {
	base := any(config).(interface{ Base() *conf.Common }).Base()
	return Invocation{
		Args: rest, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
		Env: p.env(logs.New(p.stderr, logs.Level(base.LogLevel), base.LogFormat)),
	}
}

// env has its own registry, so that nothing that a library registers globally shows up as the helper's.
func (p *process[C]) env(log *slog.Logger) Env {
	registry := prometheus.NewRegistry()
	return Env{
		Log: log, Metrics: registry, Pod: life.PodFromEnv(), Secrets: conf.NewSecrets(),
		Admin: admin.New(p.Name, registry, log),
	}
}

func (p *process[C]) schema() error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(p.loader.Schema())
}

func (p *process[C]) printVersion() error {
	_, err := fmt.Fprintln(p.stdout, readBuild().line(p.Name))
	return err
}

//go:embed usage.txt
var common string

// help is the helper's own text, then that of all.
func (p *process[C]) help() error {
	b := strings.Builder{}
	b.WriteString(p.Usage)
	b.WriteString(strings.Replace(common, "ADMIN", p.AdminAddress, 1))
	for _, name := range slices.Sorted(maps.Keys(p.Commands)) {
		fmt.Fprintf(&b, "  %-22s %s\n", name, p.Commands[name].Summary)
	}
	fmt.Fprintf(&b, `
Every flag has a variable: --drain-quiet is %sDRAIN_QUIET. A flag wins over it, it wins over the file.
Exit codes: 0 clean, 1 failed, 2 bad flags or configuration, 3 stopped with work left
`, p.EnvPrefix)
	_, err := io.WriteString(p.stdout, b.String())
	return err
}
