package rules

import (
	"cmp"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Mapper shows the rules to a decoder of pushed names. Without rules there is none: then nothing is unmatched.
func (s *Set) Mapper() decode.Mapper {
	if s.Len() == 0 {
		return nil
	}
	return pushMapper{s.Walk()}
}

type pushMapper struct{ walk *Walk }

// Map implements decode.Mapper; the first rule that matches counts. One that is for the rest does not count as a match.
func (m pushMapper) Map(s *sample.Sample) (decode.Mapping, bool) {
	var out decode.Mapping
	path, first, rest := s.Path, true, false
	m.walk.Reset()
	for _, segment := range path {
		m.walk.Push(segment)
	}
	matched := m.walk.Match(s, func(o *Outcome) {
		if !first {
			return
		}
		first, rest = false, o.Rule.rest
		out = decode.Mapping{Rule: cmp.Or(o.Rule.Match, o.Rule.Regex), Drop: o.Drop, Labels: o.Labels, Scale: o.Factor}
		if o.Desc != nil {
			out.Desc = *o.Desc
		}
		if s.Kind == sample.Timer && o.Rule.Unit != "" {
			out.Scale = o.Rule.Scale // the decoder makes seconds of a timer's milliseconds, whatever the rule calls them
		}
	})
	s.Path = path
	if rest && (s.Kind == sample.Event || s.Kind == sample.Check) {
		out = decode.Mapping{} // what names the rest is for the values that a name has
	}
	return out, matched && !rest
}
