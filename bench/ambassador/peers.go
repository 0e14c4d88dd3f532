package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// peer is a running proxy with a listener for each kind of upstream; "" where it has none.
type peer struct {
	name             string
	http, https, tcp string
	*process
}

// startPeers starts all proxies; they cost nothing while another one is measured. What was started is returned with an
// error too.
func startPeers(o options, dir string, b *backend) (peers []*peer, err error) {
	for _, name := range []string{"haproxy", "nginx", "ReverseProxy", "ours"} {
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
	p := &peer{name: name, http: freeAddress(), https: freeAddress(), tcp: freeAddress()}
	args, err := p.command(o, dir, b)
	if err != nil {
		return nil, err
	}
	if p.process, err = start(proxyCore, args...); err != nil {
		return nil, err
	}
	return p, p.waitFor(p.http)
}

// command writes the peer's configuration and returns how to start it, tuned as its documentation advises.
func (p *peer) command(o options, dir string, b *backend) ([]string, error) {
	conf := filepath.Join(dir, p.name+".conf")
	switch p.name {
	case "haproxy":
		return []string{"haproxy", "-f", conf}, os.WriteFile(conf, []byte(haproxyConf(p, b, o.connections)), 0o644)
	case "nginx":
		p.tcp = "" // Debian's nginx has no stream module by default
		return []string{"nginx", "-c", conf}, os.WriteFile(conf, []byte(nginxConf(p, dir, b)), 0o644)
	case "ReverseProxy":
		p.tcp = ""
		self, err := os.Executable()
		return []string{self, "reverseproxy", p.http, "http://" + b.http, p.https, "https://" + b.https}, err
	}
	return []string{
		"env", "SSL_CERT_FILE=" + b.ca, o.binary, "--admin-address", freeAddress(),
		"--proxy", p.http + "=http://" + b.http, "--proxy", p.https + "=https://" + b.https, "--proxy", p.tcp + "=tcp://" + b.tcp,
	}, nil
}

func haproxyConf(p *peer, b *backend, connections int) string {
	return fmt.Sprintf(`global
  maxconn %d
  nbthread 1
  maxpipes 50
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 60s
  option http-keep-alive
listen plain
  bind %s
  http-reuse always
  server s %s
listen secure
  bind %s
  http-reuse always
  server s %s ssl verify required ca-file %s verifyhost localhost
listen stream
  mode tcp
  option splice-auto
  bind %s
  server s %s
`, connections+50, p.http, b.http, p.https, b.https, b.ca, p.tcp, b.tcp)
}

func nginxConf(p *peer, dir string, b *backend) string {
	location := `location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering on; %s }`
	return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events { worker_connections 19000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_body_temp_path %[1]s/nb; proxy_temp_path %[1]s/np;
upstream plain { server %[2]s; keepalive 512; keepalive_requests 1000000000; }
upstream secure { server %[3]s; keepalive 512; keepalive_requests 1000000000; }
server { listen %[4]s backlog=4096; %[6]s }
server { listen %[5]s; %[7]s } }
`, dir, b.http, b.https, p.http, p.https, fmt.Sprintf(location, "http://plain", ""),
		fmt.Sprintf(location, "https://secure", "proxy_ssl_verify on; proxy_ssl_trusted_certificate "+b.ca+"; proxy_ssl_name localhost; proxy_ssl_server_name on;"))
}
