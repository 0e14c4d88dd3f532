package conf

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// serviceLink matches the variables that Kubernetes injects for every Service of the namespace, without the prefix:
// a Service called "ambassador" gives AMBASSADOR_PORT=tcp://10.0.0.1:80 and nine more.
var serviceLink = regexp.MustCompile(`^([A-Z0-9_]*_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

var serviceLinkValue = regexp.MustCompile(`^(tcp|udp|sctp)://[0-9a-fA-F.:\[\]]+$`)

// environment is the process's, as KEY=value pairs. used are the names that the configuration file refers to: they may
// carry the helper's prefix without being flags.
type environment struct {
	pairs []string
	used  map[string]bool
}

func (e *environment) lookup(name string) (string, bool) {
	e.used[name] = true
	for _, pair := range e.pairs {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

var secretName = regexp.MustCompile(`TOK|SECRET|PASS|PWD|CREDENTIAL|KEY|AUTH`)

// leastSecret in bytes: what is shorter stands in other words too.
const leastSecret = 4

// secrets puts back the references to what was looked up under a name that says that it is secret.
func (e *environment) secrets() *strings.Replacer {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(e.used)) {
		if value, _ := e.lookup(name); len(value) >= leastSecret && secretName.MatchString(strings.ToUpper(name)) {
			pairs = append(pairs, value, "${env:"+name+"}")
		}
	}
	return strings.NewReplacer(pairs...)
}

// environ collects what the environment says about flags: values by flag name.
// Service links are ignored and returned for one warning; other unknown names with the prefix are problems.
func (f *Flags) environ(prefix string, env *environment, p *Problems) (values map[string][]string, links []string) {
	values = map[string][]string{}
	known := map[string]*flag{}
	var names []string
	for _, fl := range f.all {
		name := envName(prefix, fl.name)
		known[name], names = fl, append(names, name)
	}
	for _, pair := range env.pairs {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix) || value == "" {
			continue
		}
		fl := known[name]
		switch {
		case serviceLink.MatchString(strings.TrimPrefix(name, prefix)) && (fl == nil || serviceLinkValue.MatchString(value)):
			links = append(links, name)
		case fl == nil && env.used[name]:
		case fl == nil:
			p.Add(name, "unknown environment variable", didYouMean(name, names))
		default:
			values[fl.name] = fl.split(value)
		}
	}
	return values, links
}

func envName(prefix, flagName string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

func (fl *flag) split(value string) []string {
	if !fl.repeatable {
		return []string{value}
	}
	var values []string
	for _, v := range strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || (fl.comma && r == ',') }) {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}
