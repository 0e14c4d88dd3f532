package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// peerNames in the order of the table's columns.
var peerNames = [...]string{"haproxy", "nginx", "ReverseProxy", "ours"}

// peer is a running proxy with a listener for each kind; none where it cannot.
type peer struct {
	name string
	addr map[kind]string
	*process
}

// startPeers starts all proxies; they cost nothing while another one is measured. What was started is returned with an
// error too.
func startPeers(o options, dir string, b *backend) (peers []*peer, err error) {
	for _, name := range peerNames {
		p, err := startPeer(name, o, dir, b)
		if p != nil {
			peers = append(peers, p)
		}
		if err != nil {
			return peers, err
		}
	}
	return peers, nil
}

func startPeer(name string, o options, dir string, b *backend) (*peer, error) {
	p := &peer{name: name, addr: map[kind]string{}}
	for k := range b.addr {
		p.addr[k] = freeAddress()
	}
	args, err := p.command(o, dir, b)
	if err != nil {
		return nil, err
	}
	if p.process, err = start(proxyCore, args...); err != nil {
		return nil, err
	}
	return p, p.waitFor(p.addr[plain])
}

// command writes the peer's configuration and returns how to start it, tuned as its documentation advises.
func (p *peer) command(o options, dir string, b *backend) ([]string, error) {
	conf := filepath.Join(dir, p.name+".conf")
	switch p.name {
	case "haproxy":
		return []string{"haproxy", "-f", conf}, os.WriteFile(conf, []byte(p.haproxy(b, o.connections)), 0o644)
	case "nginx":
		return []string{"nginx", "-c", conf}, os.WriteFile(conf, []byte(p.nginx(dir, b)), 0o644)
	case "ReverseProxy":
		delete(p.addr, tcp)
		self, err := os.Executable()
		args := []string{self, "reverseproxy"}
		for k, addr := range p.addr {
			args = append(args, addr, b.url(k))
		}
		return args, err
	}
	p.addr[h2c] = p.addr[plain] // one listener speaks both
	// The peers' OpenSSL and the backend know no ML-KEM: ours must not be charged for the key that it would offer in vain.
	args := []string{"env", "SSL_CERT_FILE=" + b.ca, "GODEBUG=tlsmlkem=0", o.binary, "--admin-address", freeAddress()}
	for k, addr := range p.addr {
		if k != h2c {
			args = append(args, "--proxy", addr+"="+b.url(k))
		}
	}
	return args, nil
}

func (b *backend) url(k kind) string {
	scheme := map[kind]string{secure: "https", full: "https", resumed: "https", grpc: "h2c", tcp: "tcp"}[k]
	if scheme == "" {
		scheme = "http"
	}
	return scheme + "://" + b.addr[k]
}

func (p *peer) haproxy(b *backend, connections int) string {
	conf := fmt.Sprintf(`global
  maxconn %d
  nbthread 1
  maxpipes 50
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 60s
  option http-keep-alive
`, connections+50)
	tls := " ssl verify required ca-file " + b.ca + " verifyhost localhost"
	for _, l := range []struct {
		k            kind
		bind, server string
		extra        string
	}{
		{plain, "", "", "http-reuse always"}, {secure, "", tls, "http-reuse always"}, {full, "", tls, "http-reuse always"},
		{resumed, "", tls, "http-reuse always"}, {h2c, " proto h2", "", "http-reuse always"},
		{grpc, " proto h2", " proto h2", "http-reuse always"}, {tcp, "", "", "mode tcp\n  option splice-auto"},
	} {
		conf += fmt.Sprintf("listen %s\n  bind %s%s\n  server s %s%s\n  %s\n", l.k, p.addr[l.k], l.bind, b.addr[l.k], l.server, l.extra)
	}
	return conf
}

const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so" // where Debian has it

func (p *peer) nginx(dir string, b *backend) string {
	stream := fmt.Sprintf("stream { server { listen %s backlog=4096; proxy_pass %s; } }\n", p.addr[tcp], b.addr[tcp])
	module := "load_module " + streamModule + ";\n"
	if _, err := os.Stat(streamModule); err != nil {
		delete(p.addr, tcp)
		stream, module = "", ""
	}
	conf := fmt.Sprintf(`%sdaemon off; master_process off; pid %[2]s/nginx.pid; error_log %[2]s/nginx.log;
events { worker_connections 19000; }
%[3]shttp { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path %[2]s/nb; proxy_temp_path %[2]s/np;
proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering on; proxy_ssl_verify on; proxy_ssl_trusted_certificate %[4]s;
proxy_ssl_name localhost; proxy_ssl_server_name on;
`, module, dir, stream, b.ca)
	for _, l := range []struct {
		k            kind
		listen, pass string
	}{
		{plain, "", "proxy_pass http"}, {secure, "", "proxy_pass https"}, {full, "", "proxy_pass https"}, {resumed, "", "proxy_pass https"},
		{h2c, " http2", "proxy_pass http"}, {grpc, " http2", "grpc_pass grpc"},
	} {
		conf += fmt.Sprintf("upstream %[1]s { server %[2]s; keepalive 512; keepalive_requests 1000000000; }\n"+
			"server { listen %[3]s%[4]s backlog=4096; location / { %[5]s://%[1]s; } }\n", l.k, b.addr[l.k], p.addr[l.k], l.listen, l.pass)
	}
	return conf + "}\n"
}
