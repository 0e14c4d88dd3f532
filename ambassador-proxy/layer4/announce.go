package layer4

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// announce sends the PROXY protocol header (haproxy.org, proxy-protocol.txt).
func announce(server, client net.Conn, version string) error {
	if version == "" {
		return nil
	}
	_, err := server.Write(header(client.RemoteAddr(), client.LocalAddr(), version))
	return err
}

func header(from, to net.Addr, version string) []byte {
	a, okA := from.(*net.TCPAddr)
	b, okB := to.(*net.TCPAddr)
	known := okA && okB
	var src, dst netip.AddrPort
	if known {
		src, dst = a.AddrPort(), b.AddrPort()
		src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
		dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	}
	if version == "v1" {
		if !known {
			return []byte("PROXY UNKNOWN\r\n")
		}
		family := "TCP4"
		if src.Addr().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, src.Addr(), dst.Addr(), src.Port(), dst.Port())
	}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	if !known {
		return []byte(signature + "\x20\x00\x00\x00") // LOCAL
	}
	family := byte(0x11)
	if src.Addr().Is6() {
		family = 0x21
	}
	body := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	body = append(body, byte(src.Port()>>8), byte(src.Port()), byte(dst.Port()>>8), byte(dst.Port()))
	out := append([]byte(strings.Clone(signature)), 0x21, family, byte(len(body)>>8), byte(len(body)))
	return append(out, body...)
}
