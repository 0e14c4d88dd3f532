package main

import (
	"io"
	"log"
	"net"
	"net/http"
)

// grpcServer answers every unary call with a message of 128 bytes, as gRPC frames it: a length in front, the status in the
// trailers.
func grpcServer(args []string) {
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		log.Fatal(err)
	}
	message := append([]byte{0, 0, 0, 0, 128}, make([]byte, 128)...)
	s := &http.Server{Protocols: bothVersions(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(message)
			w.Header().Set("Grpc-Status", "0")
		})}
	log.Fatal(s.Serve(ln))
}
