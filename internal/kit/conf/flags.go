package conf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flags binds flag names to the fields of a configuration. The same names, in upper snake case behind the helper's
// prefix, are its environment variables. Names are kebab-case.
type Flags struct {
	all []*flag
}

type flag struct {
	name, help string
	boolean    bool
	comma      bool // the environment variable may separate values by commas
	repeatable bool
	set        func(values []string) error
}

// String binds text.
func (f *Flags) String(to *string, name, help string) {
	one(f, name, help, func(s string) error { *to = s; return nil })
}

// Enum binds text that is one of values.
func (f *Flags) Enum(to *string, name string, values []string, help string) {
	one(f, name, help, func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(values, ", "))
		}
		*to = s
		return nil
	})
}

// Bool binds a switch: --name, --name=false.
func (f *Flags) Bool(to *bool, name, help string) {
	one(f, name, help, func(s string) error {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is not true or false", s)
		}
		*to = v
		return nil
	})
	f.all[len(f.all)-1].boolean = true
}

// Int binds a whole number.
func (f *Flags) Int(to *int, name, help string) {
	parsed(f, to, name, help, func(s string) (int, error) {
		v, err := strconv.Atoi(s)
		if err != nil {
			err = fmt.Errorf("%q is not a whole number", s)
		}
		return v, err
	})
}

// Float binds a number.
func (f *Flags) Float(to *float64, name, help string) {
	parsed(f, to, name, help, func(s string) (float64, error) {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			err = fmt.Errorf("%q is not a number", s)
		}
		return v, err
	})
}

// Duration binds a time span.
func (f *Flags) Duration(to *Duration, name, help string) { parsed(f, to, name, help, ParseDuration) }

// Size binds a number of bytes.
func (f *Flags) Size(to *Size, name, help string) { parsed(f, to, name, help, ParseSize) }

// Rate binds a number of events a second.
func (f *Flags) Rate(to *Rate, name, help string) { parsed(f, to, name, help, ParseRate) }

// List binds a repeatable flag. set gets all values at once, from the highest source that names the flag; the
// environment variable separates them by newlines.
func (f *Flags) List(name, help string, set func(values []string) error) {
	f.all = append(f.all, &flag{name: name, help: help, repeatable: true, set: set})
}

// Words is a List whose values contain no commas: the environment variable may separate them by commas too.
func (f *Flags) Words(name, help string, set func(values []string) error) {
	f.List(name, help, set)
	f.all[len(f.all)-1].comma = true
}

// Names are all flag names, in the order in which they were bound.
func (f *Flags) Names() []string {
	names := make([]string, len(f.all))
	for i, fl := range f.all {
		names[i] = fl.name
	}
	return names
}

func parsed[T any](f *Flags, to *T, name, help string, parse func(string) (T, error)) {
	one(f, name, help, func(s string) error {
		v, err := parse(s)
		if err == nil {
			*to = v
		}
		return err
	})
}

func one(f *Flags, name, help string, set func(string) error) {
	f.all = append(f.all, &flag{name: name, help: help, set: func(values []string) error {
		return set(values[len(values)-1])
	}})
}

func (f *Flags) find(name string) *flag {
	for _, fl := range f.all {
		if fl.name == name {
			return fl
		}
	}
	return nil
}

// parse reads flags wherever they stand, up to a --; rest are the other arguments. Behind the first of them one dash is the
// command's business.
func (f *Flags) parse(args []string, p *Problems) (values map[string][]string, rest []string) {
	values = map[string][]string{}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return values, append(rest, args[1:]...)
		}
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" || len(rest) > 0 && !strings.HasPrefix(arg, "--") {
			rest = append(rest, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		fl := f.find(name)
		switch {
		case !strings.HasPrefix(arg, "--"):
			p.Add(arg, "unknown flag", "flags have two dashes; see --help")
			continue
		case fl == nil:
			p.Add("--"+name, "unknown flag", dashed(didYouMean(name, f.Names())))
			if !hasValue && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // its value, most likely
			}
			continue
		case !hasValue && fl.boolean:
			value = "true"
		case !hasValue && (len(args) == 0 || strings.HasPrefix(args[0], "--")):
			p.Add("--"+name, "needs a value", fl.help)
			continue
		case !hasValue:
			value, args = args[0], args[1:]
		}
		values[name] = append(values[name], value)
	}
	return values, rest
}

func dashed(hint string) string {
	if strings.HasPrefix(hint, `did you mean "`) {
		return strings.Replace(hint, `"`, `"--`, 1)
	}
	return "see --help"
}
