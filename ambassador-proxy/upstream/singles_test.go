package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// answered makes a connection to a server that answers one request so, and has the answer read. It tells whether the connection
// seemed to rest when net/http was done with the answer.
func answered(t *testing.T, s *singles, answer string) (rested bool) {
	t.Helper()
	address := served(t, func(c net.Conn) error {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return err
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return err
		}
		_, _ = r.ReadByte() // the end
		return nil
	})
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.add(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequest("GET", "http://a/", nil)
	response, _, err := s.roundTrip(conn, request, false)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 16)
	conn.SetStateHook(func(*http.ClientConn) { done <- conn.wire.rests() })
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "good" {
		t.Fatalf("%q %v", body, err)
	}
	return <-done
}

func TestSingles_AConnectionWithBytesBehindAnAnswerIsNotUsedAgain(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	for range 20 {
		s := &singles{}
		s.start(&idling{keep: time.Minute})
		if answered(t, s, good+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") || s.free() != nil {
			t.Error("the next request would be answered by what nobody asked for")
		}
		s.kill()
	}
	s := &singles{}
	s.start(&idling{keep: time.Minute})
	answered(t, s, good)
	kittest.Eventually(t, 5*time.Second, func() bool { return s.free() != nil }, "the connection to be used again")
	s.kill()
}
