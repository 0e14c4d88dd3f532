package output

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// shipper drives an output as deliver does, with no pause between tries.
type shipper struct {
	t       *testing.T
	out     Output
	offset  int64
	dead    []string
	reasons []string
}

func (s *shipper) ship(messages ...string) {
	s.t.Helper()
	for tries := 0; tries < 50; tries++ {
		err := s.send(s.t.Context(), messages)
		if err == nil {
			return
		}
		_, tooLarge := errors.AsType[*TooLarge](err)
		_, rejected := errors.AsType[*Rejected](err)
		partial, isPartial := errors.AsType[*Partial](err)
		switch {
		case isPartial:
			for _, item := range partial.Rejected {
				s.dead = append(s.dead, messages[item.Index])
			}
			for _, i := range partial.Retry {
				s.ship(messages[i])
			}
			return
		case (tooLarge || rejected) && len(messages) > 1:
			half := len(messages) / 2
			s.ship(messages[:half]...)
			s.ship(messages[half:]...)
			return
		case rejected:
			s.dead = append(s.dead, messages...)
			return
		}
		retry, ok := errors.AsType[*Retryable](err)
		if !ok {
			s.t.Fatalf("%T: %v", err, err)
		}
		s.reasons = append(s.reasons, retry.Reason)
	}
	s.t.Fatalf("never acknowledged, for these reasons: %v", s.reasons)
}

func (s *shipper) send(ctx context.Context, messages []string) error {
	c := chunkOf(messages...)
	c.Offset = s.offset
	body, n := s.out.AppendChunk(s.out.Begin(nil), c)
	body = s.out.End(body)
	err := s.out.Send(ctx, &Batch{Body: body, Records: n, FirstID: c.Source.ID(c.Offset)})
	clear(body[:cap(body)]) // it is deliver's again: whoever still reads it would send rubbish
	return err
}

func numbered(n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprintf("message %d of \"%d\"", i, n))
	}
	return messages
}

func open(t *testing.T, c Config) *shipper {
	t.Helper()
	o, err := New(c, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return &shipper{t: t, out: o}
}

// each runs one claim for every output over HTTP, against a sink of its kind.
func each(t *testing.T, start func(*httptest.Server), claim func(t *testing.T, row httpRow, s *sink)) {
	t.Helper()
	for _, row := range httpRows() {
		t.Run(row.name, func(t *testing.T) { claim(t, row, newSink(t, row.read, row.refuse, row.http2, start)) })
	}
}

func delivered(t *testing.T, s *sink, want []string) {
	t.Helper()
	if got := s.messages(); !slices.Equal(got, want) {
		t.Errorf("the sink has %d messages, want %d: %.300q", len(got), len(want), got)
	}
}

func TestOutputs_AcknowledgeWhatTheDestinationTookAndKeepTheOrder(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		all := numbered(5000)
		for part := range slices.Chunk(all, 1000) {
			out.ship(part...)
		}
		delivered(t, s, all)
	})
}

func TestOutputs_TryAgainAfterAnswersThatMayPass(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		s.then(status(500), status(503), status(429), status(408), status(425), status(401), status(403), status(404), reset)
		out.ship(numbered(10)...)
		delivered(t, s, numbered(10))
		want := []string{"5xx", "5xx", "429", "408", "425", "auth", "auth", "status", "network"}
		if !slices.Equal(out.reasons, want) {
			t.Errorf("reasons %v, want %v", out.reasons, want)
		}
	})
}

func TestOutputs_TellHowLongTheDestinationWantsToBeLeftAlone(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		s.then(status(429, "Retry-After", "7"))
		retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(1)))
		if !ok || retry.After != 7*time.Second {
			t.Errorf("%+v", retry)
		}
	})
}

func TestOutputs_GiveUpOnADestinationThatHangs(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL, Timeout: conf.Duration(50 * time.Millisecond)}))
		s.then(s.hang)
		retry, ok := errors.AsType[*Retryable](out.send(t.Context(), []string{strings.Repeat("x", 8<<20)}))
		if !ok || retry.Reason != "timeout" {
			t.Errorf("%+v", retry)
		}
		out.ship(numbered(3)...)
		delivered(t, s, numbered(3))
	})
}

func TestOutputs_ReturnAtOnceWhenTheDrainIsOver(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		s.then(s.hang)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		started := time.Now()
		if err := out.send(ctx, numbered(1)); err == nil || time.Since(started) > 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(started))
		}
	})
}

func TestOutputs_SayThatABodyIsTooLarge(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		s.then(status(413), status(413))
		out.ship(numbered(8)...)
		delivered(t, s, numbered(8))
	})
}

func TestOutputs_OneRefusedRecordDoesNotTakeTheOthersWithIt(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		good := numbered(9)
		out.ship(slices.Insert(slices.Clone(good), 4, poison)...)
		delivered(t, s, good)
		if !slices.Equal(out.dead, []string{poison}) {
			t.Errorf("dead letters %q", out.dead)
		}
	})
}

func TestOutputs_WaitForASlowDestination(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		out := open(t, row.config(HTTPConfig{URL: s.URL}))
		s.then(s.slow)
		big := []string{strings.Repeat("a", 700<<10), strings.Repeat("b", 700<<10)}
		out.ship(big...)
		delivered(t, s, big)
	})
}

func TestOutputs_PackBodiesAsConfigured(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		for _, compression := range []string{"gzip", "zstd", "snappy", "none"} {
			if row.name == "loki" && compression != "none" || row.http2 && compression == "snappy" {
				continue // its protocol packs bodies by itself, or has no such form
			}
			out := open(t, row.config(HTTPConfig{URL: s.URL, Compression: compression}))
			out.ship(numbered(100)...)
			out.ship(numbered(100)...)
		}
		if got := len(s.messages()); got%200 != 0 || got == 0 {
			t.Errorf("%d messages", got)
		}
	})
}

func TestOutputs_SpeakTLSOnlyToWhomTheyCanVerify(t *testing.T) {
	each(t, (*httptest.Server).StartTLS, func(t *testing.T, row httpRow, s *sink) {
		stranger := open(t, row.config(HTTPConfig{URL: s.URL}))
		if retry, ok := errors.AsType[*Retryable](stranger.send(t.Context(), numbered(1))); !ok || retry.Reason != "network" {
			t.Errorf("sent to a server that nobody vouches for: %v", retry)
		}
		out := open(t, row.config(HTTPConfig{URL: s.URL, TLS: tlsfile.Client{CA: authority(t, s.Server)}}))
		out.ship(numbered(50)...)
		delivered(t, s, numbered(50))
	})
}

func TestOutputs_FollowTokensThatRotateWhileSending(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		token := filepath.Join(t.TempDir(), "token")
		write := func(text string) {
			if err := os.WriteFile(token, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("old")
		out := open(t, row.config(HTTPConfig{URL: s.URL, Auth: Auth{Bearer: conf.Secret("file:" + token)}}))
		out.ship("first")
		s.then(func(w http.ResponseWriter, r *http.Request) {
			write("newer")
			status(http.StatusUnauthorized)(w, r)
		})
		out.ship("second")
		delivered(t, s, []string{"first", "second"})
		if got := s.requests[len(s.requests)-1].Header.Get("Authorization"); got != "Bearer newer" {
			t.Errorf("authorization %q", got)
		}
	})
}

func TestOutputs_SendHeadersAndPasswordsFromFiles(t *testing.T) {
	each(t, (*httptest.Server).Start, func(t *testing.T, row httpRow, s *sink) {
		password := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(password, []byte("s3cret"), 0o600); err != nil {
			t.Fatal(err)
		}
		ref := conf.Secret("file:" + password)
		out := open(t, row.config(HTTPConfig{URL: s.URL, Auth: Auth{Username: "bob", Password: ref}, Headers: map[string]conf.Secret{"X-Key": ref}}))
		out.ship("one")
		user, got, _ := s.requests[0].BasicAuth()
		if user != "bob" || got != "s3cret" || s.requests[0].Header.Get("X-Key") != "s3cret" {
			t.Errorf("%v", s.requests[0].Header)
		}
	})
}

func TestOutputs_GoThroughTheProxyOfTheEnvironment(t *testing.T) {
	for _, row := range httpRows() {
		if row.http2 {
			continue // proxies forward HTTP/1; HTTP/2 goes through TLS tunnels
		}
		t.Run(row.name, func(t *testing.T) {
			proxy := newSink(t, row.read, nil, false, (*httptest.Server).Start)
			t.Setenv("HTTP_PROXY", proxy.URL)
			t.Setenv("NO_PROXY", "")
			out := open(t, row.config(HTTPConfig{URL: "http://logs.example:3100"}))
			out.ship("one")
			delivered(t, proxy, []string{"one"})
			if got := proxy.requests[0].Host; got != "logs.example:3100" {
				t.Errorf("the proxy was asked for %q", got)
			}
		})
	}
}
