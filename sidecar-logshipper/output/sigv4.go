package output

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// awsKey signs requests to S3 with AWS Signature Version 4 (https://docs.aws.amazon.com/AmazonS3/latest/API/
// sig-v4-header-based-auth.html). Requests have no query.
type awsKey struct{ id, secret, token string }

const awsTime = "20060102T150405Z"

// sign sets the headers of r, whose body is given.
func (k awsKey) sign(r *http.Request, body []byte, region string, now time.Time) {
	r.URL.RawPath = awsPath(r.URL.Path) // what is sent is what is signed
	stamp := now.UTC().Format(awsTime)
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hash)
	names, headers := "host;x-amz-content-sha256;x-amz-date", "host:"+r.URL.Host+"\nx-amz-content-sha256:"+hash+"\nx-amz-date:"+stamp+"\n"
	if k.token != "" {
		r.Header.Set("X-Amz-Security-Token", k.token)
		names, headers = names+";x-amz-security-token", headers+"x-amz-security-token:"+k.token+"\n"
	}
	request := strings.Join([]string{r.Method, r.URL.RawPath, "", headers, names, hash}, "\n")
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	sum = sha256.Sum256([]byte(request))
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + k.secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = hmacSHA256(key, part)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.id+"/"+scope+", SignedHeaders="+names+", Signature="+hex.EncodeToString(hmacSHA256(key, text)))
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// awsPath is the URI encoding that signatures are made of: all but the unreserved characters and slashes as %XX.
func awsPath(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
