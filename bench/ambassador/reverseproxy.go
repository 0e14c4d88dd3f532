package main

import (
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// reverseProxy serves LISTEN TARGET pairs with a tuned httputil.ReverseProxy: enough idle connections and a pool of
// copy buffers.
func reverseProxy(args []string) {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 1024, MaxIdleConns: 0, IdleConnTimeout: time.Hour, DisableCompression: true,
		ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	for i := 0; i < len(args); i += 2 {
		target, err := url.Parse(args[i+1])
		if err != nil {
			log.Fatal(err)
		}
		p := &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: transport, BufferPool: &copyBuffers{},
		}
		ln, err := net.Listen("tcp", args[i])
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(http.Serve(ln, p)) }()
	}
	select {}
}

type copyBuffers struct{ pool sync.Pool }

func (p *copyBuffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *copyBuffers) Put(b []byte) { p.pool.Put(&b) }
