package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Allow is one destination of a forward proxy.
type Allow struct {
	Host   string       // exact name or address, lower case; "" when Suffix or Prefix is set
	Suffix string       // .example.com of *.example.com
	Prefix netip.Prefix // of 10.0.0.0/8: allows addresses that are private, too
	Port   uint16       // 0: any
}

// ParseAllow reads host:port, *.example.com:443, 10.0.0.0/8:* or [::1]:8080.
func ParseAllow(s string) (Allow, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return Allow{}, fmt.Errorf("%q is not host:port (the port may be *)", s)
	}
	host, port := strings.ToLower(s[:i]), s[i+1:]
	var a Allow
	if port != "*" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Allow{}, fmt.Errorf("%q is not a port", port)
		}
		a.Port = uint16(n)
	}
	switch {
	case strings.Contains(host, "/"):
		prefix, err := netip.ParsePrefix(strings.Trim(host, "[]"))
		if err != nil {
			return Allow{}, fmt.Errorf("%q is not an address range", host)
		}
		a.Prefix = prefix.Masked()
	case strings.HasPrefix(host, "*."):
		a.Suffix = host[1:]
	case strings.Contains(host, "*"):
		return Allow{}, fmt.Errorf("%q: a * stands for whole labels in front only", host)
	default:
		a.Host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	}
	return a, nil
}
