package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// exporterModule is a module of a configuration of json_exporter, as far as it says what a document becomes.
type exporterModule struct {
	Headers map[string]string `yaml:"headers"`
	Metrics []exporterMetric  `yaml:"metrics"`
	Client  any               `yaml:"http_client_config"`
	Body    any               `yaml:"body"`
}

type exporterMetric struct {
	Name      string            `yaml:"name"`
	Path      string            `yaml:"path"`
	Help      string            `yaml:"help"`
	Type      string            `yaml:"type"`
	ValueType string            `yaml:"valuetype"`
	Labels    map[string]string `yaml:"labels"`
	Values    map[string]string `yaml:"values"`
}

// JSONExporter reads one module of a configuration of json_exporter. Its JSONPaths can choose among objects, which no
// match can, so it becomes a jq program, which lays the values out, and rules, which name them. Timestamps are not taken
// over: a sample is as old as its scrape.
func JSONExporter(text []byte, module string) (program string, list []Rule, err error) {
	var file struct {
		Modules map[string]exporterModule `yaml:"modules"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", nil, fmt.Errorf("read json_exporter configuration: %w", err)
	}
	m, ok := file.Modules[module]
	switch {
	case !ok:
		return "", nil, fmt.Errorf("read json_exporter configuration: there is no module %q (it has %s)", module, strings.Join(slices.Sorted(maps.Keys(file.Modules)), ", "))
	case m.Client != nil || m.Body != nil || len(m.Headers) > 0:
		return "", nil, fmt.Errorf("read json_exporter configuration: module %q has headers, http_client_config or body (set headers, basic_auth and tls on the source; documents are fetched with GET)", module)
	}
	var fields []string
	add := func(e exporterMetric, name, path, value, labelsOf string) error {
		key := "m" + strconv.Itoa(len(fields))
		r := Rule{Match: key + ".*.v", Name: name, Help: first(e.Help, "Values at "+e.Path+" of the source."), Type: first(e.ValueType, "untyped"), Exact: true}
		row := []string{"v: " + value}
		for _, label := range slices.Sorted(maps.Keys(e.Labels)) {
			text, err := template(e.Labels[label], labelsOf)
			if err != nil {
				return err
			}
			row = append(row, fmt.Sprintf("l%d: %s", len(row), text))
			if r.Labels == nil {
				r.Labels = map[string]string{}
			}
			r.Labels[label] = fmt.Sprintf(".l%d", len(row)-1)
		}
		fields = append(fields, fmt.Sprintf("%s: [%s | {%s}]", key, path, strings.Join(row, ", ")))
		list = append(list, r)
		return nil
	}
	for _, e := range m.Metrics {
		path, err := jsonPath(e.Path, ".")
		if err != nil {
			return "", nil, err
		}
		if e.Type != "object" {
			if err := add(e, e.Name, path, ".", "$root"); err != nil {
				return "", nil, err
			}
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(e.Values)) {
			value, err := template(e.Values[key], ".")
			if err != nil {
				return "", nil, err
			}
			if err := add(e, e.Name+"_"+key, path, value, "."); err != nil {
				return "", nil, err
			}
		}
	}
	// The labels are looked up in the laid-out rows; they are no values themselves.
	list = append(list, Rule{Match: "**", Drop: true})
	return ". as $root | {" + strings.Join(fields, ", ") + "}", list, nil
}

// template is the jq expression of a text with JSONPaths in braces. One path alone keeps its type.
func template(text, from string) (string, error) {
	var parts []string
	for rest := text; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open != 0 {
			literal := rest
			if open > 0 {
				literal = rest[:open]
			}
			quoted, err := json.Marshal(literal)
			if err != nil {
				return "", err
			}
			parts, rest = append(parts, string(quoted)), rest[len(literal):]
			continue
		}
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return "", fmt.Errorf("read JSONPath %q: { without }", text)
		}
		path, err := jsonPath(rest[:end+1], from)
		if err != nil {
			return "", err
		}
		if end+1 == len(text) {
			return path, nil
		}
		parts, rest = append(parts, "("+path+" | tostring)"), rest[end+1:]
	}
	if len(parts) == 0 {
		return `""`, nil
	}
	return "(" + strings.Join(parts, " + ") + ")", nil
}

// jsonPath is the jq expression of a JSONPath {.a.b[*].c}, {.a[?(@.state == "x")]} or {..a}. What does not exist is nothing.
func jsonPath(text, from string) (string, error) {
	path, ok := strings.CutPrefix(strings.TrimSpace(text), "{")
	path, closed := strings.CutSuffix(path, "}")
	if path = strings.TrimPrefix(strings.TrimSpace(path), "$"); !ok || !closed {
		return "", fmt.Errorf("read JSONPath %q: it is not in braces", text)
	}
	step := regexp.MustCompile(`^(?:\.\.([\w-]+)|\.([\w-]+)|\.?\[\*\]|\.\*|\[(-?\d+)\]|\[['"]([^'"]+)['"]\]|\[\?\((.+?)\)\]|\.)`)
	out := from
	for rest := path; rest != ""; {
		at := step.FindStringSubmatch(rest)
		if at == nil {
			return "", fmt.Errorf("read JSONPath %q: %q is not supported (write the source with jq: and rules)", text, rest)
		}
		rest = rest[len(at[0]):]
		switch {
		case at[1] != "":
			out += " | .. | objects | select(has(" + strconv.Quote(at[1]) + ")) | ." + "[" + strconv.Quote(at[1]) + "]"
		case at[2] != "" || at[4] != "":
			out += " | ." + "[" + strconv.Quote(at[2]+at[4]) + "]?"
		case at[3] != "":
			out += " | .[" + at[3] + "]?"
		case at[5] != "":
			out += " | .[]? | select(" + strings.ReplaceAll(strings.ReplaceAll(at[5], "@", ""), "'", `"`) + ")"
		case at[0] != ".":
			out += " | .[]?"
		}
	}
	return "(" + out + ")", nil
}
