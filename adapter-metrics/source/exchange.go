package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// An Exchange asks a server over a connection of its own at each scrape: it sends, and reads until the reply is
// complete. Redis, memcached and HAProxy's statistics socket are asked like this.
type Exchange struct {
	Network string // tcp or unix
	Address string
	TLS     *tls.Config            // or nil
	Files   *tlsfile.Source        // that TLS uses, or nil
	Log     *slog.Logger           // with Files
	Ask     func() ([]byte, error) // what to send; asked each time, because credentials rotate
	// Done reports whether the reply is complete, or why it is of no use. Without it the server's end of the
	// connection ends the reply.
	Done  func(reply []byte) (bool, error)
	Limit int64 // bytes
}

// Fetch implements Fetcher.
func (e Exchange) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	question, err := e.Ask()
	if err != nil {
		return buf, &CredentialsError{err}
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return buf, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(question); err != nil {
		return buf, err
	}
	return e.read(conn, buf)
}

// Watch follows the TLS files until ctx ends.
func (e Exchange) Watch(ctx context.Context) {
	if e.Files != nil {
		e.Files.Watch(ctx, e.Log)
	}
}

func (e Exchange) dial(ctx context.Context) (net.Conn, error) {
	if e.TLS != nil {
		d := tls.Dialer{Config: e.TLS}
		return d.DialContext(ctx, e.Network, e.Address)
	}
	var d net.Dialer
	return d.DialContext(ctx, e.Network, e.Address)
}

func (e Exchange) read(conn net.Conn, buf []byte) ([]byte, error) {
	if e.Done == nil {
		return readAll(conn, buf, e.Limit)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		done, bad := e.Done(buf)
		switch {
		case bad != nil:
			return buf, bad
		case done:
			return buf, nil
		case int64(len(buf)) > e.Limit:
			return buf, &TooLargeError{Limit: e.Limit}
		case errors.Is(err, io.EOF):
			return buf, fmt.Errorf("read reply: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return buf, err
		}
	}
}

// AskRedis is INFO ALL, after AUTH when there is a password. The framing is RESP, so that a password may have any
// bytes.
func AskRedis(username, password string) []byte {
	var b []byte
	command := func(words ...string) {
		b = append(append(append(b, '*'), strconv.Itoa(len(words))...), "\r\n"...)
		for _, w := range words {
			b = append(append(append(b, '$'), strconv.Itoa(len(w))...), "\r\n"...)
			b = append(append(b, w...), "\r\n"...)
		}
	}
	switch {
	case password != "" && username != "":
		command("AUTH", username, password)
	case password != "":
		command("AUTH", password)
	}
	command("INFO", "ALL")
	return b
}

// RedisDone knows the end of the replies to AskRedis: a status for AUTH, a bulk string for INFO.
func RedisDone(reply []byte) (bool, error) {
	for {
		line, rest, ok := bytes.Cut(reply, []byte("\r\n"))
		if !ok {
			return false, nil
		}
		switch {
		case len(line) == 0:
			return false, errors.New("read reply: not Redis")
		case line[0] == '+':
			reply = rest
		case line[0] == '-':
			err := errors.New("ask Redis: " + string(line[1:]))
			if bytes.Contains(line, []byte("AUTH")) || bytes.Contains(line, []byte("WRONGPASS")) || bytes.Contains(line, []byte("NOPERM")) || bytes.Contains(line, []byte("password")) {
				return false, &CredentialsError{err}
			}
			return false, err
		case line[0] == '$':
			n, err := strconv.Atoi(string(line[1:]))
			if err != nil || n < 0 {
				return false, errors.New("read reply: not Redis")
			}
			return len(rest) >= n+2, nil
		default:
			return false, errors.New("read reply: not Redis")
		}
	}
}

// AskMemcached is everything that memcached tells about itself.
func AskMemcached() []byte {
	return []byte("stats\r\nstats settings\r\nstats items\r\nstats slabs\r\n")
}

// MemcachedDone knows the end of the four replies.
func MemcachedDone(reply []byte) (bool, error) {
	if bytes.HasPrefix(reply, []byte("ERROR")) || bytes.HasPrefix(reply, []byte("CLIENT_ERROR")) {
		line, _, _ := bytes.Cut(reply, []byte("\r\n"))
		return false, errors.New("ask memcached: " + string(line))
	}
	return bytes.HasSuffix(reply, []byte("END\r\n")) && bytes.Count(reply, []byte("END\r\n")) >= 4, nil
}
