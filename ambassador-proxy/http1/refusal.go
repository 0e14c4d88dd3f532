package http1

import "github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"

// Refusal says what is wrong with a message. OK means nothing; More means that its end has not been seen yet.
type Refusal uint8

const (
	OK Refusal = iota
	More

	BadRequestLine
	BadVersion
	UnknownVersion
	BadTarget
	BadHost
	MissingHost
	DuplicateHost
	ConnectRefused
	ConnectBody
	Encrypted
	TargetTooLong
	HeadTooLarge
	TooManyFields

	BareLF
	FoldedField
	SpaceBeforeColon
	BadFieldName
	BadFieldValue
	BadConnection
	BadContentLength
	DuplicateContentLength
	LengthAndEncoding
	UnknownEncoding
	DuplicateEncoding
	EncodingIn10
	BadExpectation

	BadChunkSize
	BadChunkExtension
	BadChunkEnd
	BadTrailer
	ForbiddenTrailer

	BadStatusLine
	BadStatus

	refusals // their number
)

// String is what a person reads after "400 malformed request: ".
func (r Refusal) String() string {
	if r >= refusals {
		return "unknown"
	}
	return [...]string{
		OK:                     "ok",
		More:                   "incomplete",
		BadRequestLine:         "bad request line",
		BadVersion:             "bad HTTP version",
		UnknownVersion:         "unknown HTTP version",
		BadTarget:              "bad request target",
		BadHost:                "bad Host",
		MissingHost:            "no Host",
		DuplicateHost:          "more than one Host",
		ConnectRefused:         "CONNECT is for a forward listener",
		ConnectBody:            "CONNECT with a body",
		Encrypted:              "TLS where plain HTTP is spoken (use http://)",
		TargetTooLong:          "request line too long",
		HeadTooLarge:           "head too large",
		TooManyFields:          "too many header fields",
		BareLF:                 "line ends without a carriage return",
		FoldedField:            "folded header field",
		SpaceBeforeColon:       "space before a colon",
		BadFieldName:           "bad header field name",
		BadFieldValue:          "control character in a header field",
		BadConnection:          "bad Connection",
		BadContentLength:       "bad Content-Length",
		DuplicateContentLength: "more than one Content-Length",
		LengthAndEncoding:      "both Content-Length and Transfer-Encoding",
		UnknownEncoding:        "Transfer-Encoding other than chunked",
		DuplicateEncoding:      "more than one Transfer-Encoding",
		EncodingIn10:           "Transfer-Encoding in HTTP/1.0",
		BadExpectation:         "Expect other than 100-continue",
		BadChunkSize:           "bad chunk size",
		BadChunkExtension:      "bad chunk extension",
		BadChunkEnd:            "chunk data without a line end",
		BadTrailer:             "bad trailer field",
		ForbiddenTrailer:       "trailer field that belongs in the head",
		BadStatusLine:          "bad status line",
		BadStatus:              "bad status code",
	}[r]
}

// Reason is the refusal of a request in the words that the whole ambassador uses. A response that is refused is
// reason.UpstreamBadResponse whatever the refusal.
func (r Refusal) Reason() reason.Reason {
	switch r {
	case OK, More:
		return reason.OK
	case UnknownVersion:
		return reason.ClientBadVersion
	case ConnectRefused, UnknownEncoding:
		return reason.ClientNotImplemented
	case BadExpectation:
		return reason.ClientExpectation
	case TargetTooLong:
		return reason.ClientTargetTooLong
	case HeadTooLarge, TooManyFields:
		return reason.ClientHeadTooLarge
	}
	return reason.ClientBadRequest
}
