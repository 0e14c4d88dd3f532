package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// peer speaks a line protocol to one server and reads back whole answers.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialPeer(t *testing.T, address string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &peer{t, c, bufio.NewReader(c)}
}

// redis asks one command and returns its reply as text: nested values stand in brackets.
func (p *peer) redis(words ...string) string {
	p.t.Helper()
	p.send(words...)
	return p.answer()
}

func (p *peer) send(words ...string) {
	p.t.Helper()
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) answer() string {
	p.t.Helper()
	line := p.line()
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '$':
		if n < 0 {
			return "nil"
		}
		text := make([]byte, n+2)
		if _, err := io.ReadFull(p.r, text); err != nil {
			p.t.Fatal(err)
		}
		return string(text[:n])
	case '*', '%', '~':
		if line[0] == '%' {
			n *= 2
		}
		all := make([]string, max(n, 0))
		for i := range all {
			all[i] = p.answer()
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return line
}

func (p *peer) line() string {
	p.t.Helper()
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// process runs a real server until the test ends, and waits until it accepts.
func process(t *testing.T, address, name string, args ...string) *exec.Cmd {
	t.Helper()
	kittest.NeedReal(t, name)
	c := exec.Command(name, args...)
	c.Dir = t.TempDir()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	kittest.Eventually(t, 10*time.Second, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, name)
	return c
}

func redisServers(t *testing.T, n int, args ...string) (addresses []string, all []*exec.Cmd) {
	for range n {
		a := kittest.FreeAddress(t)
		_, port, _ := net.SplitHostPort(a)
		all = append(all, process(t, a, "redis-server", append([]string{"--port", port, "--save", "", "--appendonly", "no"}, args...)...))
		addresses = append(addresses, a)
	}
	return addresses, all
}

func memcachedServers(t *testing.T, n int, args ...string) (addresses []string) {
	for range n {
		a := kittest.FreeAddress(t)
		_, port, _ := net.SplitHostPort(a)
		process(t, a, "memcached", append([]string{"-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0"}, args...)...)
		addresses = append(addresses, a)
	}
	return addresses
}

// nutcracker is twemproxy in front of the same servers.
func nutcracker(t *testing.T, hash string, isRedis bool, servers []string) string {
	t.Helper()
	a := kittest.FreeAddress(t)
	var b strings.Builder
	fmt.Fprintf(&b, "p:\n  listen: %s\n  hash: %s\n  hash_tag: \"{}\"\n  distribution: ketama\n  redis: %t\n  servers:\n", a, hash, isRedis)
	for _, s := range servers {
		fmt.Fprintf(&b, "   - %s:1\n", s)
	}
	file := filepath.Join(t.TempDir(), "n.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	process(t, a, "nutcracker", "-c", file, "-s", kittest.FreePort(t), "-a", "127.0.0.1")
	return a
}

// oddKeys are plain, tagged, binary and long ones.
func oddKeys(n int) (keys []string) {
	for i := range n {
		switch i % 5 {
		case 0:
			keys = append(keys, fmt.Sprintf("user:{%d}:name", i))
		case 1:
			keys = append(keys, fmt.Sprintf("größe-\xff\x80-%d", i))
		case 2:
			keys = append(keys, strings.Repeat("k", i%200)+strconv.Itoa(i))
		default:
			keys = append(keys, fmt.Sprintf("user:%d", i))
		}
	}
	return keys
}

func TestRealRedis_KeysLieWhereTwemproxyPutsThemForEveryHash(t *testing.T) {
	for _, hash := range []string{"fnv1a_64", "fnv1a_32", "fnv1_64", "fnv1_32", "md5", "crc32a", "one_at_a_time"} {
		t.Run(hash, func(t *testing.T) {
			servers, _ := redisServers(t, 3)
			twem := dialPeer(t, nutcracker(t, hash, true, servers))
			address, _, _ := proxied(t, "redis://"+strings.Join(servers, ",")+"?hash="+hash)
			ours := dialPeer(t, address)
			for i, k := range oddKeys(1000) {
				writer, reader := ours, twem
				if i%2 == 1 {
					writer, reader = twem, ours
				}
				if got := writer.redis("SET", k, "v"+k); got != "+OK" {
					t.Fatalf("SET %q: %s", k, got)
				}
				if got := reader.redis("GET", k); got != "v"+k {
					t.Fatalf("%q written by one (%d) is %q for the other", k, i%2, got)
				}
			}
			total := 0
			for _, s := range servers {
				n, _ := strconv.Atoi(strings.TrimPrefix(dialPeer(t, s).redis("DBSIZE"), ":"))
				if total += n; n < 20 { // ports are random, and so are the shares of the weaker hashes
					t.Errorf("only %d of 1000 keys lie on %s", n, s)
				}
			}
			if total != 1000 {
				t.Errorf("%d keys lie on the servers, some twice or never", total)
			}
		})
	}
}

func TestRealMemcached_KeysLieWhereTwemproxyPutsThem(t *testing.T) {
	servers := memcachedServers(t, 3)
	twem := dialPeer(t, nutcracker(t, "fnv1a_64", false, servers))
	address, _, _ := proxied(t, "memcached://"+strings.Join(servers, ","))
	ours := dialPeer(t, address)
	for i := range 1000 {
		writer, reader := ours, twem
		if i%2 == 1 {
			writer, reader = twem, ours
		}
		key := fmt.Sprintf("user:%d", i)
		fmt.Fprintf(writer, "set %s 7 0 %d\r\n%s\r\n", key, len(key), key)
		if got := writer.line(); got != "STORED" {
			t.Fatalf("set %s: %s", key, got)
		}
		fmt.Fprintf(reader, "get %s\r\n", key)
		if got := reader.line() + "|" + reader.line() + "|" + reader.line(); got != fmt.Sprintf("VALUE %s 7 %d|%s|END", key, len(key), key) {
			t.Fatalf("get %s: %s", key, got)
		}
	}
	fmt.Fprint(ours, "get user:1 user:2 nokey user:3 user:4\r\n")
	found := 0
	for line := ours.line(); line != "END"; line = ours.line() {
		if strings.HasPrefix(line, "VALUE ") {
			found++
		}
	}
	if found != 4 {
		t.Errorf("a get of four keys on three servers found %d", found)
	}
	fmt.Fprint(ours, "set a 0 0 1 noreply\r\nx\r\nmg a v\r\nmg nokey v q\r\nmn\r\nincr a 1\r\ndelete a\r\nstats\r\nversion\r\n")
	for _, want := range []string{"VA 1", "x", "MN", "CLIENT_ERROR cannot increment or decrement non-numeric value", "DELETED",
		"SERVER_ERROR stats is not supported", "VERSION 1.6.0"} {
		if got := ours.line(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRealRedis_SplitsJoinsAndKeepsTheOrderOfPipelines(t *testing.T) {
	servers, _ := redisServers(t, 3)
	address, admin, _ := proxied(t, "redis://"+strings.Join(servers, ","))
	p := dialPeer(t, address)
	set, get, del := []string{"MSET"}, []string{"MGET"}, []string{"DEL"}
	var want []string
	for i := range 50 {
		k := fmt.Sprintf("k%d", i)
		set, get, del, want = append(set, k, "v"+k), append(get, k, "no"+k), append(del, k), append(want, "v"+k, "nil")
	}
	for _, step := range []struct {
		words []string
		want  string
	}{{set, "+OK"}, {get, "[" + strings.Join(want, " ") + "]"}, {append([]string{"EXISTS"}, set[1:]...), ":50"},
		{append([]string{"TOUCH"}, del[1:]...), ":50"}, {[]string{"DBSIZE"}, ":50"}, {del, ":50"}, {get[:1], "-ERR wrong number of arguments for 'mget' command"}} {
		if got := p.redis(step.words...); got != step.want {
			t.Errorf("%s: %s, want %s", step.words[0], got, step.want)
		}
	}
	for i := range 5000 {
		p.send("SET", fmt.Sprintf("p%d", i), strconv.Itoa(i))
		p.send("GET", fmt.Sprintf("p%d", i))
		if i%1000 == 999 {
			for j := i - 999; j <= i; j++ {
				if a, b := p.answer(), p.answer(); a != "+OK" || b != strconv.Itoa(j) {
					t.Fatalf("pipeline at %d: %s %s", j, a, b)
				}
			}
		}
	}
	big := strings.Repeat("x", 3<<20)
	if got := p.redis("SET", "big", big); got != "+OK" {
		t.Fatal(got)
	}
	if p.redis("GET", "big") != big {
		t.Error("3 MiB came back changed")
	}
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); strings.Count(metrics, "ambassador_shard_requests_total{endpoint=\"127.0.0.1:") != 3 {
		t.Error("not every shard has its counter")
	}
}

func TestRealRedis_ADeadShardFailsOnlyItsKeysAndComesBack(t *testing.T) {
	servers, all := redisServers(t, 3)
	address, admin, _ := proxied(t, "redis://"+strings.Join(servers, ","))
	p := dialPeer(t, address)
	keys := []string{"MGET"}
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("%d:of:user", i)) // what differs stands first: FNV spreads it
		p.redis("SET", keys[i+1], "v")
	}
	_ = all[1].Process.Kill()
	_ = all[1].Wait()
	dead := 0
	for _, k := range keys[1:] {
		switch got := p.redis("GET", k); {
		case strings.HasPrefix(got, "-ERR shard "+servers[1]+": "):
			dead++
		case got != "v":
			t.Errorf("%s: %s", k, got)
		}
	}
	if dead < 5 || dead > 40 {
		t.Errorf("%d of 60 keys failed", dead)
	}
	if got := p.redis(keys...); strings.Count(got, "-ERR shard "+servers[1]) != dead || strings.Count(strings.ReplaceAll(got, "every", ""), "v") != 60-dead {
		t.Errorf("MGET: %s", got)
	}
	if got := p.redis(append([]string{"EXISTS"}, keys[1:]...)...); !strings.Contains(got, fmt.Sprintf("(%d of 60 done)", 60-dead)) {
		t.Errorf("EXISTS: %s", got)
	}
	_, metrics := kittest.Get("http://" + admin + "/metrics")
	for _, want := range []string{`ambassador_endpoints{state="ejected",upstream="127.0.0.1"} 1`,
		`ambassador_endpoint_ejections_total{reason="unreachable",upstream="127.0.0.1"}`, `ambassador_upstream_attempts_total{result="connect_refused"`,
		`ambassador_shard_errors_total{endpoint="` + servers[1] + `",reason="ejected"`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	_, port, _ := net.SplitHostPort(servers[1])
	process(t, servers[1], "redis-server", "--port", port, "--save", "", "--appendonly", "no")
	kittest.Eventually(t, 5*time.Second, func() bool { return !strings.Contains(p.redis(keys...), "-ERR") }, "the shard to be used again")
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); !strings.Contains(metrics, `ambassador_endpoints{state="healthy",upstream="127.0.0.1"} 3`) {
		t.Error("the shard is used, and not healthy")
	}
}

func TestRealRedis_TransactionsStayOnOneShard(t *testing.T) {
	servers, _ := redisServers(t, 3)
	address, _, _ := proxied(t, "redis://"+strings.Join(servers, ","))
	p := dialPeer(t, address)
	apart := "a0"
	p.redis("SET", "x", "1")
	for i := 0; p.redis("RENAMENX", "x", apart) != "-CROSSSLOT keys of one command lie on different shards (give them a common {hash tag})"; i++ {
		p.redis("RENAMENX", apart, "x")
		apart = fmt.Sprintf("a%d", i)
	}
	for _, step := range []struct{ ask, want string }{
		{"MULTI", "+OK"}, {"SET {t}1 a", "+QUEUED"}, {"INCR {t}2", "+QUEUED"}, {"EXEC", "[+OK :1]"},
		{"MULTI", "+OK"}, {"EXEC", "[]"}, {"EXEC", "-ERR EXEC without MULTI"},
		{"MULTI", "+OK"}, {"SET x 2", "+QUEUED"}, {"SET " + apart + " 2", "-CROSSSLOT keys of one transaction lie on different shards (give them a common {hash tag})"},
		{"EXEC", "-EXECABORT Transaction discarded because of previous errors: CROSSSLOT keys of one transaction lie on different shards (give them a common {hash tag})"}, {"GET x", "1"},
		{"WATCH x", "+OK"}, {"MULTI", "+OK"}, {"GET x", "+QUEUED"}, {"DISCARD", "+OK"},
		{"WATCH x", "+OK"}, {"SET x 3", "+OK"}, {"MULTI", "+OK"}, {"SET x 4", "+QUEUED"}, {"EXEC", "[]"}, {"GET x", "3"},
		{"SUBSCRIBE c", "-ERR SUBSCRIBE is not supported by the sharding ambassador: channels belong to no shard (connect to one server directly)"},
		{"BLPOP l 0", "-ERR BLPOP is not supported by the sharding ambassador: it would block the connection to a shard"},
		{"SELECT 1", "+OK"}, {"GET x", "nil"}, {"SELECT 0", "+OK"}, {"GET x", "3"}, {"PING", "+PONG"},
	} {
		if got := p.redis(strings.Fields(step.ask)...); got != step.want {
			t.Fatalf("%s: %s, want %s", step.ask, got, step.want)
		}
	}
}

func TestRealRedis_PasswordFromAFileAndRESP3(t *testing.T) {
	servers, _ := redisServers(t, 2, "--requirepass", "s3cret")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, _, _ := proxied(t, "redis://"+strings.Join(servers, ",")+"?password=file:"+file)
	p := dialPeer(t, address)
	if got := p.redis("HELLO", "3"); !strings.Contains(got, "proto :3") {
		t.Error(got)
	}
	for i := range 20 {
		k := fmt.Sprintf("h%d", i)
		p.redis("HSET", k, "a", "1")
		if p.send("HGETALL", k); p.line() != "%1" {
			t.Fatal("a shard does not speak RESP3")
		}
		_, _ = p.answer(), p.answer()
	}
	plain, _, _ := proxied(t, "redis://"+strings.Join(servers, ","))
	q := dialPeer(t, plain)
	if got := q.redis("GET", "x"); got != "-NOAUTH Authentication required." {
		t.Error(got)
	}
	if got := q.redis("AUTH", "s3cret"); got != "+OK" {
		t.Error(got)
	}
	for i := range 20 {
		if got := q.redis("HGET", fmt.Sprintf("h%d", i), "a"); got != "1" {
			t.Errorf("the app's own AUTH did not reach every shard: %s", got)
		}
	}
	out, err := exec.Command("redis-cli", "-u", "redis://"+plain, "-a", "s3cret", "--no-auth-warning", "MGET", "a", "b", "c").CombinedOutput()
	if err != nil || strings.Contains(string(out), "ERR") {
		t.Errorf("redis-cli: %v %s", err, out)
	}
}
