package output

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// keys are the names under which an output expects what every record has; an empty one is left out.
type keys struct {
	Time, Message, Level, File, ID string
	clock                          clock
	labels                         []record.Field

	second int64  // of stamp
	stamp  []byte // the time of the record before, but for its fraction
}

// appendObject appends a parsed record as a JSON object. A label gives way to a field of the same name: what the app says
// about itself is nearer to the truth.
func (k *keys) appendObject(dst []byte, r *record.Record) []byte {
	dst = append(dst, '{')
	if k.Time != "" {
		dst = append(k.appendTime(append(appendKey(dst, k.Time), '"'), r.Time), '"')
	}
	if k.ID != "" {
		dst = append(r.ID().Append(append(appendKey(dst, k.ID), '"')), '"')
	}
	if k.Level != "" && r.Level != "" {
		dst = appendQuoted(appendKey(dst, k.Level), r.Level)
	}
	if k.Message != "" && !k.wordless(r) {
		dst = appendQuoted(appendKey(dst, k.Message), r.Message)
	}
	for i := range r.Fields {
		dst = appendValue(appendKey(dst, k.nameOf(r, r.Fields[i].Name)), &r.Fields[i])
	}
	if k.File != "" && r.Source.Path != "" && r.Field(k.File) == nil && !k.labelled(k.File) {
		dst = appendQuoted(appendKey(dst, k.File), r.Source.Path)
	}
	for i := range k.labels {
		if name := k.labels[i].Name; r.Field(name) == nil && !k.taken(r, name) {
			dst = appendValue(appendKey(dst, k.labels[i].Name), &k.labels[i])
		}
	}
	if r.Truncated {
		dst = append(appendKey(dst, "truncated"), "true"...)
	}
	return append(dst, '}')
}

// appendTime appends nano, Unix nanoseconds. Times come close to each other, and rendering one costs as much as half a record.
func (k *keys) appendTime(dst []byte, nano int64) []byte {
	second, rest := floorSecond(nano)
	if second != k.second || k.stamp == nil {
		k.second, k.stamp = second, k.clock.render(k.stamp[:0], second)
	}
	at := len(dst)
	dst = append(dst, k.stamp...)
	putNanos(dst[at+k.clock.digits:], rest)
	return dst
}

// wordless says that r has a field in the place of its message: one that is no text, which the parser left where it was.
func (k *keys) wordless(r *record.Record) bool { return r.Message == nil && r.Field(k.Message) != nil }

// nameOf is the name under which a field is written. Where that would repeat a key which has been written already, it gets
// underscores behind it: the app may call a duration time, or write a time that nobody can read.
func (k *keys) nameOf(r *record.Record, name string) string {
	for first := name; k.taken(r, name) || name != first && r.Field(name) != nil; {
		name += "_"
	}
	return name
}

// taken says whether name is the key of something that every record has.
func (k *keys) taken(r *record.Record, name string) bool {
	switch name {
	case "":
		return false
	case k.Message:
		return !k.wordless(r)
	case k.Time, k.ID:
		return true
	case k.Level:
		return r.Level != ""
	case "truncated":
		return r.Truncated
	}
	return false
}

// labelled says that somebody gave a label this name.
func (k *keys) labelled(name string) bool {
	return slices.ContainsFunc(k.labels, func(l record.Field) bool { return l.Name == name })
}

// appendHead appends the members that stand in front of the message, as marks, with a comma after each.
func (k *keys) appendHead(dst []byte) []byte {
	if k.Time != "" {
		dst = append(append(append(appendKey(dst, k.Time), '"'), k.clock.mark...), '"', ',')
	}
	if k.ID != "" {
		dst = append(append(append(appendKey(dst, k.ID), '"'), idMark...), '"', ',')
	}
	return dst
}

// appendOrigin appends the members that are the same for all records of a source, with a comma after each.
func (k *keys) appendOrigin(dst []byte, source *record.Source) []byte {
	if k.File != "" && source.Path != "" && !k.labelled(k.File) {
		dst = append(appendQuoted(appendKey(dst, k.File), source.Path), ',')
	}
	for i := range k.labels {
		if name := k.labels[i].Name; name == k.Time || name == k.Message || name == k.ID {
			continue
		}
		dst = append(appendValue(appendKey(dst, k.labels[i].Name), &k.labels[i]), ',')
	}
	return dst
}

// appendKey appends the name of a member, after a comma where one is needed.
func appendKey(dst []byte, name string) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != ',' {
		dst = append(dst, ',')
	}
	if !isPlain(name) {
		return append(appendQuoted(dst, name), ':')
	}
	return append(append(append(dst, '"'), name...), '"', ':')
}

// isPlain says that name stands in JSON as it is.
func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || mustEscape(c) {
			return false
		}
	}
	return true
}

// appendValue appends a field's value as JSON.
func appendValue(dst []byte, f *record.Field) []byte {
	switch {
	case f.Kind == record.String:
		return appendQuoted(dst, f.Value)
	case len(f.Value) == 0:
		return append(dst, "null"...)
	case f.Kind == record.JSON && bytes.IndexByte(f.Value, '\n') >= 0: // from a record of several lines; between tokens only
		return append(dst, bytes.ReplaceAll(f.Value, []byte{'\n'}, []byte{' '})...)
	default:
		return append(dst, f.Value...)
	}
}

// textParts are what stands before and behind the message of a line of text, the end of the line included.
func (k *keys) textParts(source *record.Source, end string) (head, tail []byte) {
	head = append(appendKey(k.appendHead([]byte("{")), k.Message), '"')
	tail = k.appendOrigin([]byte(`",`), source)
	tail[len(tail)-1] = '}'
	return head, append(tail, end...)
}

// plain is the layout of one object a record. Where the line is an object itself, what the pipeline knows stands in front
// of its members, without the time: the app has written its own.
func (k *keys) plain(source *record.Source, verbatim bool, end string) layout {
	head, tail := k.textParts(source, end)
	own := *k
	own.Time = ""
	object := own.appendOrigin(own.appendHead([]byte("{")), source)
	return layout{
		text:      newHeading(head, k.clock, source),
		textEnd:   tail,
		verbatim:  verbatim,
		object:    newHeading(object, k.clock, source),
		skip:      1,
		objectEnd: []byte(end),
	}
}
