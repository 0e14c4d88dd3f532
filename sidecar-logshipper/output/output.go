// Package output holds the destinations. One destination is one file; `ls output` is the list of what is supported.
//
// The contract with deliver, which drives an Output from one goroutine: a batch is built by Begin, then any mix of
// AppendChunk and AppendRecord, then End, and goes to Send, again and again with the same body until it is answered for.
// Deliver owns retrying, backoff, halving, bisecting, the dead letters and the acknowledgement; an Output owns the wire: the
// encoding, compression, the connection, TLS and credentials, and the reading of the answer into one of the errors below.
package output

import (
	"context"
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Encoder turns records into a request body. It may keep state from Begin to End (a label set, a length to fill in) but not
// across batches: the same records give the same bytes. Appending never fails: what cannot be represented (bytes that are
// not UTF-8) is repaired. Called from one goroutine, which is not always the one that calls Send, but never at the same time.
type Encoder interface {
	Begin(dst []byte) []byte
	// AppendChunk encodes each record of c as it stands, without parsing, and says how many there were.
	// It is the hot path: one scan, no allocation per record. dst is grown by the callee as it needs.
	AppendChunk(dst []byte, c *record.Chunk) (out []byte, records int)
	// AppendRecord encodes one parsed and shaped record.
	AppendRecord(dst []byte, r *record.Record) []byte
	End(dst []byte) []byte
}

// Output is a destination.
type Output interface {
	Encoder
	// Send delivers one finished body and returns when the destination has taken responsibility for it (2xx, fsync, broker
	// ack): nil means acknowledged. It makes one attempt; its errors are the types below, and any other error is treated as
	// Retryable. It must return soon after ctx ends. It must not keep b or its Body after it returns.
	Send(ctx context.Context, b *Batch) error
	// Close ends connections and goroutines. It is called once, after the last Send has returned.
	Close() error
}

// Parsed may be implemented by an Output whose encoding uses what only a parser finds (a timestamp, a level as a label).
// With an input of format auto, records are then parsed before they reach it; without it they pass as they stand.
type Parsed interface{ WantsParsed() bool }

// Resumable may be implemented by an Output that must remember something with the positions, such as how long the file was
// when they were acknowledged. State is asked after each acknowledgement and written into the same checkpoint; Resume is
// called once before the first Begin with what was saved last ("" at the first start), and State after it.
type Resumable interface {
	State() string
	Resume(state string) error
}

// Deferred may be implemented by an Output whose destination takes a batch at once and answers for it later, so that the next
// ones can leave meanwhile.
type Deferred interface {
	// Hand makes one attempt to hand a batch over, under the rules of Send and never at the same time. Where it returns no
	// error, answer receives one value in the end: nil when the destination has taken responsibility, else why the batch has
	// to be sent again. Nobody has to receive it.
	Hand(ctx context.Context, b *Batch) (answer <-chan error, err error)
}

// Batch is one finished body.
type Batch struct {
	Body    []byte
	Records int
	// FirstID is the EventID of the first record: an idempotency key of the request where a destination has such a thing.
	FirstID record.EventID
}

// Retryable means: the same body again, later. Network errors, timeouts, 408, 425, 429, 401, 403 and 5xx.
type Retryable struct {
	Reason string        // short and bounded, a metric label: "network", "timeout", "429", "5xx", "auth"
	After  time.Duration // Retry-After, 0 when the destination named none
	Err    error
}

func (e *Retryable) Error() string { return fmt.Sprintf("send batch: %v", e.Err) }
func (e *Retryable) Unwrap() error { return e.Err }

// TooLarge means: the same records again in smaller bodies (413).
type TooLarge struct{ Err error }

func (e *TooLarge) Error() string { return fmt.Sprintf("send batch: body too large: %v", e.Err) }
func (e *TooLarge) Unwrap() error { return e.Err }

// Rejected means: this body will never be accepted (400, 422). Deliver bisects it down to the records at fault, writes those
// to the dead letters and acknowledges the rest.
type Rejected struct{ Err error }

func (e *Rejected) Error() string { return fmt.Sprintf("send batch: rejected: %v", e.Err) }
func (e *Rejected) Unwrap() error { return e.Err }

// Partial means: all records were taken except the ones listed, numbered from 0 in the order in which they were appended.
type Partial struct {
	Rejected []RejectedItem // will never be accepted: to the dead letters
	Retry    []int          // to be sent again, alone
	Err      error
}

// RejectedItem is one refused record and the destination's reason.
type RejectedItem struct {
	Index  int
	Reason string
}

func (e *Partial) Error() string {
	return fmt.Sprintf("send batch: %d records refused, %d to be retried: %v", len(e.Rejected), len(e.Retry), e.Err)
}
func (e *Partial) Unwrap() error { return e.Err }
