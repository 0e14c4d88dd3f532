package http2

// Window is how many bytes of DATA the peer takes. It may become negative (RFC 9113, 6.9.2).
type Window int64

// Add opens the window; false when it would become larger than may be.
func (w *Window) Add(n int64) bool {
	*w += Window(n)
	return *w <= MaxWindow
}

// Inflow is how many bytes of DATA we take. Its zero value takes none.
type Inflow struct {
	room int64 // the peer may still send
	owed int64 // handled, and not told
	most int64
}

// NewInflow takes n bytes at first.
func NewInflow(n int64) Inflow { return Inflow{room: n, most: n} }

// Take notes that n bytes have come; false when the peer was not allowed to send them.
func (f *Inflow) Take(n int) bool {
	f.room -= int64(n)
	return f.room >= 0
}

// Give notes that n bytes were handled, and tells what to announce; 0 until that is worth a frame. It is when the peer could
// not go on for long: the rest of the window may be held by streams that nobody reads.
func (f *Inflow) Give(n int) (increment uint32) {
	f.owed += int64(n)
	if f.owed == 0 || f.owed < f.most/4 && f.owed < f.room {
		return 0
	}
	n64 := f.owed
	f.room, f.owed = f.room+n64, 0
	return uint32(n64)
}
