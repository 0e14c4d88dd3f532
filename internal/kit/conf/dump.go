package conf

import (
	"net/url"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Dump writes a configuration as the YAML that would give it, with secrets and passwords in URLs redacted.
func Dump(config any) ([]byte, error) {
	var n yaml.Node
	if err := n.Encode(config); err != nil {
		return nil, err
	}
	redact(&n)
	return yaml.Dump(&n)
}

func redact(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "://") && strings.Contains(n.Value, "@") {
		n.Value = RedactURL(n.Value)
	}
	for _, c := range n.Content {
		redact(c)
	}
}

// RedactURL hides the password of a URL; text that is none comes back as it is.
func RedactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	return u.Redacted()
}
