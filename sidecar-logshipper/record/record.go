package record

// Kind says how Field.Value is to be written.
type Kind uint8

// The kinds of value. String is unescaped text; the others are literals that may be copied into JSON as they are.
const (
	String Kind = iota
	Number
	Bool
	Null
	JSON // an object or array
)

// Field is one name with its value.
type Field struct {
	Name  string
	Value []byte
	Kind  Kind
}

// Record is one log record on the slow path. One Record is reused for all: its slices are valid until Reset, and point into
// Raw or into the scratch space (Scratch) where they had to be unescaped or made.
type Record struct {
	Source *Source
	// Offset of Raw[0] in the generation; Source.ID(Offset) is the event ID.
	Offset int64
	// Raw are the bytes of the record without the newline at its end.
	Raw []byte
	// Truncated says that Raw lost its end because the line was longer than max_line.
	Truncated bool
	// Kept says that the record was encoded before and is encoded again: stages change it as they did, and drop nothing.
	Kept bool

	// Time in Unix nanoseconds: the record's own where OwnTime, else Chunk.Time plus the position in the chunk.
	Time    int64
	OwnTime bool
	// Level as the record has it ("" when it has none), in lower case when it was recognised.
	Level string
	// Message is the text for a person: all of Raw until a parser finds better.
	Message []byte
	// Fields in the order of the record, without the ones that became Time, Level and Message.
	Fields []Field

	scratch []byte
	names   []string // of the fields of records before, in their order
	named   int      // how many fields were added by AddNamed
}

// Reset makes r the record at c.Data[start:end], unparsed: Message is Raw and there are no fields.
func (r *Record) Reset(c *Chunk, start, end int) {
	raw := trimNewline(c.Data[start:end])
	*r = Record{
		Source:    c.Source,
		Offset:    c.Offset + int64(start),
		Raw:       raw,
		Truncated: c.Truncated,
		Time:      c.Time + int64(start),
		Message:   raw,
		Fields:    r.Fields[:0],
		scratch:   r.scratch[:0],
		names:     r.names,
	}
}

// ID is the record's EventID.
func (r *Record) ID() EventID { return r.Source.ID(r.Offset) }

// Add appends a field.
func (r *Record) Add(name string, value []byte, kind Kind) {
	r.Fields = append(r.Fields, Field{Name: name, Value: value, Kind: kind})
}

// mostNames of a record are remembered.
const mostNames = 64

// AddNamed is Add for a name that is part of the record's bytes. The records of a file mostly have the same names in the same
// order, so it is copied only where it is another one than that of the record before.
func (r *Record) AddNamed(name, value []byte, kind Kind) {
	i := r.named
	r.named++
	if i < len(r.names) && r.names[i] == string(name) {
		r.Add(r.names[i], value, kind)
		return
	}
	text := string(name)
	if i < len(r.names) {
		r.names[i] = text
	} else if i < mostNames {
		r.names = append(r.names, text)
	}
	r.Add(text, value, kind)
}

// Field finds a field by its name, nil when there is none. The pointer is valid until the next Add.
func (r *Record) Field(name string) *Field {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return &r.Fields[i]
		}
	}
	return nil
}

// Remove deletes a field and keeps the order of the others.
func (r *Record) Remove(name string) {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			r.Fields = append(r.Fields[:i], r.Fields[i+1:]...)
			return
		}
	}
}

// Scratch calls fill with space to append to and returns what it appended. It lives until Reset; growth never moves what
// earlier calls returned, because they keep the old array.
func (r *Record) Scratch(fill func(dst []byte) []byte) []byte {
	start := len(r.scratch)
	r.scratch = fill(r.scratch)
	return r.scratch[start:len(r.scratch):len(r.scratch)]
}

// trimNewline cuts "\n" or "\r\n" off the end.
func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n > 1 && b[n-2] == '\r' {
			b = b[:n-2]
		}
	}
	return b
}
