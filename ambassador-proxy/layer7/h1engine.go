package layer7

import "net"

// link is the engine's state of one connection.
type link struct{}

// NewConn makes a pooled connection of a dialled one.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c} }
