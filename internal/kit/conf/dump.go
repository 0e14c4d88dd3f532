package conf

import (
	"net/url"
	"regexp"
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
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "://") {
		n.Value = RedactURL(n.Value)
	}
	for _, c := range n.Content {
		redact(c)
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
