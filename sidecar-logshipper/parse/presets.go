package parse

import "bytes"

// presetRule is the rule of a preset, nil when there is none of that name.
func presetRule(name string) rule {
	switch name {
	case "indent":
		return indentRule
	case "java":
		return javaRule
	case "python":
		return pythonRule
	case "go":
		return goRule
	default:
		return nil
	}
}

func indented(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

// indentRule joins lines that start with a space or a tab.
func indentRule(_ int, line []byte) (int, bool) { return 0, indented(line) }

// javaRule joins the stack traces of the JVM (Throwable.printStackTrace) to the line that logs them: "\tat …", "\t... 3
// more", "Caused by: …", "\tSuppressed: …", and the line of the exception itself, which starts with a class name.
func javaRule(_ int, line []byte) (int, bool) {
	return 0, indented(line) || bytes.HasPrefix(line, []byte("Caused by: ")) || bytes.HasPrefix(line, []byte("Suppressed: ")) || throwable(line)
}

// throwable says whether line starts with the name of a class in a package, which ends in Exception, Error or Throwable,
// or has a colon behind it: java.io.IOException: disk full.
func throwable(line []byte) bool {
	n, dots, start := 0, 0, 0
	for ; n < len(line); n++ {
		c := line[n]
		if c == '.' {
			dots++
			start = n + 1
			continue
		}
		if c != '_' && c != '$' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
	}
	class := line[start:n]
	if dots == 0 || len(class) == 0 || class[0] < 'A' || class[0] > 'Z' || n < len(line) && line[n] != ':' {
		return false
	}
	return bytes.HasSuffix(class, []byte("Exception")) || bytes.HasSuffix(class, []byte("Error")) || bytes.HasSuffix(class, []byte("Throwable"))
}

// The states of pythonRule and goRule.
const (
	outside = iota
	inTrace
	afterError // Python: the line of the exception has been seen
)

// pythonRule joins tracebacks, chained ones too (PEP 3134), to the line before: the log message.
func pythonRule(state int, line []byte) (int, bool) {
	switch {
	case bytes.HasPrefix(line, []byte("Traceback (most recent call last):")), bytes.HasPrefix(line, []byte("  + Exception Group Traceback")):
		return inTrace, true
	case state == outside:
		return outside, false
	case indented(line):
		return state, true
	case len(line) == 0,
		bytes.HasPrefix(line, []byte("During handling of the above exception, another exception occurred:")),
		bytes.HasPrefix(line, []byte("The above exception was the direct cause of the following exception:")):
		return state, true
	case state == inTrace:
		return afterError, true
	default:
		return outside, false
	}
}

// goRule joins what the Go runtime prints when it dies, and dumps of goroutines, into one record that starts with them.
func goRule(state int, line []byte) (int, bool) {
	if starts := goDeath(line); starts || state == outside {
		if starts {
			return inTrace, state == inTrace && !bytes.HasPrefix(line, []byte("panic: "))
		}
		return outside, false
	}
	if len(line) > 0 && !indented(line) && !goCall(line) && !goMore(line) {
		return outside, false
	}
	return inTrace, true
}

func goDeath(line []byte) bool {
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) ||
		bytes.HasPrefix(line, []byte("runtime: ")) || bytes.HasPrefix(line, []byte("SIG")) ||
		bytes.HasPrefix(line, []byte("goroutine ")) && bytes.HasSuffix(line, []byte(":"))
}

// goCall says whether line is a function with its arguments, as in main.(*server).run(0xc000012345, {0x0, 0x0}).
func goCall(line []byte) bool {
	open := bytes.IndexByte(line, '(')
	return open > 0 && line[len(line)-1] == ')' && bytes.IndexByte(line[:open], ' ') < 0
}

func goMore(line []byte) bool {
	for _, prefix := range []string{"[signal ", "created by ", "exit status ", "...additional frames elided...", "PC="} {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return true
		}
	}
	// Registers: a short name, spaces, 0x….
	name, value, ok := bytes.Cut(line, []byte(" "))
	return ok && len(name) <= 6 && bytes.HasPrefix(bytes.TrimLeft(value, " "), []byte("0x"))
}
