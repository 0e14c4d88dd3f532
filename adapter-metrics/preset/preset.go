// Package preset holds ready-made rules for well-known applications.
//
// A preset is YAML in the same rule language that a configuration has, and names metrics as the
// best-known exporter of the application does, so that existing dashboards and alerts work.
package preset

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

//go:embed presets/*.yaml
var files embed.FS

// A Preset is one file of presets/.
type Preset struct {
	About  string       `yaml:"about"`
	URL    string       `yaml:"url,omitempty"`    // an example
	Format string       `yaml:"format,omitempty"` // of the document; empty for sources that push
	Rules  []rules.Rule `yaml:"rules"`
}

// Names lists all presets.
func Names() []string {
	entries, _ := files.ReadDir("presets") // embedded: cannot fail
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Show returns a preset as it is written.
func Show(name string) ([]byte, error) {
	text, err := files.ReadFile("presets/" + name + ".yaml")
	if err != nil {
		hint := conf.Nearest(name, Names())
		if hint != "" {
			hint = " (did you mean " + hint + "?)"
		}
		return nil, fmt.Errorf("show preset: there is no preset %q%s", name, hint)
	}
	return text, nil
}

// Load reads a preset.
func Load(name string) (*Preset, error) {
	text, err := Show(name)
	if err != nil {
		return nil, err
	}
	p := &Preset{}
	_, err = conf.Parse("preset "+name, text, p, func(string) (string, bool) { return "", false })
	return p, err
}
