package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// server starts a real server and returns when address accepts connections.
func server(t *testing.T, network, address, name string, args ...string) {
	t.Helper()
	p := kittest.Start(t, nil, name, args...)
	t.Cleanup(func() { // a master that is killed leaves its workers behind
		p.Signal(syscall.SIGTERM)
		p.Wait(10 * time.Second)
	})
	kittest.Eventually(t, 20*time.Second, func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, name+" to listen on "+address)
}

func TestRealRedis_OverAuthIsNamedAsItsExporterDoes(t *testing.T) {
	kittest.NeedReal(t, "redis-server")
	port := kittest.FreePort(t)
	server(t, "tcp", "127.0.0.1:"+port, "redis-server", "--port", port, "--save", "", "--requirepass", "s3cret", "--dir", t.TempDir())
	secret := filepath.Join(t.TempDir(), "password")
	write(t, secret, "wrong")
	admin, _, _ := configured(t, "sources:\n- preset: redis\n  document: {url: 'redis://127.0.0.1:"+port+"', format: redis, basic_auth: {username: '', password: 'file:"+secret+"'}}\n- resources: {}\n")
	mustHave(t, scrape(t, admin), `adapter_source_errors_total{reason="credentials",source="redis"} 1`, "!redis_up")
	write(t, secret, "s3cret")
	shows(t, admin, "redis_up 1")
	mustHave(t, scrape(t, admin), "redis_connected_clients 1", `redis_commands_total{cmd="auth"}`, "redis_memory_used_bytes", `redis_instance_info{maxmemory_policy="noeviction"`)
}

func TestRealMemcached_ByURLIsNamedAsItsExporterDoes(t *testing.T) {
	kittest.NeedReal(t, "memcached")
	port := kittest.FreePort(t)
	server(t, "tcp", "127.0.0.1:"+port, "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port)
	talk(t, "127.0.0.1:"+port, "set a 0 0 1\r\n1\r\nget a\r\nget b\r\nquit\r\n")
	admin, _ := adapter(t, "--source", "memcached://127.0.0.1:"+port)
	mustHave(t, scrape(t, admin), "memcached_up 1", `memcached_commands_total{command="get",status="hit"} 1`, `memcached_commands_total{command="get",status="miss"} 1`,
		`memcached_commands_total{command="set",status="hit"} 1`, "memcached_current_items 1", `memcached_slab_current_items{slab="1"} 1`, "memcached_max_connections 1024")
}

// talk sends lines and reads until the server hangs up.
func talk(t *testing.T, address, lines string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(lines)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1024); err == nil; {
		_, err = c.Read(b)
	}
}

// nginx starts a real nginx with what stands inside its server block.
func nginx(t *testing.T, block string) (address, dir string) {
	t.Helper()
	kittest.NeedReal(t, "nginx")
	address, dir = kittest.FreeAddress(t), t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log; events {}
http { client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
log_format timed '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent $request_time';
access_log off; server { listen %[2]s; %[3]s } }`, dir, address, block))
	server(t, "tcp", address, "nginx", "-e", filepath.Join(dir, "error.log"), "-c", file)
	return address, dir
}

func TestRealNginx_StubStatusIsNamedAsItsExporterDoes(t *testing.T) {
	address, _ := nginx(t, "location = /status { stub_status; }")
	admin, _ := adapter(t, "--source", "nginx+http://"+address+"/status")
	mustHave(t, scrape(t, admin), "nginx_up 1", "nginx_connections_active 1", "nginx_http_requests_total 1", "nginx_connections_accepted", "nginx_connections_writing 1")
}

func TestRealNginx_LogLinesSurviveRotation(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "access.log")
	address, home := nginx(t, "access_log "+file+" timed; location / { return 204; }")
	admin, _, _ := configured(t, "sources:\n- log: {path: "+file+", from_start: true, pattern: '{client} - - [{}] \"{method} {path} {}\" {status} {bytes:int} {rt:s}'}\n"+
		"  metrics: [{name: shop_http_requests_total, labels: [method, status]}, {name: shop_http_duration_seconds, observe: rt}]\n- resources: {}\n")
	for range 3 {
		kittest.Get("http://" + address + "/x")
	}
	shows(t, admin, `shop_http_requests_total{method="GET",status="204"} 3`)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	kittest.Get("http://" + address + "/late") // still to the old file
	pid, err := os.ReadFile(filepath.Join(home, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err == nil {
		err = syscall.Kill(n, syscall.SIGUSR1) // reopen
	}
	if err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, 10*time.Second, func() bool { _, err := os.Stat(file); return err == nil }, "nginx to reopen its log")
	kittest.Get("http://" + address + "/y")
	shows(t, admin, `shop_http_requests_total{method="GET",status="204"} 5`)
	mustHave(t, scrape(t, admin), "shop_http_duration_seconds_count 5", `adapter_samples_total{source="log"} 5`)
}

// phpFPM starts a real PHP-FPM with its status page.
func phpFPM(t *testing.T) (socket string) {
	kittest.NeedReal(t, "php-fpm8.2")
	dir := t.TempDir()
	socket, file, who := filepath.Join(dir, "fpm.sock"), filepath.Join(dir, "fpm.conf"), ""
	if os.Getuid() == 0 {
		who = "user = nobody\nlisten.owner = nobody\nlisten.mode = 0666\n"
		if _, err := user.Lookup("nobody"); err != nil {
			t.Skip(err)
		}
	}
	write(t, file, "[global]\nerror_log = "+filepath.Join(dir, "log")+"\ndaemonize = no\n[www]\nlisten = "+socket+"\n"+who+"pm = static\npm.max_children = 2\npm.status_path = /status\n")
	server(t, "unix", socket, "php-fpm8.2", "--nodaemonize", "--fpm-config", file)
	return socket
}

func TestRealPHPFPM_StatusIsNamedAsItsExporterDoes(t *testing.T) {
	socket := phpFPM(t)
	address, _ := nginx(t, "location = /status { fastcgi_param SCRIPT_NAME /status; fastcgi_param SCRIPT_FILENAME /status; fastcgi_param REQUEST_METHOD GET; fastcgi_param QUERY_STRING $query_string; fastcgi_pass unix:"+socket+"; }")
	for _, url := range []string{"http://" + address + "/status?json", "http://" + address + "/status", "fcgi+unix://" + socket + ":/status?json", "fcgi+unix://" + socket} {
		admin, _ := adapter(t, "--source", "phpfpm+"+url)
		shows(t, admin, `phpfpm_active_processes{pool="www"} 1`) // a worker is busy for a moment after its answer
		mustHave(t, scrape(t, admin), `phpfpm_up{pool="www"} 1`, `phpfpm_total_processes{pool="www"} 2`, `phpfpm_accepted_connections{pool="www"}`)
	}
	admin, _ := adapter(t, "--source", "phpfpm+fcgi+unix://"+socket+":/nosuch.php")
	mustHave(t, scrape(t, admin), `adapter_source_errors_total{reason="status",source="php-fpm"} 1`)
}

func TestRealApache_ServerStatusIsNamedAsItsExporterDoes(t *testing.T) {
	kittest.NeedReal(t, "apache2")
	dir, address := t.TempDir(), kittest.FreeAddress(t)
	file := filepath.Join(dir, "httpd.conf")
	write(t, file, fmt.Sprintf(`ServerRoot %[1]s
PidFile %[1]s/pid
ErrorLog %[1]s/log
ServerName localhost
Listen %[2]s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
<Location "/server-status">
SetHandler server-status
</Location>
`, dir, address))
	server(t, "tcp", address, "apache2", "-DFOREGROUND", "-f", file)
	admin, _ := adapter(t, "--source", "apache+http://"+address+"/server-status?auto")
	mustHave(t, scrape(t, admin), "apache_up 1", `apache_workers{state="busy"} 1`, "apache_uptime_seconds_total", `apache_scoreboard{state="reply"} 1`, `apache_info{mpm="event",version="Apache/2.4`)
}

func TestRealHAProxy_PageAndSocketAreNamedAsItsExporterDoes(t *testing.T) {
	kittest.NeedReal(t, "haproxy")
	dir, address, front := t.TempDir(), kittest.FreeAddress(t), kittest.FreeAddress(t)
	app, socket, file := newApp(t, `{}`), filepath.Join(dir, "stats.sock"), filepath.Join(dir, "haproxy.cfg")
	write(t, file, "global\n stats socket "+socket+"\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nfrontend web\n bind "+front+"\n default_backend shop\nbackend shop\n server one "+app.Listener.Addr().String()+"\nlisten stats\n bind "+address+"\n stats enable\n stats uri /\n")
	server(t, "tcp", address, "haproxy", "-f", file)
	kittest.Get("http://" + front + "/")
	for _, source := range []string{"haproxy+http://" + address + "/;csv", "haproxy+unix://" + socket} {
		admin, _ := adapter(t, "--source", source)
		mustHave(t, scrape(t, admin), `haproxy_frontend_http_requests_total{frontend="web"} 1`, `haproxy_backend_up{backend="shop"} 1`,
			`haproxy_server_http_responses_total{backend="shop",code="2xx",server="one"} 1`)
	}
}
