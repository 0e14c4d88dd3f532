package conf

import (
	"reflect"
	"strings"
)

// Schema is the JSON Schema (draft 2020-12) of a configuration struct, for editors and for validation outside.
func Schema(title string, t reflect.Type) map[string]any {
	s := &schemaBuilder{defs: map[string]any{}, names: map[reflect.Type]string{}}
	root := s.object(t)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = title
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	return root
}

type schemaBuilder struct {
	defs  map[string]any
	names map[reflect.Type]string
}

type described interface{ JSONSchema() map[string]any }

func (s *schemaBuilder) of(t reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if d, ok := reflect.New(t).Interface().(described); ok {
		return d.JSONSchema()
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.ref(t)
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	case reflect.String:
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	default:
		return map[string]any{"type": "integer"}
	}
}

// ref puts a struct under $defs once, so that a type that contains itself ends.
func (s *schemaBuilder) ref(t reflect.Type) map[string]any {
	name, known := s.names[t]
	if !known {
		name = strings.ReplaceAll(t.String(), ".", "_")
		s.names[t] = name
		s.defs[name] = s.object(t)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (s *schemaBuilder) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, f := range structFields(t) {
		property := s.of(f.typ)
		if enum := f.tag.Get("enum"); enum != "" {
			property = withEnum(property, strings.Split(enum, ","))
		}
		if doc := f.tag.Get("doc"); doc != "" {
			property["description"] = doc
		}
		properties[f.key] = property
	}
	return map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

func withEnum(property map[string]any, values []string) map[string]any {
	if items, ok := property["items"].(map[string]any); ok {
		items["enum"] = values
		return property
	}
	return map[string]any{"enum": values}
}
