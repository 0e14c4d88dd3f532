package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// daemon runs a server of the distribution until the test ends and waits for its address.
func daemon(t *testing.T, address, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); log.Close() })
	kittest.Eventually(t, 10*time.Second, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, program+" at "+address)
}

func TestRealVia_DialsThroughDanteAndTinyproxy(t *testing.T) {
	kittest.NeedReal(t, "danted", "tinyproxy")
	dir := t.TempDir()
	backend := server(t, http.HandlerFunc(echo), false, false)
	port := strings.TrimPrefix(backend.URL, "http://127.0.0.1:")
	for scheme, run := range map[string]func(address, conf string){
		"socks5": func(address, conf string) {
			_, port, _ := net.SplitHostPort(address)
			text := fmt.Sprintf("logoutput: stderr\ninternal: 127.0.0.1 port = %s\nexternal: 127.0.0.1\nsocksmethod: none\nclientmethod: none\n"+
				"client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n", port)
			write(t, conf, text)
			daemon(t, address, "danted", "-f", conf, "-p", conf+".pid")
		},
		"http": func(address, conf string) {
			_, proxyPort, _ := net.SplitHostPort(address)
			write(t, conf, fmt.Sprintf("Port %s\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nConnectPort %s\n", proxyPort, port))
			daemon(t, address, "tinyproxy", "-d", "-c", conf)
		},
	} {
		t.Run(scheme, func(t *testing.T) {
			proxy := kittest.FreeAddress(t)
			run(proxy, filepath.Join(dir, scheme+".conf"))
			address, _, _ := proxied(t, backend.URL, "--via", scheme+"://"+proxy)
			for _, h2 := range []bool{false, true} {
				if response, body := do(t, client(t, h2), "GET", "http://"+address+"/via", ""); response.StatusCode != 200 || !strings.Contains(body, "GET /via") {
					t.Errorf("h2 %v: %d %q", h2, response.StatusCode, body)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
