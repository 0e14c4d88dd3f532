package http2

import "encoding/binary"

// SettingID names a setting (RFC 9113, 6.5.2).
type SettingID uint16

const (
	HeaderTableSize      SettingID = 1
	EnablePush           SettingID = 2
	MaxConcurrentStreams SettingID = 3
	InitialWindowSize    SettingID = 4
	MaxFrameSize         SettingID = 5
	MaxHeaderListSize    SettingID = 6
)

// Setting is one of a SETTINGS frame.
type Setting struct {
	ID    SettingID
	Value uint32
}

// Allowed is what a peer's settings allow us.
type Allowed struct {
	HeaderTable uint32 // bytes of our encoder's table
	Streams     uint32 // at once
	Window      int64  // of a new stream
	Frame       int    // bytes of a payload
	HeaderList  uint32 // bytes of fields as RFC 9113, 6.5.2 counts them
	Push        bool
}

// Initially allowed, before the peer has said anything.
func Initially() Allowed {
	return Allowed{HeaderTable: 4096, Streams: 1<<32 - 1, Window: DefaultWindow, Frame: MinFrameBytes, HeaderList: 1<<32 - 1, Push: true}
}

// Apply takes the payload of a SETTINGS over. The caller moves the windows of open streams by the difference of Window.
func (a *Allowed) Apply(payload []byte) *Error {
	for ; len(payload) >= 6; payload = payload[6:] {
		id, v := SettingID(binary.BigEndian.Uint16(payload)), binary.BigEndian.Uint32(payload[2:])
		switch id {
		case HeaderTableSize:
			a.HeaderTable = v
		case EnablePush:
			if v > 1 {
				return connection(ProtocolError, "bad SETTINGS_ENABLE_PUSH")
			}
			a.Push = v == 1
		case MaxConcurrentStreams:
			a.Streams = v
		case InitialWindowSize:
			if v > MaxWindow {
				return connection(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE too large")
			}
			a.Window = int64(v)
		case MaxFrameSize:
			if v < MinFrameBytes || v > MaxFrameBytes {
				return connection(ProtocolError, "bad SETTINGS_MAX_FRAME_SIZE")
			}
			a.Frame = int(v)
		case MaxHeaderListSize:
			a.HeaderList = v
		}
	}
	return nil
}
