package output

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// S3Config is a bucket of Amazon S3, or of what speaks its protocol.
type S3Config struct {
	HTTPConfig   `yaml:",inline"`
	Region       string        `yaml:"region,omitempty" doc:"Default AWS_REGION, else us-east-1."`
	AccessKey    conf.Secret   `yaml:"access_key,omitempty" doc:"Default AWS_ACCESS_KEY_ID."`
	SecretKey    conf.Secret   `yaml:"secret_key,omitempty" doc:"Default AWS_SECRET_ACCESS_KEY."`
	SessionToken conf.Secret   `yaml:"session_token,omitempty" doc:"Of temporary credentials; default AWS_SESSION_TOKEN."`
	ObjectSize   conf.Size     `yaml:"object_size,omitempty" doc:"Bytes of input in an object, at most; default 1MiB. Takes four times as much of memory."`
	ObjectAge    conf.Duration `yaml:"object_age,omitempty" doc:"How long an object is waited for to fill, at most; default 1m."`
}

// Object is how large an object may become, in bytes of input, and how old.
func (c *S3Config) Object() (size int, age time.Duration) {
	return int(cmp.Or(c.ObjectSize, 1<<20)), cmp.Or(c.ObjectAge.D(), time.Minute)
}

// S3 puts each batch as one object of JSON lines: PREFIX/YYYY/MM/DD/HH/GENERATION-OFFSET.jsonl.gz, by the time and the event
// ID of its first record. A resend has the same name and replaces what was there; the records that a shorter one lacks
// have not been acknowledged, and follow in objects of their own.
type S3 struct {
	jsonLines
	http    *client
	config  S3Config
	base    string // URL of the bucket with the prefix, without a slash at the end
	suffix  string
	stamp   int  // where in the body the time of its first record goes
	stamped bool // it is there
}

// stampSize in bytes: a body starts with the time of its first record, which is not sent.
const stampSize = 8

func (c *S3Config) validate(p *conf.Problems, path string) {
	if u, err := url.Parse(c.URL); err == nil && strings.Trim(u.Path, "/") == "" {
		p.Add(path+".url", "names no bucket", "write https://s3.REGION.amazonaws.com/BUCKET/PREFIX")
	}
	if size, age := c.Object(); size < 64<<10 || size > 256<<20 {
		p.Add(path+".object_size", fmt.Sprintf("%s is not between 64KiB and 256MiB", c.ObjectSize), "")
	} else if age < time.Second {
		p.Add(path+".object_age", fmt.Sprintf("%s is less than a second", c.ObjectAge), "each object is a request that is paid for")
	}
	if c.Compression == "snappy" {
		p.Add(path+".compression", "is snappy, which no tool reads as a file", "use gzip, zstd or none")
	}
}

// NewS3 makes the output; the network is not touched before Send.
func NewS3(c S3Config, env Env) (*S3, error) {
	if c.Compression == "" {
		c.Compression = "gzip"
	}
	c.Region = orEnv(orEnv(c.Region, "AWS_REGION"), "AWS_DEFAULT_REGION")
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	c.AccessKey = orEnv(c.AccessKey, "AWS_ACCESS_KEY_ID")
	c.SecretKey = orEnv(c.SecretKey, "AWS_SECRET_ACCESS_KEY")
	c.SessionToken = orEnv(c.SessionToken, "AWS_SESSION_TOKEN")
	if c.AccessKey == "" || c.SecretKey == "" {
		return nil, errors.New("s3: no credentials (set access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
	}
	h, err := newClient(c.HTTPConfig, "/", nil, env)
	if err != nil {
		return nil, err
	}
	s := &S3{http: h, config: c, base: strings.TrimRight(h.url, "/")}
	s.suffix = map[string]string{"gzip": ".jsonl.gz", "zstd": ".jsonl.zst", "none": ".jsonl"}[c.Compression]
	k := defaultKeys(env)
	k.ID = "event_id"
	s.layout = func(source *record.Source) layout { return k.plain(source, true, "\n") }
	s.shaped = func(dst []byte, r *record.Record) []byte { return append(k.appendObject(dst, r), '\n') }
	return s, nil
}

// orEnv is value, or the variable where value is empty.
func orEnv[T ~string](value T, variable string) T {
	if value == "" {
		value = T(os.Getenv(variable))
	}
	return value
}

// Begin starts a body.
func (s *S3) Begin(dst []byte) []byte {
	s.stamp, s.stamped = len(dst), false
	return append(dst, make([]byte, stampSize)...)
}

// End finishes a body.
func (*S3) End(dst []byte) []byte { return dst }

// AppendChunk encodes the records of c as they stand.
func (s *S3) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	s.mark(dst, c.Time)
	return s.jsonLines.AppendChunk(dst, c)
}

// AppendRecord encodes one parsed record.
func (s *S3) AppendRecord(dst []byte, r *record.Record) []byte {
	s.mark(dst, r.Time)
	return s.jsonLines.AppendRecord(dst, r)
}

func (s *S3) mark(dst []byte, nano int64) {
	if !s.stamped {
		binary.BigEndian.PutUint64(dst[s.stamp:], uint64(nano))
		s.stamped = true
	}
}

// Wire is the part of a finished body that is sent.
func (*S3) Wire(body []byte) []byte { return body[stampSize:] }

// Send puts one object. No answer is about a record, and a 400 may mean an expired token: every one is tried again.
func (s *S3) Send(ctx context.Context, b *Batch) error {
	if len(b.Body) < stampSize {
		return &Rejected{Err: errors.New("body without a time")}
	}
	first := time.Unix(0, int64(binary.BigEndian.Uint64(b.Body))).UTC()
	var digits [32]byte
	id := b.FirstID.Append(digits[:0])
	target := fmt.Sprintf("%s/%s/%s-%s%s", s.base, first.Format("2006/01/02/15"), id[:16], id[16:], s.suffix)
	packed, _ := s.http.packer.pack(s.Wire(b.Body))
	err := s.http.do(ctx, http.MethodPut, target, packed, func(r *http.Request) error {
		return s.sign(r, packed, time.Now())
	}, nil)
	if rejected, ok := errors.AsType[*Rejected](err); ok {
		return &Retryable{Reason: "status", Err: rejected.Err}
	}
	return err
}

// sign reads the credentials anew, for they may have rotated.
func (s *S3) sign(r *http.Request, body []byte, now time.Time) error {
	var key awsKey
	for ref, into := range map[*conf.Secret]*string{&s.config.AccessKey: &key.id, &s.config.SecretKey: &key.secret, &s.config.SessionToken: &key.token} {
		value, err := s.http.secrets.Get(*ref)
		if err != nil {
			return err
		}
		*into = value
	}
	key.sign(r, body, s.config.Region, now)
	return nil
}

// Close ends the connections.
func (s *S3) Close() error { return s.http.close() }
