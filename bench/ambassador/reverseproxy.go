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
	sessions := tls.NewLRUClientSessionCache(64)
	for i := 0; i < len(args); i += 2 {
		target, err := url.Parse(args[i+1])
		if err != nil {
			log.Fatal(err)
		}
		transport := &http.Transport{
			MaxIdleConnsPerHost: 1024, MaxIdleConns: 0, IdleConnTimeout: time.Hour, DisableCompression: true, Protocols: &http.Protocols{},
			ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions},
		}
		transport.Protocols.SetHTTP1(true)
		if target.Scheme == "h2c" {
			target.Scheme = "http"
			transport.Protocols.SetHTTP1(false)
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		p := &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: transport, BufferPool: &copyBuffers{},
		}
		ln, err := net.Listen("tcp", args[i])
		if err != nil {
			log.Fatal(err)
		}
		s := &http.Server{Handler: p, Protocols: bothVersions()}
		go func() { log.Fatal(s.Serve(ln)) }()
	}
	select {}
}

func bothVersions() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

type copyBuffers struct{ pool sync.Pool }

func (p *copyBuffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *copyBuffers) Put(b []byte) { p.pool.Put(&b) }
