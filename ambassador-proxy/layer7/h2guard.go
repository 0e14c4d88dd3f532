package layer7

import (
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// guard is a client's connection whose HTTP/1.1 messages are held against the rules of http1 before net/http, which takes
// more, sees them. What follows an upgrade passes.
//
// A head that is refused becomes a request that only we know, so that the refusal is answered in its turn, after what was
// asked for before it. A body that is refused goes on with what net/http refuses too.
type guard struct {
	net.Conn
	b        []byte // b[r:ok] is checked, b[ok:w] is not
	r, ok, w int
	head     http1.Head
	inBody   bool
	raw      bool // it speaks no HTTP/1.1, or not any more
	over     bool // nothing more is taken

	why    reason.Reason // a head was refused
	detail string
	token  string // in refusalField: the request is ours

	headTime time.Duration // for a head, from its first byte on: net/http sees none of it before it is whole
	times    sync.Mutex
	wish     time.Time // when reads end, by net/http
	limit    time.Time // and by headTime
}

const (
	guardBytes   = 4 << 10
	refusalField = "Ambassador-Refusal"
	brokenBody   = "\x00\x00\r\n\r\n" // neither a chunk's size, nor its end, nor a trailer
)

func newGuard(c net.Conn, headTime time.Duration) *guard {
	g := &guard{Conn: c, headTime: headTime, b: make([]byte, guardBytes)}
	g.head.Reset()
	return g
}

// Read gives what has been checked.
func (g *guard) Read(p []byte) (int, error) {
	for {
		if g.r < g.ok {
			n := copy(p, g.b[g.r:g.ok])
			g.r += n
			return n, nil
		}
		if g.raw && g.ok == g.w {
			return g.Conn.Read(p)
		}
		if g.over {
			return 0, g.drain()
		}
		if g.check(); g.r < g.ok || g.over {
			continue
		}
		g.room()
		g.begins()
		n, err := g.Conn.Read(g.b[g.w:])
		g.w += n
		if n == 0 && err != nil {
			if !g.late() {
				return 0, err
			}
			g.refuse(reason.ClientTimeout, "no complete head in time")
		}
	}
}

// begins starts the time of a head some of which has come.
func (g *guard) begins() {
	if g.w > g.ok && !g.inBody && g.limit.IsZero() {
		g.bound(time.Now().Add(g.headTime))
	}
}

// late tells whether the time of a head has run out.
func (g *guard) late() bool { return !g.limit.IsZero() && !time.Now().Before(g.limit) }

func (g *guard) bound(limit time.Time) {
	g.times.Lock()
	defer g.times.Unlock()
	g.limit = limit
	_ = g.Conn.SetReadDeadline(sooner(g.wish, limit))
}

// SetReadDeadline keeps to the time of a head.
func (g *guard) SetReadDeadline(t time.Time) error {
	g.times.Lock()
	defer g.times.Unlock()
	g.wish = t
	return g.Conn.SetReadDeadline(sooner(t, g.limit))
}

// SetDeadline is for both directions.
func (g *guard) SetDeadline(t time.Time) error {
	_ = g.SetReadDeadline(t)
	return g.SetWriteDeadline(t)
}

// sooner of two times; the zero one never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// room makes some for more bytes. A head that would not fit is refused before.
func (g *guard) room() {
	g.w = copy(g.b, g.b[g.ok:g.w])
	g.r, g.ok = 0, 0
	if g.w == len(g.b) {
		g.b = append(g.b, make([]byte, len(g.b))...)
	}
}

// check goes over what has come.
func (g *guard) check() {
	for g.ok < g.w && !g.over {
		more := g.b[g.ok:g.w]
		switch {
		case g.raw:
			g.ok = g.w
		case g.inBody:
			if !g.body(more) {
				return
			}
		default:
			r := g.head.Request(more, false)
			if r == http1.More {
				return
			}
			if !g.limit.IsZero() {
				g.bound(time.Time{})
			}
			if r != http1.OK {
				g.refuse(r.Reason(), r.String())
				return
			}
			g.ok += g.head.Size
			g.inBody = true
			g.body(nil)
		}
	}
}

// body follows p, the next bytes of a body; false when it goes on after them.
func (g *guard) body(p []byte) bool {
	n, done, r := g.head.Body.Next(p)
	g.ok += n
	if r != http1.OK {
		g.end(brokenBody)
		return false
	}
	if done {
		g.raw = g.head.Upgrade() != nil // if it is not granted, the answer ends the connection
		g.inBody = false
		g.head.Reset()
	}
	return done
}

func (g *guard) refuse(why reason.Reason, detail string) {
	if !g.limit.IsZero() {
		g.bound(time.Time{})
	}
	var token [16]byte
	for i := range token {
		token[i] = byte(rand.Uint32())
	}
	g.why, g.detail, g.token = why, detail, hex.EncodeToString(token[:])
	g.end("GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n" + refusalField + ": " + g.token + "\r\n\r\n")
}

// drain waits for the end of the connection. net/http reads ahead, and would take an end that comes too soon for the end of the
// request that it is at.
func (g *guard) drain() error {
	_, err := io.Copy(io.Discard, g.Conn)
	if err == nil {
		err = io.EOF
	}
	return err
}

// end puts text in the place of all that is not checked, and of all that comes.
func (g *guard) end(text string) {
	g.b = append(append([]byte(nil), g.b[g.r:g.ok]...), text...)
	g.r, g.ok, g.w, g.over = 0, len(g.b), len(g.b), true
}

type guardKey struct{}

// refused is what was wrong with the head in whose place r stands; OK when r is the client's own.
func refused(r *http.Request) (why reason.Reason, detail string) {
	g, ok := r.Context().Value(guardKey{}).(*guard)
	token := r.Header.Get(refusalField)
	if !ok || token == "" || token != g.token {
		return reason.OK, ""
	}
	return g.why, g.detail
}
