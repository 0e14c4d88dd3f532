package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// versity starts an S3 server that keeps buckets as directories and objects as files, and returns its address.
func versity(t *testing.T, buckets string) string {
	t.Helper()
	program := kittest.GoTool(t, "github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	address := kittest.FreeAddress(t)
	kittest.Start(t, nil, program, "--port", address, "--access", "AKID", "--secret", "sEcReT/+", "--region", "eu-1", "--health", "/health", "--quiet",
		"posix", "--sidecar", t.TempDir(), buckets)
	kittest.Eventually(t, 20*time.Second, func() bool { code, _ := kittest.Get("http://" + address + "/health"); return code == 200 }, "the server to listen")
	return address
}

func inflatedFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = bytes.NewReader(data)
	switch filepath.Ext(path) {
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".zst":
		r, err = zstd.NewReader(r)
	}
	text, readErr := io.ReadAll(r)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReal_S3HasEveryRecordInSignedObjects(t *testing.T) {
	buckets := t.TempDir()
	if err := os.Mkdir(filepath.Join(buckets, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	address := versity(t, buckets)
	for _, compression := range []string{"gzip", "zstd", "none"} {
		t.Run(compression, func(t *testing.T) {
			prefix := "my app/é+" + compression
			c := S3Config{HTTPConfig: HTTPConfig{URL: "http://" + address + "/logs/" + prefix, Compression: compression}, Region: "eu-1", AccessKey: "AKID", SecretKey: "sEcReT/+"}
			out, all := open(t, Config{S3: &c}), numbered(3000)
			for part := range slices.Chunk(all, 1000) {
				out.ship(part...)
				out.ship(part...) // a resend replaces its object
				out.offset += 1 << 20
			}
			objects, _ := filepath.Glob(filepath.Join(buckets, "logs", prefix, "*", "*", "*", "*", "*"))
			if len(objects) != 3 {
				t.Fatalf("%d objects, want 3: %q", len(objects), objects)
			}
			var got []string
			for _, o := range objects {
				messages, err := linesOf("message")(inflatedFile(t, o))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, messages...)
			}
			if !slices.Equal(got, all) {
				t.Errorf("%d records in %q", len(got), objects)
			}
		})
	}
	for name, change := range map[string]func(*S3Config){
		"secret": func(c *S3Config) { c.SecretKey = "guess" },
		"key":    func(c *S3Config) { c.AccessKey = "other" },
		"region": func(c *S3Config) { c.Region = "us-east-1" },
		"bucket": func(c *S3Config) { c.URL = strings.Replace(c.URL, "/logs", "/nowhere", 1) },
	} {
		t.Run(fmt.Sprintf("a wrong %s is no acknowledgement", name), func(t *testing.T) {
			c := S3Config{HTTPConfig: HTTPConfig{URL: "http://" + address + "/logs/x"}, Region: "eu-1", AccessKey: "AKID", SecretKey: "sEcReT/+"}
			change(&c)
			if _, ok := errors.AsType[*Retryable](open(t, Config{S3: &c}).send(t.Context(), numbered(1))); !ok {
				t.Error("acknowledged, or refused for good")
			}
		})
	}
}
