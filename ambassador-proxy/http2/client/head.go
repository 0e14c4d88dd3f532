package client

import (
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// maxInterim are the interim answers to one request.
const maxInterim = 20

// headers takes the block of a head. Those of streams that have ended are decoded too: the next ones build on them.
func (c *Conn) headers(f *http2.Frame) *http2.Error {
	s, err := c.stream(f)
	if err != nil {
		return err
	}
	fields, large, err := c.decoder.Decode(c.fields[:0], f.Payload, maxFields)
	if err != nil {
		return err
	}
	if c.fields = fields; s == nil {
		return nil
	}
	c.asks = 0
	switch end := f.EndsStream(); {
	case large:
		return s.wrong(http2.EnhanceYourCalm, "head larger than allowed")
	case s.ended:
		return s.wrong(http2.StreamClosed, "HEADERS after the end")
	case !s.headed:
		err = s.takeHead(fields, end)
	case !end:
		return s.wrong(http2.ProtocolError, "HEADERS within the body")
	default:
		err = s.takeTrailers(fields)
	}
	if err == nil && f.EndsStream() {
		err = s.end()
	}
	s.signalEvent()
	return err
}

// takeHead takes a head, or an interim one.
func (s *Stream) takeHead(fields []hpack.HeaderField, end bool) *http2.Error {
	fields = tolerated(fields)
	m, fault := http2.Response(fields)
	switch {
	case fault != "":
		return s.wrong(http2.ProtocolError, fault)
	case m.Status >= 200:
	case end: // RFC 9113, 8.1
		return s.wrong(http2.ProtocolError, "interim answer at the end")
	case s.interims == maxInterim:
		return s.wrong(http2.EnhanceYourCalm, "too many interim answers")
	default:
		s.interims++
		s.interim = append(s.interim, slices.Clone(fields))
		return nil
	}
	s.head, s.headed = append(s.head[:0], fields...), true
	s.bodiless = s.bodiless || m.Status == 204 || m.Status == 304
	if !s.bodiless {
		s.length = m.Length
	}
	return nil
}

func (s *Stream) takeTrailers(fields []hpack.HeaderField) *http2.Error {
	fields = tolerated(fields)
	if fault := http2.Trailers(fields); fault != "" {
		return s.wrong(http2.ProtocolError, fault)
	}
	s.trailers = append(s.trailers[:0], fields...)
	return nil
}

// tolerated takes what is wrong and does no harm out of fields: those of an HTTP/1.1 connection, which some servers hand on from
// their applications, and whitespace around values.
func tolerated(fields []hpack.HeaderField) []hpack.HeaderField {
	kept := fields[:0]
	for _, f := range fields {
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			continue
		}
		f.Value = strings.Trim(f.Value, " \t")
		kept = append(kept, f)
	}
	return kept
}
