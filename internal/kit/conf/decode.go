package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Parse reads one YAML document into the struct that into points to, over the values that it holds already.
// It is strict: unknown, duplicate and miscased keys, wrong types and unknown enum values are problems, and all of
// them are returned at once, as a *Problems. env replaces ${env:NAME} references; os.LookupEnv in production.
func Parse(file string, data []byte, into any, env func(string) (string, bool)) (*Problems, error) {
	p := &Problems{file: file, lines: strings.Split(string(data), "\n")}
	root, ok := p.load(data)
	if !ok {
		return p, p.Err()
	}
	if root == nil { // an empty file says nothing
		return p, nil
	}
	p.root = root
	p.expand(root, env)
	p.walk(root, reflect.TypeOf(into).Elem(), "", "", 0)
	if len(p.List) > 0 {
		return p, p.Err()
	}
	if err := root.Decode(into); err != nil {
		p.addAt(root, "", cleanYAML(err), "")
	}
	return p, p.Err()
}

func (p *Problems) load(data []byte) (*yaml.Node, bool) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	var doc, more yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	if err == nil {
		if err = loader.Load(&more); err == nil {
			p.addAt(&more, "", "a second document starts here", "one file holds one document")
			return nil, false
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.syntax(err)
		return nil, false
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		return doc.Content[0], true
	}
	return nil, true
}

func (p *Problems) syntax(err error) {
	at := &yaml.Node{Line: 1, Column: 1}
	if load, ok := errors.AsType[*yaml.LoadError](err); ok && load.Mark.Line > 0 {
		at.Line, at.Column = load.Mark.Line, max(load.Mark.Column, 1)
		hint := ""
		if at.Line <= len(p.lines) && strings.HasPrefix(strings.TrimLeft(p.lines[at.Line-1], " "), "\t") {
			hint = "YAML is indented with spaces, not with tabs"
		}
		p.addAt(at, "", "not YAML: "+load.Message, hint)
		return
	}
	p.addAt(at, "", "not YAML: "+cleanYAML(err), "")
}

var envReference = regexp.MustCompile(`\$\{env:([^}]*)\}`)

// expand replaces ${env:NAME} in every scalar. A plain scalar is typed by what it becomes.
func (p *Problems) expand(n *yaml.Node, env func(string) (string, bool)) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${env:") {
		missing := false
		n.Value = envReference.ReplaceAllStringFunc(n.Value, func(ref string) string {
			name := envReference.FindStringSubmatch(ref)[1]
			value, ok := env(name)
			if !ok {
				missing = true
				p.addAt(n, "", "environment variable "+name+" is not set", "set it, or write a literal")
			}
			return value
		})
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			n.Tag = ""
		}
		if missing {
			p.unset = append(p.unset, n)
		}
	}
	for _, c := range n.Content {
		p.expand(c, env)
	}
}

const maxDepth = 64

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// walk holds a node against the type that it is for and notes everything that does not fit.
func (p *Problems) walk(n *yaml.Node, t reflect.Type, path, enum string, depth int) {
	if depth > maxDepth {
		p.addAt(n, path, "nested too deeply", "an alias that contains itself?")
		return
	}
	n = resolved(n)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && t.Kind() != reflect.String:
	case reflect.PointerTo(t).Implements(unmarshaler):
		p.try(n, t, path)
	case t.Kind() == reflect.Struct:
		if p.wants(n, yaml.MappingNode, "a mapping", path) {
			p.walkStruct(n, t, path, depth)
		}
	case t.Kind() == reflect.Map:
		if p.wants(n, yaml.MappingNode, "a mapping", path) {
			p.eachKey(n, path, func(key, value *yaml.Node, at string) { p.walk(value, t.Elem(), at, enum, depth+1) })
		}
	case t.Kind() == reflect.Slice:
		if p.wants(n, yaml.SequenceNode, "a list", path) {
			for i, item := range n.Content {
				p.walk(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), enum, depth+1)
			}
		}
	case t.Kind() == reflect.Interface:
	default:
		if p.wants(n, yaml.ScalarNode, "a single value", path) && p.try(n, t, path) {
			p.checkEnum(n, enum, path)
		}
	}
}

func (p *Problems) walkStruct(n *yaml.Node, t reflect.Type, path string, depth int) {
	fields := structFields(t)
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.key)
	}
	p.eachKey(n, path, func(key, value *yaml.Node, at string) {
		i := slices.Index(names, key.Value)
		switch {
		case i >= 0:
			p.walk(value, fields[i].typ, at, fields[i].tag.Get("enum"), depth+1)
		case key.Value == "<<":
			p.walk(value, t, path, "", depth+1)
		default:
			p.addAt(key, at, "unknown key", didYouMean(key.Value, names))
		}
	})
}

func (p *Problems) eachKey(n *yaml.Node, path string, visit func(key, value *yaml.Node, at string)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		if line, twice := seen[key.Value]; twice {
			p.addAt(key, at, "duplicate key", fmt.Sprintf("it stands in line %d already", line))
			continue
		}
		seen[key.Value] = key.Line
		visit(key, n.Content[i+1], at)
	}
}

func (p *Problems) wants(n *yaml.Node, kind yaml.Kind, what, path string) bool {
	if n.Kind == kind {
		return true
	}
	p.addAt(n, path, fmt.Sprintf("wants %s, not a %s", what, kindName(n)), "")
	return false
}

// try decodes a node on its own, which tells whether it has the right type.
func (p *Problems) try(n *yaml.Node, t reflect.Type, path string) bool {
	if err := n.Decode(reflect.New(t).Interface()); err != nil {
		if nested, ok := errors.AsType[*Problems](err); ok {
			p.List = append(p.List, nested.List...)
			return false
		}
		message := cleanYAML(err)
		if strings.HasPrefix(message, "cannot") {
			message = fmt.Sprintf("wants %s, not %q", typeName(t), n.Value)
		}
		p.addAt(n, path, message, "")
		return false
	}
	return true
}

func (p *Problems) checkEnum(n *yaml.Node, enum, path string) {
	if enum == "" {
		return
	}
	if known := strings.Split(enum, ","); !slices.Contains(known, n.Value) {
		hint := didYouMean(n.Value, known)
		p.addAt(n, path, fmt.Sprintf("unknown value %q", n.Value), hint)
	}
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "text"
	}
}

var yamlPosition = regexp.MustCompile(`^(?s:.*?go-yaml load error[^:]*? (?:at )?(?:L?\d+:?C?\d*: )|.*?\bline \d+: )`)

// cleanYAML cuts the position that the library writes in front: a problem has its own.
func cleanYAML(err error) string {
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		return load.Message
	}
	return strings.TrimSpace(yamlPosition.ReplaceAllString(err.Error(), ""))
}

type structField struct {
	key string
	typ reflect.Type
	tag reflect.StructTag
}

// structFields are the YAML keys of a struct, with those of inline structs in their place.
func structFields(t reflect.Type) []structField {
	var fields []structField
	for i := range t.NumField() {
		f := t.Field(i)
		key, inline, ok := fieldKey(f)
		switch {
		case inline:
			fields = append(fields, structFields(f.Type)...)
		case ok:
			fields = append(fields, structField{key, f.Type, f.Tag})
		}
	}
	return fields
}

func fieldKey(f reflect.StructField) (key string, inline, ok bool) {
	tag := f.Tag.Get("yaml")
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-" || !f.IsExported():
		return "", false, false
	case strings.Contains(options, "inline"):
		return "", true, false
	case name == "":
		return strings.ToLower(f.Name), false, true
	}
	return name, false, true
}

// readConfig reads a configuration file.
func readConfig(file string) ([]byte, *Problems) {
	data, err := os.ReadFile(file)
	if err == nil {
		return data, nil
	}
	p := &Problems{}
	hint := "is the ConfigMap mounted there?"
	if errors.Is(err, os.ErrPermission) {
		hint = "set securityContext.fsGroup, or make it readable for the helper's uid"
	}
	p.Add("--config", err.Error(), hint)
	return nil, p
}
