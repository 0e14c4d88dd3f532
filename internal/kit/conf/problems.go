package conf

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Problem is one thing wrong with a configuration.
type Problem struct {
	File      string // empty when the value came from a flag, the environment or a default
	Line, Col int    // from 1; 0 when unknown
	Path      string // outputs[0].loki.url, --path, LOGSHIPPER_PATH
	Message   string // what is wrong
	Hint      string // what to do about it; may be empty
	Source    string // the offending line
}

// String is file:line:col: path: message (hint), then the offending line with a caret under the place.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Col)
		}
		b.WriteByte(' ')
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	if p.Source != "" {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", p.Line, p.Source, strings.Repeat(" ", max(p.Col-1, 0)))
	}
	return password.ReplaceAllString(b.String(), "://$1:xxxxx@")
}

// password finds one in a URL that RedactURL cannot read: a URL that is wrong is shown, and ends up in the log.
var password = regexp.MustCompile(`://([^\s/?#"':@]*):[^\s/?#"']*@`)

// Problems collects everything that is wrong, so that a user repairs a file once and not line by line.
// It is an error when it is not empty. Not safe for concurrent use.
type Problems struct {
	List []Problem

	file  string
	lines []string
	root  *yaml.Node
	unset []*yaml.Node // values with a variable that is not set: nothing else can be told of them
}

// Add notes a problem of the value at path, a YAML path such as outputs[0].loki.url or a flag name.
// Where the value, or what surrounds it, stands in the file, the problem carries its position.
func (p *Problems) Add(path, message, hint string) {
	p.addAt(locate(p.root, path), path, message, hint)
}

// OneOf notes a problem unless exactly one pointer of the struct that union points to is set.
func (p *Problems) OneOf(path string, union any) {
	v := reflect.Indirect(reflect.ValueOf(union))
	var names, set []string
	for i := range v.NumField() {
		if v.Field(i).Kind() != reflect.Pointer {
			continue
		}
		name, _, _ := fieldKey(v.Type().Field(i))
		names = append(names, name)
		if !v.Field(i).IsNil() {
			set = append(set, name)
		}
	}
	switch len(set) {
	case 0:
		p.Add(path, "names no kind", "write one of "+strings.Join(names, ", "))
	case 1:
	default:
		p.Add(path, "names "+strings.Join(set, " and "), "exactly one is wanted; make two entries of it")
	}
}

// Err is p, or nil when nothing is wrong.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}

// Error lists the problems in the order of the file, one or three lines each.
func (p *Problems) Error() string {
	sorted := slices.Clone(p.List)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return a.Line - b.Line })
	texts := make([]string, len(sorted))
	for i, problem := range sorted {
		texts[i] = problem.String()
	}
	return strings.Join(texts, "\n")
}

func (p *Problems) addAt(n *yaml.Node, path, message, hint string) {
	if slices.Contains(p.unset, n) {
		return
	}
	problem := Problem{Path: path, Message: message, Hint: hint}
	if n != nil {
		problem.File, problem.Line, problem.Col = p.file, n.Line, n.Column
		if n.Line >= 1 && n.Line <= len(p.lines) {
			problem.Source = strings.ReplaceAll(p.lines[n.Line-1], "\t", " ")
		}
	}
	p.List = append(p.List, problem)
}

// locate finds the node at path, or the nearest one around it; nil when the file says nothing about it.
func locate(root *yaml.Node, path string) *yaml.Node {
	if root == nil || strings.HasPrefix(path, "--") {
		return nil
	}
	found := (*yaml.Node)(nil)
	n := root
	for step := range pathSteps(path) {
		key, value := child(n, step)
		if value == nil {
			break
		}
		n, found = value, value
		if key != nil && value.Kind != yaml.ScalarNode {
			found = key
		}
	}
	return found
}

// pathSteps yields "outputs", "0", "loki", "url" of outputs[0].loki.url.
func pathSteps(path string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
			if !yield(step) {
				return
			}
		}
	}
}

func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	n = resolved(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if fmt.Sprint(i) == step {
				return nil, item
			}
		}
	}
	return nil, nil
}

func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}
