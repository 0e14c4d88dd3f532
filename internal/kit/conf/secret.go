package conf

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"
)

// Secret is a credential, or a reference to one: file:/path is read when it is needed and again when it rotates;
// ${env:NAME} has been replaced while the configuration was loaded. It prints as <redacted>, whatever prints it.
type Secret string

const redacted = "<redacted>"

// String hides the credential; a file reference is no secret and stays readable.
func (s Secret) String() string {
	if s == "" || strings.HasPrefix(string(s), "file:") {
		return string(s)
	}
	return redacted
}

// GoString hides the credential from %#v too.
func (s Secret) GoString() string { return s.String() }

// MarshalYAML hides the credential.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalText hides the credential in JSON, that of the log too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalYAML refuses the printed form of a secret: somebody pasted the output of check.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("wants a secret such as file:/path or ${env:NAME}, not a %s", kindName(n))
	}
	if n.Value == redacted {
		return fmt.Errorf("%s is what check prints in place of a secret; write file:/path or ${env:NAME}", redacted)
	}
	*s = Secret(n.Value)
	return nil
}

// JSONSchema describes the YAML form.
func (Secret) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "description": "file:/path (re-read when it rotates) or ${env:NAME}"}
}

// Secrets reads secrets and remembers a file's content until the file changes. Safe for concurrent use.
type Secrets struct {
	mu    sync.Mutex
	files map[string]cachedFile
}

type cachedFile struct {
	value    string
	modified time.Time
	size     int64
	checked  time.Time
}

// recheck bounds how often Get asks the file system whether a file has rotated.
const recheck = time.Second

// NewSecrets returns an empty cache.
func NewSecrets() *Secrets { return &Secrets{files: map[string]cachedFile{}} }

// Get is the credential itself. Trailing newlines of a file are cut. A file that cannot be read any more keeps its
// last value: a rotation may be half done.
func (s *Secrets) Get(ref Secret) (string, error) {
	path, ok := strings.CutPrefix(string(ref), "file:")
	if !ok {
		return string(ref), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have, known := s.files[path]
	now := time.Now()
	if known && now.Sub(have.checked) < recheck {
		return have.value, nil
	}
	fresh, err := readFile(path, have)
	switch {
	case err == nil:
		have = fresh
	case !known:
		return "", fmt.Errorf("read secret: %w", err)
	}
	have.checked = now
	s.files[path] = have
	return have.value, nil
}

// Expire makes the next Get of every file look at the file again, however recently it did: after a refused
// credential it may have rotated within the last second.
func (s *Secrets) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, f := range s.files {
		f.checked = time.Time{}
		s.files[path] = f
	}
}

func readFile(path string, have cachedFile) (cachedFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return have, err
	}
	if !have.modified.IsZero() && info.ModTime().Equal(have.modified) && info.Size() == have.size {
		return have, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return have, err
	}
	return cachedFile{value: strings.TrimRight(string(data), "\r\n"), modified: info.ModTime(), size: info.Size()}, nil
}
