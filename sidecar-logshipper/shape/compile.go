package shape

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// compile turns the text of a condition into functions over a record, so that nothing is parsed per record.
func compile(text string) (node, error) {
	tree, err := parser.ParseExpr(text)
	if err != nil {
		_, cause, _ := strings.Cut(err.Error(), ": ") // the parser's position says line 1 and no more
		return nil, fmt.Errorf("%s (the operators are == != < <= > >= && || !)", cause)
	}
	if _, literal := tree.(*ast.BasicLit); literal {
		return nil, errors.New("is a value and no condition (compare it with something)")
	}
	return build(tree)
}

func build(e ast.Expr) (node, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return build(e.X)
	case *ast.BasicLit:
		return literal(e)
	case *ast.Ident:
		return name(e.Name), nil
	case *ast.SelectorExpr:
		return member(e.X, e.Sel.Name)
	case *ast.UnaryExpr:
		return unary(e)
	case *ast.BinaryExpr:
		return binary(e)
	case *ast.CallExpr:
		return call(e)
	}
	return nil, errors.New("has something other than names, values, comparisons, &&, ||, ! and functions")
}

func constant(v any) node { return func(*record.Record) any { return v } }

func literal(e *ast.BasicLit) (node, error) {
	if e.Kind == token.STRING {
		s, err := strconv.Unquote(e.Value)
		return constant(s), err
	}
	v, err := strconv.ParseFloat(e.Value, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a number nor text in double quotes", e.Value)
	}
	return constant(v), nil
}

func name(n string) node {
	switch n {
	case "nil":
		return constant(nil)
	case "true", "false":
		return constant(n == "true")
	}
	return func(r *record.Record) any { return valueOf(r, n) }
}

// member is request.id, the member of a field that holds an object.
func member(of ast.Expr, key string) (node, error) {
	outer, err := build(of)
	return func(r *record.Record) any {
		object, _ := outer(r).(map[string]any)
		return object[key]
	}, err
}

func unary(e *ast.UnaryExpr) (node, error) {
	x, err := build(e.X)
	if err != nil {
		return nil, err
	}
	switch e.Op {
	case token.NOT:
		return func(r *record.Record) any { return !truth(x(r)) }, nil
	case token.SUB:
		return func(r *record.Record) any {
			if v, ok := number(x(r)); ok {
				return -v
			}
			return nil
		}, nil
	}
	return nil, fmt.Errorf("operator %s is unknown", e.Op)
}

func binary(e *ast.BinaryExpr) (node, error) {
	x, err := build(e.X)
	if err != nil {
		return nil, err
	}
	y, err := build(e.Y)
	if err != nil {
		return nil, err
	}
	switch e.Op {
	case token.LAND:
		return func(r *record.Record) any { return truth(x(r)) && truth(y(r)) }, nil
	case token.LOR:
		return func(r *record.Record) any { return truth(x(r)) || truth(y(r)) }, nil
	case token.EQL:
		return func(r *record.Record) any { return equal(x(r), y(r)) }, nil
	case token.NEQ:
		return func(r *record.Record) any { return !equal(x(r), y(r)) }, nil
	case token.LSS:
		return ordered(x, y, func(c int) bool { return c < 0 }), nil
	case token.LEQ:
		return ordered(x, y, func(c int) bool { return c <= 0 }), nil
	case token.GTR:
		return ordered(x, y, func(c int) bool { return c > 0 }), nil
	case token.GEQ:
		return ordered(x, y, func(c int) bool { return c >= 0 }), nil
	}
	return nil, fmt.Errorf("operator %s is unknown (use == != < <= > >= && ||)", e.Op)
}

func ordered(x, y node, holds func(int) bool) node {
	return func(r *record.Record) any {
		c, comparable := compare(x(r), y(r))
		return comparable && holds(c)
	}
}

func equal(x, y any) bool {
	if x == nil || y == nil {
		return x == nil && y == nil
	}
	if a, ok := x.(bool); ok {
		b, both := y.(bool)
		return both && a == b
	}
	c, comparable := compare(x, y)
	return comparable && c == 0
}

// compare orders two texts, or two numbers of which one may be written as text.
func compare(x, y any) (int, bool) {
	a, aText := x.(string)
	b, bText := y.(string)
	if aText && bText {
		return strings.Compare(a, b), true
	}
	n, xNumber := number(x)
	m, yNumber := number(y)
	return cmp.Compare(n, m), xNumber && yNumber
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) // which are words
	}
	return 0, false
}

const functions = "contains, startsWith, endsWith, matches, in, field"

func call(e *ast.CallExpr) (node, error) {
	f, ok := e.Fun.(*ast.Ident)
	if !ok || len(e.Args) == 0 {
		return nil, errors.New("calls something that is no function (" + functions + ")")
	}
	if !slices.Contains(strings.Split(functions, ", "), f.Name) {
		return nil, fmt.Errorf("unknown function %s (%s; the operators are == != < <= > >= && || !)", f.Name, functions)
	}
	if f.Name == "in" {
		return isIn(e.Args)
	}
	last, isLiteral := e.Args[len(e.Args)-1].(*ast.BasicLit)
	if !isLiteral || last.Kind != token.STRING {
		return nil, fmt.Errorf("%s wants text in double quotes as its last argument", f.Name)
	}
	text, err := strconv.Unquote(last.Value)
	if err != nil {
		return nil, err
	}
	if f.Name == "field" {
		return name(text), nil
	}
	test, err := textTest(f.Name, text)
	if err != nil {
		return nil, err
	}
	if len(e.Args) != 2 {
		return nil, fmt.Errorf("%s wants two arguments, a name and text", f.Name)
	}
	x, err := build(e.Args[0])
	return func(r *record.Record) any {
		s, ok := x(r).(string)
		return ok && test(s)
	}, err
}

func textTest(function, text string) (func(string) bool, error) {
	switch function {
	case "contains":
		return func(s string) bool { return strings.Contains(s, text) }, nil
	case "startsWith":
		return func(s string) bool { return strings.HasPrefix(s, text) }, nil
	case "endsWith":
		return func(s string) bool { return strings.HasSuffix(s, text) }, nil
	}
	re, err := regexp.Compile(text) // matches
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}

func isIn(args []ast.Expr) (node, error) {
	all := make([]node, len(args))
	for i, a := range args {
		var err error
		if all[i], err = build(a); err != nil {
			return nil, err
		}
	}
	return func(r *record.Record) any {
		x := all[0](r)
		for _, y := range all[1:] {
			if equal(x, y(r)) {
				return true
			}
		}
		return false
	}, nil
}
