package shape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Redact replaces what must not leave the Pod, in the message and in fields, nested ones too.
type Redact struct {
	Presets  []string `yaml:"presets,omitempty" enum:"bearer,basic,card,email,jwt,aws_key,password,url_password,private_key,ip" doc:"Kinds of secrets that are known."`
	Patterns []string `yaml:"patterns,omitempty" doc:"Regular expressions of further ones."`
	Fields   []string `yaml:"fields,omitempty" doc:"Where to look: message or names of fields; default everywhere."`
	Replace  string   `yaml:"replace,omitempty" doc:"What is put in place; default [REDACTED:preset]."`
}

// finder appends the [start, end) of each secret in text, in order.
type finder func(spans []span, text []byte) []span

type span struct{ start, end int }

type redactor struct {
	fields  []string
	finders []finder
	marks   [][]byte // what takes the place of what the finder at the same index has found
	named   []byte   // what takes the place of a value whose name says that it is a secret; nil: names say nothing
	spans   []span
}

func newRedactor(c *Redact) (record.Stage, error) {
	s := &redactor{fields: c.Fields}
	for _, name := range c.Presets {
		f := preset(name)
		if f == nil {
			return nil, fmt.Errorf("redact: unknown preset %q", name)
		}
		s.add(f, name, c.Replace)
		if name == "password" { // in a parsed record, name and value do not stand together
			s.named = s.marks[len(s.marks)-1]
		}
	}
	for _, pattern := range c.Patterns {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("redact: compile pattern: %w", err)
		}
		s.add(expression(re, nil), "pattern", c.Replace)
	}
	if len(s.finders) == 0 {
		return nil, fmt.Errorf("redact: wants presets or patterns")
	}
	return s, nil
}

func (s *redactor) add(f finder, name, replace string) {
	if replace == "" {
		replace = "[REDACTED:" + name + "]"
	}
	s.finders, s.marks = append(s.finders, f), append(s.marks, []byte(replace))
}

// Apply redacts r. Raw keeps the secret: it is the file, and no encoder reads it.
func (s *redactor) Apply(r *record.Record) (drop string) {
	if s.covers("message") {
		if text, changed := s.clean(r, r.Message); changed {
			r.Message = text
		}
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; s.covers(f.Name) {
			s.field(r, f)
		}
	}
	return ""
}

func (s *redactor) covers(name string) bool {
	return s.fields == nil || slices.Contains(s.fields, name)
}

func (s *redactor) field(r *record.Record, f *record.Field) {
	if s.named != nil && len(f.Value) > 0 && f.Kind != record.Null && f.Kind != record.Bool && isSecret(f.Name) {
		f.Value, f.Kind = s.named, record.String
		return
	}
	switch f.Kind {
	case record.String, record.Number:
		if text, changed := s.clean(r, f.Value); changed {
			f.Value, f.Kind = text, record.String
		}
	case record.JSON:
		decoder := json.NewDecoder(bytes.NewReader(f.Value))
		decoder.UseNumber()
		var v any
		if decoder.Decode(&v) != nil {
			return
		}
		if v, changed := s.nested(r, v); changed {
			f.Value, _ = json.Marshal(v) // it was JSON a moment ago
		}
	}
}

// nested redacts the strings and numbers in v, in the names of members too.
func (s *redactor) nested(r *record.Record, v any) (out any, changed bool) {
	switch v := v.(type) {
	case string:
		text, changed := s.clean(r, []byte(v))
		return string(text), changed
	case json.Number:
		if text, changed := s.clean(r, []byte(v)); changed {
			return string(text), true
		}
	case []any:
		for i := range v {
			var c bool
			v[i], c = s.nested(r, v[i])
			changed = changed || c
		}
		return v, changed
	case map[string]any:
		fresh := make(map[string]any, len(v))
		for name, inner := range v {
			key, c1 := s.clean(r, []byte(name))
			value, c2 := s.member(r, name, inner)
			fresh[string(key)] = value
			changed = changed || c1 || c2
		}
		return fresh, changed
	}
	return v, false
}

// member redacts the value of a member.
func (s *redactor) member(r *record.Record, name string, v any) (out any, changed bool) {
	if s.named != nil && isSecret(name) {
		switch v {
		case nil, true, false, "":
		default:
			return string(s.named), true
		}
	}
	return s.nested(r, v)
}

// isSecret says that a field's name ends like that of a password, as the expression of the preset has it.
func isSecret(name string) bool {
	for _, end := range []string{"password", "passwd", "pwd", "secret", "token", "apikey", "api_key", "api-key"} {
		if n := len(name) - len(end); n >= 0 && strings.EqualFold(name[n:], end) {
			return true
		}
	}
	return false
}

// clean is text without what the finders find.
func (s *redactor) clean(r *record.Record, text []byte) (out []byte, changed bool) {
	for i, find := range s.finders {
		s.spans = find(s.spans[:0], text)
		if len(s.spans) == 0 {
			continue
		}
		changed = true
		before := text
		text = r.Scratch(func(dst []byte) []byte {
			from := 0
			for _, found := range s.spans {
				dst = append(append(dst, before[from:found.start]...), s.marks[i]...)
				from = found.end
			}
			return append(dst, before[from:]...)
		})
	}
	return text, changed
}
