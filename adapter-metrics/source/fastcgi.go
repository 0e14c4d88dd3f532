package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A FastCGI asks an application server such as PHP-FPM for a page, with no web server between (FastCGI 1.0, role
// responder). Each request has a connection of its own, as PHP-FPM counts every open one as a busy process.
type FastCGI struct {
	Network string // tcp or unix
	Address string
	Path    string // of the page
	Query   string
	Limit   int64 // bytes
}

// Types of FastCGI records, section 8 of the specification.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
	fcgiStderr = 7
)

// Fetch implements Fetcher.
func (f FastCGI) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, f.Network, f.Address)
	if err != nil {
		return buf, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(f.request()); err != nil {
		return buf, err
	}
	return f.read(bufio.NewReader(conn), buf)
}

// request is one GET: who asks, what for, and an empty body.
func (f FastCGI) request() []byte {
	b := fcgiRecord(nil, fcgiBegin, []byte{0, 1, 0, 0, 0, 0, 0, 0}) // role 1: responder; flags 0: close afterwards
	var params []byte
	for _, p := range [...][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"}, {"REQUEST_METHOD", "GET"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"SERVER_SOFTWARE", "adapter-metrics"},
		{"SERVER_NAME", "localhost"}, {"SERVER_PORT", "80"}, {"REMOTE_ADDR", "127.0.0.1"},
		{"SCRIPT_NAME", f.Path}, {"SCRIPT_FILENAME", f.Path}, {"DOCUMENT_URI", f.Path}, {"REQUEST_URI", f.Path + "?" + f.Query}, {"QUERY_STRING", f.Query},
	} {
		params = fcgiLength(fcgiLength(params, len(p[0])), len(p[1]))
		params = append(append(params, p[0]...), p[1]...)
	}
	b = fcgiRecord(b, fcgiParams, params)
	return fcgiRecord(fcgiRecord(b, fcgiParams, nil), fcgiStdin, nil)
}

func fcgiRecord(b []byte, kind byte, content []byte) []byte {
	b = append(b, 1, kind, 0, 1, byte(len(content)>>8), byte(len(content)), 0, 0)
	return append(b, content...)
}

func fcgiLength(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

// read collects the reply's records up to the end of the request and appends the page behind the CGI headers.
func (f FastCGI) read(r io.Reader, buf []byte) ([]byte, error) {
	from := len(buf)
	var complaint []byte
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return buf, fmt.Errorf("read FastCGI reply: %w", unexpected(err))
		}
		if head[0] != 1 {
			return buf, errors.New("read FastCGI reply: not FastCGI")
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return buf, fmt.Errorf("read FastCGI reply: %w", unexpected(err))
		}
		content = content[:len(content)-int(head[6])]
		switch head[1] {
		case fcgiStdout:
			if buf = append(buf, content...); int64(len(buf)-from) > f.Limit {
				return buf, &TooLargeError{Limit: f.Limit}
			}
		case fcgiStderr:
			if complaint = append(complaint, content...); len(complaint) > 200 {
				complaint = complaint[:200]
			}
		case fcgiEnd:
			if len(content) < 5 || content[4] != 0 {
				return buf, errors.New("read FastCGI reply: the server refused the request")
			}
			return fcgiPage(buf, from, string(complaint))
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fcgiPage cuts the CGI headers (RFC 3875, section 6) off what follows from.
func fcgiPage(buf []byte, from int, complaint string) ([]byte, error) {
	head, page, ok := bytes.Cut(buf[from:], []byte("\r\n\r\n"))
	if !ok {
		return buf, fmt.Errorf("read FastCGI reply: no headers %s", strconv.Quote(complaint))
	}
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Status") && !strings.HasPrefix(value, "200") {
			return buf, &StatusError{Status: value}
		}
	}
	return append(buf[:from], page...), nil
}
