//go:build !unix

package hub

import "net"

// newTrier gives the trier of a connection: there is none.
func newTrier(net.Conn) trier { return nil }
