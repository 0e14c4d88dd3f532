package conf

import (
	"reflect"
	"strings"
)

// Loader says how the configuration of one helper is found and filled.
type Loader[C any] struct {
	Name         string // sidecar-logshipper
	EnvPrefix    string // LOGSHIPPER_
	AdminAddress string // default of --admin-address
	Defaults     func() C
	Flags        func(*Flags, *C)
}

// Loaded is a configuration and what else the command line said.
type Loaded[C any] struct {
	Config        *C
	File          string   // --config; empty when flags alone configure the helper
	Rest          []string // arguments that are no flags
	Links         []string // ignored service-link variables
	Help, Version bool

	env *environment
}

type configuration interface{ Base() *Common }

// Load fills the configuration from defaults, the file named by --config, the environment (KEY=value pairs) and
// args, in rising precedence, completes it (Complete method, when there is one) and validates it (Validate method).
// The error is a *Problems with everything that is wrong; nothing is when args ask for help or the version. LoadWith lets
// arguments that are no flags be.
func (l Loader[C]) Load(args, environ []string) (*Loaded[C], error) {
	return l.load(args, environ, false)
}

// LoadWith is Load for a command that takes arguments.
func (l Loader[C]) LoadWith(args, environ []string) (*Loaded[C], error) {
	return l.load(args, environ, true)
}

func (l Loader[C]) load(args, environ []string, takesArguments bool) (*Loaded[C], error) {
	out, problems := l.fill(args, environ, nil)
	if out.Help || out.Version {
		return out, nil
	}
	if !takesArguments {
		out.noArguments(problems)
	}
	if len(problems.List) > 0 {
		return out, problems.Err()
	}
	complete(out.Config)
	l.base(out.Config).validate(problems)
	if v, ok := any(out.Config).(interface{ Validate(*Problems) }); ok {
		v.Validate(problems)
	}
	return out, problems.Err()
}

// LoadClient fills the configuration for a command that only talks to a running helper: what is wrong with the rest of the
// configuration is the running helper's business. extra binds the command's own flags.
func (l Loader[C]) LoadClient(args, environ []string, extra func(*Flags)) (*Loaded[C], error) {
	out, problems := l.fill(args, environ, extra)
	if out.Help || out.Version {
		return out, nil
	}
	flagsOnly := &Problems{}
	for _, problem := range problems.List {
		if strings.HasPrefix(problem.Path, "-") {
			flagsOnly.List = append(flagsOnly.List, problem)
		}
	}
	out.noArguments(flagsOnly)
	return out, flagsOnly.Err()
}

func (l *Loaded[C]) noArguments(p *Problems) {
	if len(l.Rest) > 0 {
		p.Add(l.Rest[0], "unexpected argument", "a command stands in front of the flags, which have two dashes; a pattern needs quotes, or the shell expands it")
	}
}

func (l Loader[C]) fill(args, environ []string, extra func(*Flags)) (*Loaded[C], *Problems) {
	config := l.Defaults()
	base := l.base(&config)
	own := *base
	base.setDefaults(l.AdminAddress)
	overlay(base, own)

	out := &Loaded[C]{Config: &config}
	flags := l.bind(&config)
	flags.String(&out.File, "config", "configuration file (YAML)")
	flags.Bool(&out.Help, "help", "this text")
	flags.Bool(&out.Version, "version", "print the version")
	if extra != nil {
		extra(flags)
	}

	problems := &Problems{}
	fromArgs, rest := flags.parse(args, problems)
	env := &environment{environ, map[string]bool{}}
	out.env = env
	// --config decides what the file says, so it is needed before the others.
	fromEnv, _ := env.lookup(envName(l.EnvPrefix, "config"))
	if file := last(fromArgs["config"], []string{fromEnv}); file != "" && fromArgs["help"] == nil && fromArgs["version"] == nil {
		inFile := l.parseFile(file, &config, env.lookup)
		inFile.List = append(inFile.List, problems.List...)
		problems = inFile
	}
	out.Rest = rest
	values, links := flags.environ(l.EnvPrefix, env, problems)
	out.Links = links
	flags.apply(l.EnvPrefix, values, fromArgs, problems)
	return out, problems
}

// last is the last value of the first source that has one.
func last(sources ...[]string) string {
	for _, values := range sources {
		if len(values) > 0 {
			return values[len(values)-1]
		}
	}
	return ""
}

// Names are the flags of the helper, for the test that its usage text names them all.
func (l Loader[C]) Names() []string {
	config := l.Defaults()
	return append(l.bind(&config).Names(), "config", "help", "version")
}

// Schema is the JSON Schema of the configuration file.
func (l Loader[C]) Schema() map[string]any { return Schema(l.Name, reflect.TypeFor[C]()) }

func (l Loader[C]) bind(config *C) *Flags {
	flags := &Flags{}
	if l.Flags != nil {
		l.Flags(flags, config)
	}
	l.base(config).bind(flags)
	return flags
}

func (l Loader[C]) base(config *C) *Common { return any(config).(configuration).Base() }

func (l Loader[C]) parseFile(file string, config *C, env func(string) (string, bool)) *Problems {
	data, failed := readConfig(file)
	if failed != nil {
		return failed
	}
	problems, err := Parse(file, data, config, env)
	if err != nil {
		l.admin(problems.lines, config, env)
	}
	return problems
}

// admin takes the address of the admin server from a file that is wrong elsewhere: the helper that was started with what was
// right before still listens there, and a probe that asked another address would have it killed.
func (l Loader[C]) admin(lines []string, config *C, env func(string) (string, bool)) {
	for _, line := range lines {
		if strings.HasPrefix(line, "admin_address:") {
			_, _ = Parse("", []byte(line), l.base(config), env) // whose problems are told already
		}
	}
}

// apply hands each flag the values of its highest source.
func (f *Flags) apply(prefix string, fromEnv, fromArgs map[string][]string, p *Problems) {
	for _, fl := range f.all {
		values, label := fromArgs[fl.name], "--"+fl.name
		if values == nil {
			values, label = fromEnv[fl.name], envName(prefix, fl.name)
		}
		if values == nil {
			continue
		}
		if err := fl.set(values); err != nil {
			for _, wrong := range fl.mistakes(values, err) {
				p.Add(label, wrong.Error(), "")
			}
		}
	}
}

// mistakes are those of each value that is wrong by itself, where set has stopped at the first.
func (fl *flag) mistakes(values []string, err error) (all []error) {
	if fl.repeatable {
		for _, v := range values {
			if wrong := fl.set([]string{v}); wrong != nil {
				all = append(all, wrong)
			}
		}
	}
	if len(all) == 0 {
		return []error{err}
	}
	return all
}

// complete lets a configuration fill what depends on other values, before it is validated.
func complete(config any) {
	if c, ok := config.(interface{ Complete() }); ok {
		c.Complete()
	}
}

// overlay keeps the common settings that a helper's own defaults have set.
func overlay(base *Common, from Common) {
	to, own := reflect.ValueOf(base).Elem(), reflect.ValueOf(from)
	for i := range own.NumField() {
		if !own.Field(i).IsZero() {
			to.Field(i).Set(own.Field(i))
		}
	}
}
