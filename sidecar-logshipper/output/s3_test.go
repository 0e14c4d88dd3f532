package output

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// bucket verifies signatures as the specification says, from the request as it came in, and keeps objects.
type bucket struct {
	*httptest.Server
	t       *testing.T
	secret  string
	mu      sync.Mutex
	objects map[string][]byte
	puts    int
	script  []http.HandlerFunc
}

func newBucket(t *testing.T) (*bucket, Config) {
	b := &bucket{t: t, secret: "sEcReT/+", objects: map[string][]byte{}}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	return b, Config{S3: &S3Config{HTTPConfig: HTTPConfig{URL: b.URL + "/logs/my app"}, Region: "eu-1", AccessKey: "AKID", SecretKey: conf.Secret(b.secret)}}
}

func (b *bucket) then(answers ...http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script = append(b.script, answers...)
}

// holds is what the bucket has, after so many requests.
func (b *bucket) holds() (objects map[string][]byte, puts int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.objects), b.puts
}

func (b *bucket) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	if len(b.script) > 0 {
		answer := b.script[0]
		b.script = b.script[1:]
		answer(w, r)
		return
	}
	if err := b.verify(r, body); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	b.objects[r.URL.Path] = body
}

// verify rebuilds the signature from the signed headers that the request names.
func (b *bucket) verify(r *http.Request, body []byte) error {
	var id, date, region, names, signature string
	authorization := strings.NewReplacer("/", " ", ",", " ", "=", " ").Replace(r.Header.Get("Authorization"))
	if n, err := fmt.Sscanf(authorization, "AWS4-HMAC-SHA256 Credential %s %s %s s3 aws4_request SignedHeaders %s Signature %s", &id, &date, &region, &names, &signature); n != 5 || id != "AKID" {
		return fmt.Errorf("authorization %q: %v", r.Header.Get("Authorization"), err)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > time.Minute || !strings.HasPrefix(r.Header.Get("X-Amz-Date"), date) {
		return fmt.Errorf("date %v: %v", at, err)
	}
	sum := sha256.Sum256(body)
	if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		return errors.New("body hash")
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	canonical := r.Method + "\n" + path + "\n\n"
	for _, name := range strings.Split(names, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + names + "\n" + hex.EncodeToString(sum[:])
	sum = sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + b.secret)
	for _, part := range []string{date, region, "s3", "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + date + "/" + region + "/s3/aws4_request\n" + hex.EncodeToString(sum[:])
	if want := hex.EncodeToString(hmacSHA256(key, text)); want != signature {
		return fmt.Errorf("signature of %q", canonical)
	}
	return nil
}

// The example of "Authenticating Requests: Using the Authorization Header", PUT Object, without the header that we do not send,
// has no published result; this is the key derivation of "Deriving a signing key".
func TestS3_SigningKeyIsDerivedAsPublished(t *testing.T) {
	key := []byte("AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	for _, part := range []string{"20120215", "us-east-1", "iam", "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	if got := hex.EncodeToString(key); got != "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d" {
		t.Errorf("%s", got)
	}
}

func TestS3_EachBatchIsASignedObjectNamedByTimeAndEventID(t *testing.T) {
	b, c := newBucket(t)
	out := open(t, c)
	out.offset = 0x10
	out.ship(numbered(10)...)
	const name = "/logs/my app/2026/11/24/09/0000000000000abc-0000000000000010.jsonl.gz"
	objects, _ := b.holds()
	z, err := gzip.NewReader(bytes.NewReader(objects[name]))
	if err != nil {
		t.Fatalf("%v in %v", err, objects)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := linesOf("message")(text); err != nil || !slices.Equal(got, numbered(10)) {
		t.Errorf("%v %q", err, got)
	}
}

func TestS3_AResendReplacesTheObject(t *testing.T) {
	b, c := newBucket(t)
	out := open(t, c)
	out.ship(numbered(10)...)
	out.ship(numbered(4)...)
	if objects, puts := b.holds(); len(objects) != 1 || puts != 2 {
		t.Errorf("%d objects after %d requests", len(objects), puts)
	}
}

func TestS3_NoAnswerIsTakenForARefusalOfARecord(t *testing.T) {
	b, c := newBucket(t)
	out := open(t, c)
	b.then(status(400), status(403), status(503)) // an expired token is a 400
	out.ship(numbered(3)...)
	objects, _ := b.holds()
	if want := []string{"status", "auth", "5xx"}; !slices.Equal(out.reasons, want) || len(objects) != 1 {
		t.Errorf("%v, %d objects", out.reasons, len(objects))
	}
}

func TestS3_AWrongSecretIsNotAcknowledged(t *testing.T) {
	b, c := newBucket(t)
	c.S3.SecretKey = "guess"
	retry, ok := errors.AsType[*Retryable](open(t, c).send(t.Context(), numbered(1)))
	if objects, _ := b.holds(); !ok || retry.Reason != "auth" || len(objects) > 0 {
		t.Errorf("%v", retry)
	}
}

func TestS3_TemporaryCredentialsAreSignedWithTheirToken(t *testing.T) {
	b, c := newBucket(t)
	c.S3.SessionToken = "session"
	open(t, c).ship(numbered(1)...)
	if objects, _ := b.holds(); len(objects) != 1 {
		t.Error("not accepted")
	}
}
