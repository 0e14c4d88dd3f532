package shape

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// condition is a compiled expression. Only the names that it mentions are looked up in a record.
type condition struct {
	program *vm.Program
	machine vm.VM
	names   []string
	env     map[string]any
	current *record.Record
}

// newCondition checks and compiles text. A name that a record does not have is nil; what fails on a record, such as
// comparing nil with a number, does not hold.
func newCondition(text string) (*condition, error) {
	if text == "" {
		return nil, fmt.Errorf("if is missing (write a condition such as level == \"debug\")")
	}
	c := &condition{env: map[string]any{}}
	names := &mentioned{}
	program, err := expr.Compile(text, expr.AsBool(), expr.AllowUndefinedVariables(), expr.Patch(names),
		expr.Function("field", c.field, new(func(string) any)))
	if err != nil {
		return nil, fmt.Errorf("condition %q: %w", text, err)
	}
	c.program, c.names = program, names.list
	return c, nil
}

// field is the function field("name.with.dots") of conditions.
func (c *condition) field(arguments ...any) (any, error) {
	name, _ := arguments[0].(string)
	return valueOf(c.current, name), nil
}

// mentioned collects the names of an expression.
type mentioned struct{ list []string }

// Visit implements ast.Visitor.
func (m *mentioned) Visit(node *ast.Node) {
	if id, ok := (*node).(*ast.IdentifierNode); ok && !slices.Contains(m.list, id.Value) {
		m.list = append(m.list, id.Value)
	}
}

// holds says whether the condition holds for r.
func (c *condition) holds(r *record.Record) bool {
	c.current = r
	clear(c.env)
	for _, name := range c.names {
		if v := valueOf(r, name); v != nil {
			c.env[name] = v
		}
	}
	result, err := c.machine.Run(c.program, c.env)
	yes, ok := result.(bool)
	return err == nil && ok && yes
}

// valueOf is what a condition sees under name: a string, a float64, a bool, a map, a slice, a time, or nil.
func valueOf(r *record.Record, name string) any {
	switch name {
	case "level":
		if r.Level != "" {
			return r.Level
		}
	case "message":
		return string(r.Message)
	case "file":
		if r.Source != nil {
			return r.Source.Path
		}
	case "time":
		return time.Unix(0, r.Time).UTC()
	}
	f := r.Field(name)
	if f == nil {
		return nil
	}
	switch f.Kind {
	case record.String:
		return string(f.Value)
	case record.Number:
		if v, err := strconv.ParseFloat(string(f.Value), 64); err == nil {
			return v
		}
	case record.Bool:
		return string(f.Value) == "true"
	case record.JSON:
		var v any
		if json.Unmarshal(f.Value, &v) == nil {
			return v
		}
	}
	return nil
}
