package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// redisTLSServers take only TLS, from clients with a certificate of the authority; theirs is for redis.example.
func redisTLSServers(t *testing.T, a *kittest.Authority, n int) (addresses []string) {
	a.Issue("redis", "redis.example")
	for range n {
		address := kittest.FreeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		process(t, address, "redis-server", "--port", "0", "--tls-port", port, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1",
			"--tls-cert-file", a.File("redis.crt"), "--tls-key-file", a.File("redis.key"), "--tls-ca-cert-file", a.File("ca.pem"), "--tls-auth-clients", "yes")
		addresses = append(addresses, address)
	}
	return addresses
}

func TestRealRedis_TLSToTheShardsWithAuthorityClientCertificateAndName(t *testing.T) {
	a := kittest.NewAuthority(t)
	servers := redisTLSServers(t, a, 3)
	a.Issue("app", "app")
	url := "rediss://" + strings.Join(servers, ",")
	mine := "&cert=" + a.File("app.crt") + "&key=" + a.File("app.key")
	address, _, _ := proxied(t, url+"?ca="+a.File("ca.pem")+"&san=redis.example"+mine)
	p := dialPeer(t, address)
	set, get := []string{"MSET"}, []string{"MGET"}
	var want []string
	for i := range 60 {
		k := fmt.Sprintf("%d:of:user", i)
		set, get, want = append(set, k, "v"+k), append(get, k), append(want, "v"+k)
	}
	if got := p.redis(set...); got != "+OK" {
		t.Fatal(got)
	}
	if got := p.redis(get...); got != "["+strings.Join(want, " ")+"]" {
		t.Errorf("MGET: %s", got)
	}
	for i := range 2000 { // a pipeline, large and small ones
		p.send("SET", fmt.Sprintf("p%d", i), strings.Repeat("x", i))
	}
	for i := range 2000 {
		if got := p.answer(); got != "+OK" {
			t.Fatalf("answer %d: %s", i, got)
		}
	}
	big := strings.Repeat("y", 5<<20)
	if got := p.redis("SET", "big", big); got != "+OK" || p.redis("GET", "big") != big {
		t.Errorf("5 MiB through TLS: %.100s", got)
	}
	for _, row := range []struct{ name, options, want string }{
		{"an unknown authority", "?san=redis.example" + mine, "certificate not accepted"},
		{"another name", "?ca=" + a.File("ca.pem") + "&san=other.example" + mine, "certificate not accepted"},
		{"no client certificate", "?ca=" + a.File("ca.pem") + "&san=redis.example", "the shard ended TLS: certificate required"},
	} {
		address, _, _ := proxied(t, url+row.options)
		if got := dialPeer(t, address).redis("GET", "a"); !strings.HasPrefix(got, "-ERR shard 127.0.0.1:") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %s", row.name, got)
		}
	}
}
