// Package reason is the one list of words for why a request did not get its upstream's answer. The same word is the
// `x-ambassador-error` field, the metric label and the access log's reason; Text is what a person reads in the body.
//
// The status tells the kinds apart: 502 is a bad answer, 503 means that nothing could be tried, 504 that it took too long,
// 4xx is the client's own fault and never counts against an upstream.
package reason

// Reason is one cause of failure. The zero value OK means none.
type Reason uint8

const (
	OK Reason = iota

	// Could not try, or could not connect.
	DNSFailed
	ConnectRefused
	ConnectTimeout
	ConnectFailed
	TLSVerifyFailed
	TLSHandshakeFailed
	ViaFailed
	NoEndpoint
	QueueFull
	QueueTimeout
	RetryBudgetExhausted
	Forbidden
	NoRoute
	Stopped

	// The upstream's answer is bad or late.
	UpstreamReset
	UpstreamAuthFailed
	UpstreamBadResponse
	UpstreamTruncated
	UpstreamUnavailable
	UpstreamTimeoutHeaders
	UpstreamTimeoutIdle
	RequestTimeout
	FaultInjected

	// The client's fault.
	ClientBadRequest
	ClientHeadTooLarge
	ClientTargetTooLong
	ClientBodyTooLarge
	ClientNotImplemented
	ClientBadVersion
	ClientExpectation
	ClientTimeout
	ClientAborted

	// Count is the number of reasons: arrays of metric handles are sized by it.
	Count
)

// Codes of google.golang.org/grpc/codes, which are part of the gRPC wire protocol.
const (
	grpcOK                = 0
	grpcCancelled         = 1
	grpcInvalidArgument   = 3
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcUnavailable       = 14
)

type row struct {
	word   string
	text   string
	status int
	grpc   int
}

func (r Reason) row() row {
	switch r {
	case OK:
		return row{"ok", "ok", 200, grpcOK}
	case DNSFailed:
		return row{"dns_failed", "name not resolved", 503, grpcUnavailable}
	case ConnectRefused:
		return row{"connect_refused", "connection refused", 502, grpcUnavailable}
	case ConnectTimeout:
		return row{"connect_timeout", "connect timed out", 504, grpcUnavailable}
	case ConnectFailed:
		return row{"connect_failed", "connect failed", 502, grpcUnavailable}
	case TLSVerifyFailed:
		return row{"tls_verify_failed", "certificate not accepted", 502, grpcUnavailable}
	case TLSHandshakeFailed:
		return row{"tls_handshake_failed", "TLS handshake failed", 502, grpcUnavailable}
	case ViaFailed:
		return row{"via_failed", "the proxy on the way refused", 502, grpcUnavailable}
	case NoEndpoint:
		return row{"no_endpoint", "no endpoint known yet", 503, grpcUnavailable}
	case QueueFull:
		return row{"queue_full", "too many requests waiting (limits.queue)", 503, grpcResourceExhausted}
	case QueueTimeout:
		return row{"queue_timeout", "waited too long in the queue (limits.queue_timeout)", 503, grpcResourceExhausted}
	case RetryBudgetExhausted:
		return row{"retry_budget_exhausted", "retry budget exhausted", 503, grpcUnavailable}
	case Forbidden:
		return row{"forbidden", "destination not allowed", 403, grpcPermissionDenied}
	case NoRoute:
		return row{"no_route", "no route matches", 404, grpcUnimplemented}
	case Stopped:
		return row{"stopped", "the ambassador was stopped before the answer (drain_timeout)", 503, grpcUnavailable}
	}
	return r.later()
}

// later holds the rows of answers and of clients, so that each function fits a screen.
func (r Reason) later() row {
	switch r {
	case UpstreamReset:
		return row{"upstream_reset", "connection closed before the answer", 502, grpcUnavailable}
	case UpstreamAuthFailed:
		return row{"upstream_auth_failed", "credentials of the ambassador not accepted", 502, grpcUnavailable}
	case UpstreamBadResponse:
		return row{"upstream_bad_response", "malformed answer", 502, grpcUnavailable}
	case UpstreamTruncated:
		return row{"upstream_truncated", "answer cut short", 502, grpcUnavailable}
	case UpstreamUnavailable:
		return row{"upstream_unavailable", "answered 502, 503 or 504", 503, grpcUnavailable}
	case UpstreamTimeoutHeaders:
		return row{"upstream_timeout_headers", "no response header within header_timeout", 504, grpcDeadlineExceeded}
	case UpstreamTimeoutIdle:
		return row{"upstream_timeout_idle", "no byte within idle_timeout", 504, grpcDeadlineExceeded}
	case RequestTimeout:
		return row{"request_timeout", "not done within the timeout of the request", 504, grpcDeadlineExceeded}
	case FaultInjected:
		return row{"fault_injected", "fault injected on purpose", 503, grpcUnavailable}
	case ClientBadRequest:
		return row{"client_bad_request", "malformed request", 400, grpcInvalidArgument}
	case ClientHeadTooLarge:
		return row{"client_head_too_large", "request head too large", 431, grpcResourceExhausted}
	case ClientTargetTooLong:
		return row{"client_target_too_long", "request target too long", 414, grpcInvalidArgument}
	case ClientBodyTooLarge:
		return row{"client_body_too_large", "request body too large", 413, grpcResourceExhausted}
	case ClientNotImplemented:
		return row{"client_not_implemented", "not supported", 501, grpcUnimplemented}
	case ClientBadVersion:
		return row{"client_bad_version", "HTTP version not supported", 505, grpcUnimplemented}
	case ClientExpectation:
		return row{"client_expectation", "expectation not supported", 417, grpcUnimplemented}
	case ClientTimeout:
		return row{"client_timeout", "the client was too slow", 408, grpcDeadlineExceeded}
	case ClientAborted:
		return row{"client_aborted", "the client went away", 499, grpcCancelled}
	}
	return row{"unknown", "unknown", 500, grpcUnavailable}
}

// String is the word: lower case, snake_case, stable (dashboards depend on it).
func (r Reason) String() string { return r.row().word }

// Text is the cause in plain words, to be read after "upstream NAME (ADDRESS): ".
func (r Reason) Text() string { return r.row().text }

// Status is the HTTP status of the answer that we make for it; 499 is never sent, it is for the log.
func (r Reason) Status() int { return r.row().status }

// GRPC is the grpc-status of the answer that we make for it.
func (r Reason) GRPC() int { return r.row().grpc }

// Client tells whether the client is at fault, so that no upstream may be blamed.
func (r Reason) Client() bool { return r >= ClientBadRequest && r <= ClientAborted }

// Error is an error with its reason. Err may be nil.
type Error struct {
	Reason Reason
	Err    error
}

// Error is the cause if there is one, else the reason's text.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Reason.Text()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
