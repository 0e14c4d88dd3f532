package kit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

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
		"schema":      func(context.Context, []string) error { return p.schema() },
		"version":     func(context.Context, []string) error { return p.printVersion() },
		"help":        func(context.Context, []string) error { return p.help() },
	}
}

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
	text, err := conf.Dump(loaded.Config)
	if err == nil {
		_, err = p.stdout.Write(text)
	}
	return err
}

func (p *process[C]) explain(ctx context.Context, args []string) error {
	loaded, done, err := p.load(args)
	if err != nil || done {
		return err
	}
	return p.Explain(ctx, loaded.Config, p.invocation(loaded.Config, loaded.Rest))
}

func (p *process[C]) command(ctx context.Context, c Command[C], args []string) error {
	if c.NoConfig {
		config := p.Defaults()
		return c.Run(ctx, nil, p.invocation(&config, args))
	}
	loaded, done, err := p.load(args)
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

func (p *process[C]) help() error {
	_, err := fmt.Fprint(p.stdout, p.Usage)
	return err
}
