package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Decoder makes fields of the header blocks of one direction of a connection.
type Decoder struct {
	hpack  *hpack.Decoder
	list   []hpack.HeaderField
	left   int
	crowds bool
}

// NewDecoder has a table of the usual 4096 bytes.
func NewDecoder() *Decoder {
	d := &Decoder{}
	d.hpack = hpack.NewDecoder(4096, d.take)
	return d
}

func (d *Decoder) take(f hpack.HeaderField) {
	if d.left -= int(f.Size()); d.left < 0 {
		d.crowds = true
		d.hpack.SetEmitEnabled(false)
		return
	}
	d.list = append(d.list, f)
}

// Decode appends the fields of a block to list. With more than limit bytes of them, as RFC 9113, 6.5.2 counts, large is true
// and the list is not whole; the connection goes on. An error ends it.
func (d *Decoder) Decode(list []hpack.HeaderField, block []byte, limit int) (fields []hpack.HeaderField, large bool, err *Error) {
	d.list, d.left, d.crowds = list, limit, false
	_, failed := d.hpack.Write(block)
	if closed := d.hpack.Close(); failed == nil {
		failed = closed
	}
	d.hpack.SetEmitEnabled(true)
	fields, d.list = d.list, nil
	if failed != nil {
		return nil, false, connection(CompressionError, failed.Error())
	}
	return fields, d.crowds, nil
}

// Message is a head whose pseudo fields stand apart. The strings are the decoder's, and stay.
type Message struct {
	Method, Scheme, Authority, Path string // of a request; Authority is Host's when there is no :authority
	Status                          int    // of a response
	Length                          int64  // -1: no Content-Length
	Fields                          []hpack.HeaderField
}

// Request makes a message of the fields of a request, or says what is wrong with them (RFC 9113, 8.2 and 8.3.1).
func Request(fields []hpack.HeaderField) (m Message, fault string) {
	m.Length = -1
	n := 0
	for ; n < len(fields) && fields[n].IsPseudo(); n++ {
		f := &fields[n]
		to := (*string)(nil)
		switch f.Name {
		case ":method":
			to = &m.Method
		case ":scheme":
			to = &m.Scheme
		case ":authority":
			to = &m.Authority
		case ":path":
			to = &m.Path
		default:
			return m, "unknown pseudo field"
		}
		if *to != "" || f.Value == "" && f.Name != ":authority" {
			return m, "pseudo field empty or twice"
		}
		*to = f.Value
	}
	m.Fields = fields[n:]
	if fault = m.check(true); fault != "" {
		return m, fault
	}
	return m, m.target()
}

// target checks the pseudo fields of a request, which become a request line.
func (m *Message) target() string {
	if !isToken(m.Method) {
		return "bad or no :method"
	}
	if !isVisible(m.Authority) {
		return "bad :authority"
	}
	if m.Method == "CONNECT" {
		if m.Scheme != "" || m.Path != "" || m.Authority == "" {
			return "CONNECT with other pseudo fields"
		}
		return ""
	}
	switch {
	case m.Scheme == "" || m.Path == "":
		return "no :scheme or no :path"
	case !isScheme(m.Scheme):
		return "bad :scheme"
	case m.Path[0] != '/' && (m.Path != "*" || m.Method != "OPTIONS"), !isVisible(m.Path), strings.IndexByte(m.Path, '#') >= 0:
		return "bad :path"
	}
	return ""
}

// Response makes a message of the fields of a response's head, or says what is wrong with them (RFC 9113, 8.3.2).
func Response(fields []hpack.HeaderField) (m Message, fault string) {
	m.Length = -1
	if len(fields) == 0 || fields[0].Name != ":status" {
		return m, "no :status"
	}
	v := fields[0].Value
	if len(v) != 3 || v[0] < '1' || v[0] > '5' || !isDigit(v[1]) || !isDigit(v[2]) || v == "101" { // RFC 9113, 8.6
		return m, "bad :status"
	}
	m.Status = int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	m.Fields = fields[1:]
	return m, m.check(false)
}

// Trailers says what is wrong with the fields of a trailer section; "" when nothing is.
func Trailers(fields []hpack.HeaderField) (fault string) {
	m := Message{Length: -1, Fields: fields}
	return m.check(false)
}

// check goes over the ordinary fields.
func (m *Message) check(request bool) (fault string) {
	named := m.Authority != ""
	for i := range m.Fields {
		f := &m.Fields[i]
		switch {
		case f.IsPseudo():
			return "pseudo field after others"
		case !isName(f.Name):
			return "bad field name"
		case !isValue(f.Value):
			return "bad field value"
		}
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return "field of a connection"
		case "te":
			if request && f.Value != "trailers" {
				return "te other than trailers"
			}
		case "host":
			if !request {
				continue
			}
			if named && f.Value != m.Authority || !isVisible(f.Value) {
				return "host beside another authority"
			}
			m.Authority, named = f.Value, true
		case "content-length":
			n, ok := length(f.Value)
			if !ok || m.Length >= 0 {
				return "bad content-length"
			}
			m.Length = n
		}
	}
	return ""
}

func length(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isName takes lower-case tokens (RFC 9113, 8.2.1).
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '-' && !isDigit(c) && strings.IndexByte("!#$%&'*+.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isValue takes what HTTP/1.1 takes (RFC 9110, 5.5), without whitespace around it.
func isValue(s string) bool {
	if s == "" {
		return true
	}
	if first, last := s[0], s[len(s)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}
