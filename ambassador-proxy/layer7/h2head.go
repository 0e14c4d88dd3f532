package layer7

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// outgoing is the client's request without what ends at this hop, with what is injected.
func (c *call) outgoing(ctx context.Context, body io.ReadCloser) *http.Request {
	in := c.r
	h := in.Header.Clone()
	removeHop(h)
	for _, name := range c.set.Drop {
		dropField(h, name)
	}
	for line := range strings.SplitSeq(string(c.up.AppendFields(nil, &c.view)), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h[http.CanonicalHeaderKey(name)] = append(h[http.CanonicalHeaderKey(name)], value)
		}
	}
	if httpguts.HeaderValuesContainsToken(in.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	if c.upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, in.Header["Upgrade"]
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // net/http would invent one
	}
	out := in.WithContext(ctx) // a copy
	out.URL, out.Header, out.Body, out.RequestURI = targetOf(in, &c.view), h, body, ""
	out.TransferEncoding, out.Trailer, out.TLS, out.Close = nil, nil, nil, false
	if c.set.Host != "" {
		out.Host = c.set.Host
	}
	if in.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out
}

// targetOf keeps the bytes of the target: what net/url would make of them is not what the app sent.
func targetOf(in *http.Request, v *Request) *url.URL {
	u := &url.URL{Scheme: "http", Host: "endpoint", RawQuery: string(v.Query), ForceQuery: v.Query != nil && len(v.Query) == 0}
	if strings.HasPrefix(string(v.Path), "//") { // Opaque would make an authority of it
		u.Path, u.RawPath = in.URL.Path, string(v.Path)
	} else {
		u.Opaque = string(v.Path)
	}
	return u
}

// removeHop removes hop-by-hop fields and those that Connection names (RFC 9110, 7.6.1).
func removeHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); name {
			case "host", "content-length", "": // never ours to lose
			default:
				h.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Http2-Settings", "Proxy-Authorization", "Proxy-Authenticate"} {
		delete(h, name)
	}
}

// dropField removes a field in every case, and with '_' for '-'.
func dropField(h http.Header, lower string) {
	for name := range h {
		if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), lower) {
			delete(h, name)
		}
	}
}
