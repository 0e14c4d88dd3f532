package output

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// FluentConfig is a Fluentd, a Fluent Bit, or what speaks their Forward protocol.
type FluentConfig struct {
	URL         string         `yaml:"url" doc:"tcp:// or tls:// with host and port; default port 24224. A path is the tag."`
	Tag         string         `yaml:"tag,omitempty" doc:"Tag of all events; default the path of the URL, or app."`
	Compression string         `yaml:"compression,omitempty" enum:"none,gzip" doc:"How entries are packed; default gzip, or none to loopback."`
	TLS         tlsfile.Client `yaml:"tls,omitempty"`
	SharedKey   conf.Secret    `yaml:"shared_key,omitempty" doc:"Key that the server was given too; both prove that they know it before anything is sent."`
	Username    string         `yaml:"username,omitempty" doc:"Of a server with a shared key that wants users too."`
	Password    conf.Secret    `yaml:"password,omitempty" doc:"Of that user."`
	Timeout     conf.Duration  `yaml:"timeout,omitempty" doc:"For one batch, its acknowledgement included; default 30s."`
}

// Fluent sends each batch as one message of the Forward protocol (specification v1.5, https://github.com/fluent/fluentd/wiki/
// Forward-Protocol-Specification-v1.5), in PackedForward mode with a chunk ID, and waits for its acknowledgement. Events
// have nanoseconds (EventTime).
type Fluent struct {
	packedEvents
	config  FluentConfig
	tag     string
	network string
	address string
	files   *tlsfile.Source
	key     *fluentKey
	packer  packer
	conn    net.Conn
	greeted bool // on conn
	once    bool // conn is for one message
	message []byte
	stop    context.CancelFunc
	done    chan struct{}
}

func (c *FluentConfig) validate(p *conf.Problems, path string) {
	if _, _, _, err := c.target(); err != nil {
		p.Add(path+".url", err.Error(), "write tcp://host:24224 or tls://host:24224")
	}
	if (c.Username == "") != (c.Password == "") {
		p.Add(path, "has only one of username and password", "")
	}
	if c.Username != "" && c.SharedKey == "" {
		p.Add(path+".shared_key", "is missing", "servers ask for users only after the shared key")
	}
	c.TLS.Validate(path+".tls", p)
}

func (c *FluentConfig) target() (network, address, tag string, err error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "tcp" && u.Scheme != "tls" {
		return "", "", "", fmt.Errorf("%q is not a tcp:// or tls:// URL", c.URL)
	}
	port := u.Port()
	if port == "" {
		port = "24224"
	}
	tag = "app"
	switch {
	case c.Tag != "":
		tag = c.Tag
	case len(u.Path) > 1:
		tag = u.Path[1:]
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), tag, nil
}

// NewFluent makes the output; the network is not touched before Send.
func NewFluent(c FluentConfig, env Env) (*Fluent, error) {
	f := &Fluent{config: c, packedEvents: packedEvents{labels: env.Labels}, key: newFluentKey(&c, env), done: make(chan struct{})}
	var err error
	if f.network, f.address, f.tag, err = c.target(); err != nil {
		return nil, err
	}
	if f.files, err = tlsfile.New(c.TLS); err != nil {
		return nil, err
	}
	if f.packer, err = newPacker(packing(c.Compression, c.URL, "gzip")); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	go func() { defer close(f.done); f.files.Watch(ctx, log) }()
	return f, nil
}

// Send writes one message and reads its acknowledgement.
func (f *Fluent) Send(ctx context.Context, b *Batch) error {
	timeout := f.config.Timeout.D()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f.connect(ctx)
	if err == nil {
		conn := f.conn
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		if err = f.greet(); err == nil {
			err = f.exchange(b)
		}
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		f.disconnect()
		return networkError(err)
	}
	if f.once {
		f.disconnect()
	}
	return nil
}

// exchange sends [tag, entries, options] and expects {"ack": chunk}. The chunk ID is that of the first record: a server that
// remembers chunks can tell a resend.
func (f *Fluent) exchange(b *Batch) error {
	chunk := base64.StdEncoding.EncodeToString(b.FirstID[:])
	entries, encoding := f.packer.pack(b.Body)
	m := appendPackedString(append(f.message[:0], 0x93), f.tag)
	m = append(appendPackedLength(m, 0xc4, len(entries)), entries...)
	if encoding == "" {
		m = append(m, 0x82)
	} else {
		m = appendPackedString(appendPackedString(append(m, 0x83), "compressed"), encoding)
	}
	m = appendPackedString(appendPackedString(m, "chunk"), chunk)
	m = appendPackedInt(appendPackedString(m, "size"), int64(b.Records))
	f.message = m
	if _, err := f.conn.Write(m); err != nil {
		return err
	}
	answer, err := readPacked(bufio.NewReaderSize(f.conn, 64), 0) // a server says nothing more before it is sent something
	if err != nil {
		return fmt.Errorf("read acknowledgement: %w", err)
	}
	if have, _ := answer.(map[string]any); !isText(have["ack"], chunk) {
		return fmt.Errorf("read acknowledgement: got %.100q, want chunk %s", fmt.Sprint(answer), chunk)
	}
	return nil
}

// connect dials unless a connection is there that the peer has not closed meanwhile.
func (f *Fluent) connect(ctx context.Context) error {
	if f.conn != nil && peerClosed(f.conn) {
		f.disconnect()
	}
	if f.conn != nil {
		return nil
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return err
	}
	if f.network == "tls" {
		host, _, _ := net.SplitHostPort(f.address)
		secured := tls.Client(conn, f.files.Config(host))
		if err := secured.HandshakeContext(ctx); err != nil {
			return errors.Join(err, conn.Close())
		}
		conn = secured
	}
	f.conn = conn
	return nil
}

// greet proves the shared key to each other on a fresh connection.
func (f *Fluent) greet() error {
	if f.key == nil || f.greeted {
		return nil
	}
	f.greeted = true
	long, err := f.key.handshake(f.conn)
	f.once = !long
	return err
}

func (f *Fluent) disconnect() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn, f.greeted, f.once = nil, false, false
	}
}

// Close ends the connection.
func (f *Fluent) Close() error {
	f.stop()
	<-f.done
	f.disconnect()
	return nil
}

// packedEvents encodes records as entries of the Forward protocol: [EventTime, {message, fields, file, labels}].
type packedEvents struct {
	labels []record.Field
	source *record.Source
	tail   []byte // file and labels of source, rendered once
}

// Begin starts a body.
func (*packedEvents) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*packedEvents) End(dst []byte) []byte { return dst }

// AppendChunk encodes the records of c as they stand.
func (e *packedEvents) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	if e.source != c.Source {
		e.source = c.Source
		e.tail = appendPackedString(appendPackedString(e.tail[:0], "file"), c.Source.Path)
		for i := range e.labels {
			e.tail = appendPackedString(appendPackedString(e.tail, e.labels[i].Name), e.labels[i].Value)
		}
	}
	records := 0
	for k := (cursor{data: c.Data, ends: c.Ends}); ; records++ {
		line, start, ok := k.next()
		if !ok {
			return dst, records
		}
		if c.Truncated {
			var r record.Record
			r.Reset(c, start, k.at)
			dst = e.AppendRecord(dst, &r)
			continue
		}
		dst = appendPackedLength(appendEventTime(dst, c.Time+int64(start)), 0xde, 2+len(e.labels))
		dst = appendPackedString(appendPackedString(dst, "message"), repaired(line))
		dst = append(dst, e.tail...)
	}
}

// AppendRecord encodes one parsed record. A label gives way to a field of the same name.
func (e *packedEvents) AppendRecord(dst []byte, r *record.Record) []byte {
	k := keys{Message: "message", Level: "level"}
	dst = append(appendEventTime(dst, r.Time), 0xdf, 0, 0, 0, 0)
	count, members := len(dst)-4, uint32(0)
	add := func(name string, f *record.Field) {
		dst = appendPackedValue(appendPackedString(dst, name), f)
		members++
	}
	if !k.wordless(r) {
		add(k.Message, &record.Field{Value: r.Message})
	}
	if r.Level != "" {
		add(k.Level, &record.Field{Value: []byte(r.Level)})
	}
	for i := range r.Fields {
		add(k.nameOf(r, r.Fields[i].Name), &r.Fields[i])
	}
	if r.Field("file") == nil {
		add("file", &record.Field{Value: []byte(r.Source.Path)})
	}
	for i := range e.labels {
		if r.Field(e.labels[i].Name) == nil {
			add(e.labels[i].Name, &e.labels[i])
		}
	}
	if r.Truncated {
		add("truncated", &record.Field{Value: []byte("true"), Kind: record.Bool})
	}
	binary.BigEndian.PutUint32(dst[count:], members)
	return dst
}
