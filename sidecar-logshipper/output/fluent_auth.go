package output

import (
	"bufio"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// fluentKey proves to a server that we know its shared key, and that it knows it too, before anything is sent (Forward
// protocol specification, "Authentication": HELO, PING, PONG).
type fluentKey struct {
	key, password conf.Secret
	username      string
	hostname      string
	secrets       *conf.Secrets
}

// newFluentKey is nil where no key is configured: such servers do not say HELO.
func newFluentKey(c *FluentConfig, env Env) *fluentKey {
	if c.SharedKey == "" {
		return nil
	}
	return &fluentKey{key: c.SharedKey, username: c.Username, password: c.Password, hostname: selfHostname(env.Labels), secrets: env.Secrets}
}

// selfHostname is how we introduce ourselves.
func selfHostname(labels []record.Field) string {
	for i := range labels {
		if labels[i].Name == "pod" {
			return string(labels[i].Value)
		}
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "logshipper"
	}
	return name
}

// handshake runs on a fresh connection. Its errors are worth another attempt: keys rotate. A connection that is not to be
// long is for one message.
func (k *fluentKey) handshake(conn net.Conn) (long bool, err error) {
	in := bufio.NewReader(io.LimitReader(conn, 64<<10)) // a server says nothing more before it is sent something
	nonce, salt, long, err := readHelo(in)
	if err != nil {
		return false, err
	}
	shared, err := k.secrets.Get(k.key)
	if err != nil {
		return false, err
	}
	var random [16]byte
	_, _ = rand.Read(random[:])             // never fails
	own := hex.AppendEncode(nil, random[:]) // Fluent Bit wants it to be text
	ping := appendPackedString([]byte{0x96}, "PING")
	ping = appendPackedString(ping, k.hostname)
	ping = appendPackedString(ping, own)
	ping = appendPackedString(ping, digest(own, []byte(k.hostname), nonce, []byte(shared)))
	if ping, err = k.appendUser(ping, salt); err != nil {
		return false, err
	}
	if _, err := conn.Write(ping); err != nil {
		return false, err
	}
	return long, readPong(in, own, nonce, shared, k)
}

// appendUser appends who we are where the server wants to know, else two empty texts.
func (k *fluentKey) appendUser(ping, salt []byte) ([]byte, error) {
	if len(salt) == 0 {
		return appendPackedString(appendPackedString(ping, ""), ""), nil
	}
	if k.username == "" {
		return nil, errors.New("the server wants a username and a password (set username and password)")
	}
	password, err := k.secrets.Get(k.password)
	if err != nil {
		return nil, err
	}
	return appendPackedString(appendPackedString(ping, k.username), digest(salt, []byte(k.username), []byte(password))), nil
}

// readHelo reads ["HELO", {"nonce": …, "auth": …, "keepalive": …}].
func readHelo(in *bufio.Reader) (nonce, salt []byte, long bool, err error) {
	message, err := readPacked(in, 0)
	if err != nil {
		return nil, nil, false, fmt.Errorf("read HELO: %w (has the server a shared key?)", err)
	}
	list, _ := message.([]any)
	if len(list) != 2 || !isText(list[0], "HELO") {
		return nil, nil, false, fmt.Errorf("read HELO: got %.100q", fmt.Sprint(message))
	}
	options, _ := list[1].(map[string]any)
	nonce, _ = options["nonce"].([]byte)
	salt, _ = options["auth"].([]byte)
	if len(nonce) == 0 {
		return nil, nil, false, errors.New("read HELO: it has no nonce")
	}
	allowed, told := options["keepalive"].(bool)
	return nonce, salt, allowed || !told, nil
}

// readPong reads ["PONG", result, reason, hostname, digest] and checks that the server knows the key too.
func readPong(in *bufio.Reader, own, nonce []byte, shared string, k *fluentKey) error {
	message, err := readPacked(in, 0)
	if err != nil {
		return fmt.Errorf("read PONG: %w", err)
	}
	list, _ := message.([]any)
	if len(list) != 5 || !isText(list[0], "PONG") {
		return fmt.Errorf("read PONG: got %.100q", fmt.Sprint(message))
	}
	if accepted, _ := list[1].(bool); !accepted {
		k.secrets.Expire()
		reason, _ := list[2].([]byte)
		return fmt.Errorf("the server refused the login: %s", brief(reason))
	}
	host, _ := list[3].([]byte)
	proof, _ := list[4].([]byte)
	if string(host) == k.hostname {
		return errors.New("the server has our own name, so that its proof may be ours")
	}
	if subtle.ConstantTimeCompare(proof, []byte(digest(own, host, nonce, []byte(shared)))) != 1 {
		return errors.New("the server does not know the shared key")
	}
	return nil
}

func isText(v any, want string) bool {
	b, ok := v.([]byte)
	return ok && string(b) == want
}

// digest is the SHA-512 of all parts, in hexadecimal.
func digest(parts ...[]byte) string {
	h := sha512.New()
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
