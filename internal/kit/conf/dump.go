package conf

import (
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Dump writes the configuration as the YAML that would give it, with secrets and passwords in URLs redacted. What stands in it as
// ${env:NAME}, of a variable that is secret by its name, is written like that again.
func (l *Loaded[C]) Dump() ([]byte, error) { return dump(l.Config, l.env.secrets()) }

func dump(config any, secrets *strings.Replacer) ([]byte, error) {
	var n yaml.Node
	if err := n.Encode(config); err != nil {
		return nil, err
	}
	redact(&n, secrets)
	return yaml.Dump(&n)
}

func redact(n *yaml.Node, secrets *strings.Replacer) {
	if n.Kind == yaml.ScalarNode {
		if n.Value = secrets.Replace(n.Value); strings.Contains(n.Value, "://") {
			n.Value = RedactURL(n.Value)
		}
	}
	for _, c := range n.Content {
		redact(c, secrets)
	}
}

// RedactURL hides the password of a URL, and what its query calls a token, key or the like; text that is none comes back as it
// is.
func RedactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	if u.User != nil {
		s = u.Redacted()
	}
	return parameter.ReplaceAllString(s, "${1}xxxxx")
}

// parameter is one of a query that is secret by its name.
var parameter = regexp.MustCompile(`(?i)([?&][\w.-]*(?:token|secret|passwo?r?d|api[_-]?key|access[_-]?key|signature)=)[^&#]+`)
