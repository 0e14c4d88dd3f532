package output

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// SyslogConfig is a syslog server.
type SyslogConfig struct {
	URL      string         `yaml:"url" doc:"tcp://, tls:// or udp:// with host and port; default ports 601, 6514 and 514."`
	TLS      tlsfile.Client `yaml:"tls,omitempty"`
	Facility int            `yaml:"facility,omitempty" doc:"1 to 23; default 16 (local0)."`
	AppName  string         `yaml:"app_name,omitempty" doc:"APP-NAME; default the label container, else logshipper."`
	Hostname string         `yaml:"hostname,omitempty" doc:"HOSTNAME; default the label pod, else -."`
	Timeout  conf.Duration  `yaml:"timeout,omitempty" doc:"For one batch; default 30s."`
}

const defaultFacility = 16

// refusalTime is how long a new TLS connection may take to be refused: in TLS 1.3 the server looks at the client's
// certificate after the handshake has ended on this side, and what is sent meanwhile would seem to be taken.
const refusalTime = 200 * time.Millisecond

// Syslog sends RFC 5424 messages with octet counting (RFC 6587, RFC 5425), or one a datagram over UDP (RFC 5426).
//
// Syslog has no acknowledgement. Over TCP and TLS a batch counts as taken when the peer's kernel has confirmed every byte
// and has not closed the connection: a server that dies in that moment loses what it had not read. UDP loses what it likes.
type Syslog struct {
	config  SyslogConfig
	network string
	address string
	files   *tlsfile.Source
	host    string
	header  []byte // after the time: HOSTNAME APP-NAME - - and the labels as structured data
	conn    net.Conn
	scratch []byte
	stop    context.CancelFunc
	done    chan struct{}
}

// validate notes what is wrong with c, which stands at path.
func (c *SyslogConfig) validate(p *conf.Problems, path string) {
	if _, _, err := c.target(); err != nil {
		p.Add(path+".url", err.Error(), "write tcp://host:601, tls://host:6514 or udp://host:514")
	}
	if c.Facility < 0 || c.Facility > 23 {
		p.Add(path+".facility", "is not between 0 and 23", "")
	}
	c.TLS.Validate(path+".tls", p)
}

func (c *SyslogConfig) target() (network, address string, err error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" {
		return "", "", fmt.Errorf("%q is not a syslog URL", c.URL)
	}
	port := map[string]string{"tcp": "601", "tls": "6514", "udp": "514"}[u.Scheme]
	if port == "" {
		return "", "", fmt.Errorf("%q is not tcp, tls or udp", u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
}

// NewSyslog makes the output; the network is not touched before Send.
func NewSyslog(c SyslogConfig, env Env) (*Syslog, error) {
	network, address, err := c.target()
	if err != nil {
		return nil, err
	}
	files, err := tlsfile.New(c.TLS)
	if err != nil {
		return nil, err
	}
	if c.Facility == 0 {
		c.Facility = defaultFacility
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Syslog{config: c, network: network, address: address, files: files, stop: stop, done: make(chan struct{})}
	s.host, _, _ = net.SplitHostPort(address)
	s.header = c.header(env.Labels)
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	go func() { defer close(s.done); files.Watch(ctx, log) }()
	return s, nil
}

// header is the part of a message that never changes: HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA.
func (c *SyslogConfig) header(labels []record.Field) []byte {
	host, app := c.Hostname, c.AppName
	data := []byte("[pod@32473")
	for i := range labels {
		value := string(labels[i].Value)
		switch name := labels[i].Name; {
		case name == "pod" && host == "":
			host = value
		case name == "container" && app == "":
			app = value
		}
		data = appendParam(data, labels[i].Name, labels[i].Value)
	}
	if app == "" {
		app = "logshipper"
	}
	dst := appendToken([]byte{' '}, host, 255)
	dst = append(appendToken(append(dst, ' '), app, 48), " - - "...)
	if len(labels) == 0 {
		return append(dst, '-')
	}
	return append(append(dst, data...), ']')
}

// appendToken appends a header field: printable ASCII without spaces, "-" for nothing.
func appendToken(dst []byte, s string, most int) []byte {
	if s == "" {
		return append(dst, '-')
	}
	for _, c := range []byte(s[:min(len(s), most)]) {
		if c <= ' ' || c > '~' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendParam appends an SD-PARAM; '"', '\' and ']' of the value are escaped (RFC 5424, 6.3.3).
func appendParam(dst []byte, name string, value []byte) []byte {
	dst = append(dst, ' ')
	for _, c := range []byte(name[:min(len(name), 32)]) {
		if c <= ' ' || c > '~' || c == '=' || c == ']' || c == '"' {
			c = '_'
		}
		dst = append(dst, c)
	}
	dst = append(dst, `="`...)
	for _, c := range repaired(value) {
		if c == '"' || c == '\\' || c == ']' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// Begin starts a body.
func (*Syslog) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*Syslog) End(dst []byte) []byte { return dst }

// AppendChunk encodes the records of c as they stand.
func (s *Syslog) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	records := 0
	for k := (cursor{data: c.Data, ends: c.Ends}); ; records++ {
		line, start, ok := k.next()
		if !ok {
			return dst, records
		}
		dst = s.appendMessage(dst, c.Time+int64(start), 6, line)
	}
}

// AppendRecord encodes one parsed record: its message, or a JSON object when it has fields.
func (s *Syslog) AppendRecord(dst []byte, r *record.Record) []byte {
	line := r.Message
	if len(r.Fields) > 0 {
		k := keys{Message: "message"}
		s.scratch = k.appendObject(s.scratch[:0], r)
		line = s.scratch
	}
	return s.appendMessage(dst, r.Time, syslogSeverity(r.Level), line)
}

// appendMessage appends one message with its length in front.
func (s *Syslog) appendMessage(dst []byte, nano int64, severity int, line []byte) []byte {
	var room [64]byte
	head := append(strconv.AppendInt(append(room[:0], '<'), int64(s.config.Facility*8+severity), 10), ">1 "...)
	head = time.Unix(0, nano).UTC().AppendFormat(head, "2006-01-02T15:04:05.000000Z")
	line = repaired(line)
	dst = strconv.AppendInt(dst, int64(len(head)+len(s.header)+1+len(line)), 10)
	dst = append(append(append(dst, ' '), head...), s.header...)
	return append(append(dst, ' '), line...)
}

// syslogSeverity is the numerical severity of a level's name (RFC 5424, table 2).
func syslogSeverity(level string) int {
	switch n := severityNumber(level); {
	case level == "alert":
		return 1
	case n >= 24:
		return 0
	case n >= 18:
		return 2
	case n >= 17:
		return 3
	case n >= 13:
		return 4
	case n == 10:
		return 5
	case n >= 9, n == 0:
		return 6
	default:
		return 7
	}
}

// Send writes one body, over a connection that is kept.
func (s *Syslog) Send(ctx context.Context, b *Batch) error {
	timeout := s.config.Timeout.D()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.connect(ctx)
	if err == nil {
		conn := s.conn
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		err = s.write(ctx, b)
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}
	if _, partial := errors.AsType[*Partial](err); err == nil || partial {
		return err
	}
	s.disconnect()
	return networkError(err)
}

func (s *Syslog) write(ctx context.Context, b *Batch) error {
	if s.network == "udp" {
		return s.datagrams(b.Body)
	}
	if _, err := s.conn.Write(b.Body); err != nil {
		return err
	}
	return s.confirmed(ctx)
}

// connect dials unless a connection is there that the peer has not closed meanwhile.
func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil && s.network != "udp" && peerClosed(s.conn) {
		s.disconnect()
	}
	if s.conn != nil {
		return nil
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	var err error
	switch s.network {
	case "tls":
		d := tls.Dialer{NetDialer: dialer, Config: s.files.Config(s.host)}
		s.conn, err = d.DialContext(ctx, "tcp", s.address)
		if err == nil && closedWithin(s.conn, refusalTime) {
			s.disconnect()
			err = errors.New("the server refused the TLS connection (does it want a client certificate?)")
		}
	default:
		s.conn, err = dialer.DialContext(ctx, s.network, s.address)
	}
	if err != nil {
		s.conn = nil
	}
	return err
}

func (s *Syslog) disconnect() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// confirmed waits until the peer's kernel has every byte, and sees that the connection still stands.
func (s *Syslog) confirmed(ctx context.Context) error {
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		left, err := unsent(s.conn)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if err := backoff.Sleep(ctx, wait); err != nil {
			return err
		}
	}
	if peerClosed(s.conn) {
		return errors.New("the server closed the connection")
	}
	return nil
}

// datagrams sends each message of body as one datagram. One that the network cannot carry is refused.
func (s *Syslog) datagrams(body []byte) error {
	var refused []RejectedItem
	for i := 0; len(body) > 0; i++ {
		space := slices.Index(body, ' ')
		n, err := strconv.Atoi(string(body[:max(space, 0)]))
		if err != nil {
			return fmt.Errorf("split body: %w", err)
		}
		message := body[space+1 : space+1+n]
		body = body[space+1+n:]
		if _, err = s.conn.Write(message); errors.Is(err, unix.EMSGSIZE) {
			refused = append(refused, RejectedItem{Index: i, Reason: "longer than a datagram"})
			continue
		}
		if err != nil {
			return err
		}
	}
	if refused == nil {
		return nil
	}
	return &Partial{Rejected: refused, Err: unix.EMSGSIZE}
}

// Close ends the connection.
func (s *Syslog) Close() error {
	s.stop()
	<-s.done
	s.disconnect()
	return nil
}
