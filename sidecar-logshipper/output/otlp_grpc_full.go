//go:build full

package output

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// grpcClient calls one unary method over net/http's HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
// a message has five bytes in front, and the status comes in the trailer.
type grpcClient struct {
	*client
	frame []byte
}

const grpcPrefix = 5 // compressed or not, and the length in four bytes

func newGRPC(c *client) (exporter, error) {
	t, ok := c.http.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("transport cannot speak HTTP/2")
	}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return &grpcClient{client: c}, nil
}

func (g *grpcClient) export(ctx context.Context, body []byte) ([]byte, error) {
	packed, encoding := g.packer.pack(body)
	compressed := byte(0)
	if encoding != "" {
		compressed = 1
	}
	g.frame = binary.BigEndian.AppendUint32(append(g.frame[:0], compressed), uint32(len(packed)))
	g.frame = append(g.frame, packed...)
	var answer []byte
	err := g.do(ctx, http.MethodPost, g.url, g.frame, func(*http.Request) error { return nil }, func(body []byte) error { answer = body; return nil })
	if err != nil {
		return nil, err
	}
	status := g.last.Trailer
	if status.Get("Grpc-Status") == "" {
		status = g.last.Header // an answer without a message
	}
	if err := grpcError(status); err != nil {
		if retry, ok := errors.AsType[*Retryable](err); ok && retry.Reason == "auth" {
			g.secrets.Expire()
		}
		return nil, err
	}
	message, err := readMessage(answer, g.last.Header.Get("Grpc-Encoding"))
	if err != nil {
		return nil, &Retryable{Reason: "status", Err: fmt.Errorf("the answer is no message: %w", err)}
	}
	return message, nil
}

// readMessage takes a message out of its frame. Servers pack their answers as they were asked.
func readMessage(frame []byte, encoding string) ([]byte, error) {
	if len(frame) < grpcPrefix || frame[0] > 1 || int(binary.BigEndian.Uint32(frame[1:])) != len(frame)-grpcPrefix {
		return nil, io.ErrUnexpectedEOF
	}
	message := frame[grpcPrefix:]
	if frame[0] == 0 {
		return message, nil
	}
	switch encoding {
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(message))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(z, maxAnswer))
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(message), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxAnswer))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(io.LimitReader(z, maxAnswer))
	}
	return nil, fmt.Errorf("packed as %q", encoding)
}
