package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// frame of a WebSocket (RFC 6455, 5.2).
type frame struct {
	final   bool
	opcode  byte
	payload []byte
}

const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
)

func (f frame) String() string {
	return fmt.Sprintf("final %v, opcode %#x, %d bytes %.20q", f.final, f.opcode, len(f.payload), f.payload)
}

// append writes the frame; clients mask.
func (f frame) append(b []byte, masked bool) []byte {
	first := f.opcode
	if f.final {
		first |= 0x80
	}
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	b = append(b, first)
	switch n := len(f.payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if !masked {
		return append(b, f.payload...)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i, c := range f.payload {
		b = append(b, c^key[i%4])
	}
	return b
}

func readFrame(r io.Reader) (f frame, err error) {
	var head [8]byte
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return f, err
	}
	f.final, f.opcode = head[0]&0x80 != 0, head[0]&0xf
	masked, n := head[1]&0x80 != 0, uint64(head[1]&0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(r, head[:8])
		n = binary.BigEndian.Uint64(head[:8])
	}
	var key [4]byte
	if masked && err == nil {
		_, err = io.ReadFull(r, key[:])
	}
	if err != nil {
		return f, err
	}
	f.payload = make([]byte, n)
	_, err = io.ReadFull(r, f.payload)
	for i := range f.payload {
		f.payload[i] ^= key[i%4]
	}
	return f, err
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// webSocketEcho sends every frame back as it came, a ping as a pong, and ends with the close frame that it got.
func webSocketEcho(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		accept(r.Header.Get("Sec-WebSocket-Key")), r.Header.Get("Sec-WebSocket-Protocol"))
	for {
		f, err := readFrame(rw)
		if err != nil {
			return
		}
		if f.opcode == opPing {
			f.opcode = opPong
		}
		if _, err := c.Write(f.append(nil, false)); err != nil || f.opcode == opClose {
			return
		}
	}
}

// webSocket opens one through the ambassador.
func webSocket(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := dialed(t, address)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	fmt.Fprintf(c, "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n", key)
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Accept") != accept(key) || response.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Fatalf("%+v, %v", response, err)
	}
	return c, r
}

func TestWebSocket_FragmentsPingsAndCloseCodesGoThroughBothEngines(t *testing.T) {
	s := server(t, http.HandlerFunc(webSocketEcho), false, false)
	addresses, _ := bothEngines(t, s.URL, "")
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<10)
	frames := []frame{
		{true, opText, []byte("whole")},
		{false, opText, []byte("a message in ")},
		{true, opPing, []byte("between")},
		{false, opContinue, nil},
		{false, opContinue, large},
		{true, opContinue, large[:300]},
		{true, opBinary, nil},
	}
	for engine, address := range addresses {
		for _, code := range []uint16{1000, 1001, 1011, 4001} {
			c, r := webSocket(t, address)
			last := frame{true, opClose, append(binary.BigEndian.AppendUint16(nil, code), "because"...)}
			all := append(frames[:len(frames):len(frames)], last)
			go func() {
				for _, f := range all {
					if _, err := c.Write(f.append(nil, true)); err != nil {
						return
					}
				}
			}()
			for _, want := range all {
				if want.opcode == opPing {
					want.opcode = opPong
				}
				got, err := readFrame(r)
				if err != nil || got.final != want.final || got.opcode != want.opcode || !bytes.Equal(got.payload, want.payload) {
					t.Fatalf("%s, code %d: %v %v, want %v", engine, code, got, err, want)
				}
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("%s, code %d: after the close frame %v", engine, code, err)
			}
		}
	}
}

func TestWebSocket_HasNoTimersOnBothEngines(t *testing.T) {
	s := server(t, http.HandlerFunc(webSocketEcho), false, false)
	addresses, _ := bothEngines(t, s.URL+"?idle_timeout=100ms&header_timeout=100ms&timeout=200ms", "")
	for engine, address := range addresses {
		c, r := webSocket(t, address)
		quiet := time.NewTimer(time.Second) // longer than each of them, and than what they are coarse by
		<-quiet.C
		if _, err := c.Write(frame{true, opText, []byte("still there")}.append(nil, true)); err != nil {
			t.Fatal(err)
		}
		if got, err := readFrame(r); err != nil || string(got.payload) != "still there" {
			t.Errorf("%s: %v %v", engine, got, err)
		}
	}
}

func TestWebSocket_ADeclinedUpgradeIsAnOrdinaryAnswer(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", http.StatusForbidden) }), false, false)
	addresses, _ := bothEngines(t, s.URL, "")
	for engine, address := range addresses {
		c := dialed(t, address)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(response.Body); response.StatusCode != 403 || !strings.Contains(string(body), "not here") {
			t.Errorf("%s: %d %s", engine, response.StatusCode, body)
		}
	}
}
