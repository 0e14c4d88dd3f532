package decode

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Lines decodes name{label=value} number, one a line: the form in which the resources
// source reports. A name is one segment.
func Lines(doc []byte, to Walker) error {
	for line := range bytes.Lines(doc) {
		line = bytes.TrimSpace(line)
		space := bytes.LastIndexByte(line, ' ') // a path may have some too
		key, text := line[:max(space, 0)], line[space+1:]
		v, err := strconv.ParseFloat(string(text), 64)
		if space < 0 || err != nil {
			return errors.New("decode lines: no number")
		}
		s := sample.Sample{Value: v, Numeric: true, Text: text, Kind: sample.Gauge}
		name, rest, labelled := bytes.Cut(bytes.TrimSuffix(key, []byte{'}'}), []byte{'{'})
		if labelled {
			label, value, _ := bytes.Cut(rest, []byte{'='})
			s.Labels = []sample.Label{{Name: string(label), Value: value}}
		}
		to.Push(name)
		to.Leaf(&s)
		to.Pop()
	}
	return nil
}
