package record

// Framer finds where records end. It is the hook for multi-line joining and for formats that cut one record over
// several lines (CRI partial lines).
//
// It has no state of its own to keep between calls: what it does not return as complete stays in the file, is not
// acknowledged, and is offered again, from the same first byte, when more has been written. So a group that is cut by the end
// of the data, a restart or a rotation costs nothing.
type Framer interface {
	// Frame appends to ends the end of each complete record of data (exclusive, newline included) and returns how many
	// bytes they cover. data starts at the start of a record and ends with a newline, unless final and the file does not.
	// final means that nothing will follow for now (the file ended, or was quiet for the flush time): an unfinished group
	// is then complete. Returning 0 without final means: needs more; data never exceeds the configured maximum, at which
	// deliver asks once more with final. Called from one goroutine.
	Frame(ends []int, data []byte, final bool) (out []int, n int)
}

// Stage is one step of the slow path: the parser of an input, then each step of shape.
type Stage interface {
	// Apply changes r in place. A non-empty drop is the reason, one of a fixed set, for which the record ends here; it is
	// counted in the dropped metrics. Called from one goroutine.
	Apply(r *Record) (drop string)
}
