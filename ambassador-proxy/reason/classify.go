package reason

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
)

// OfContext names why ctx has ended: the reason of its cause, or else that the client has left.
func OfContext(ctx context.Context) Reason {
	if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return e.Reason
	}
	return ClientAborted
}

// OfDial names why a connection could not be made. An *Error anywhere in the chain keeps its reason; nil is OK.
func OfDial(err error) Reason {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return DNSFailed
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return TLSVerifyFailed
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return TLSHandshakeFailed
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // crypto/tls: an alert of the other side
		return TLSHandshakeFailed
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return ConnectRefused
	case errors.Is(err, context.Canceled):
		return ClientAborted
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return ConnectTimeout
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		return ConnectTimeout
	}
	return ConnectFailed
}
