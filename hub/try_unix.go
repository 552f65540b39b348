//go:build unix

package hub

import (
	"errors"
	"net"
	"syscall"
)

// newTrier gives the trier of a connection; nil if there is none, as with TLS, which would have to keep what the socket
// does not take.
func newTrier(conn net.Conn) trier {
	switch c := conn.(type) {
	case trier:
		return c
	case syscall.Conn:
		raw, err := c.SyscallConn()
		if err != nil {
			return nil
		}
		t := &rawTrier{raw: raw}
		t.attempt = t.write
		return t
	default:
		return nil
	}
}

// rawTrier writes to a socket of the operating system, which Go has made one that does not wait. It is for one caller at
// a time. attempt is write, made once: this is done for every event, and must not allocate.
type rawTrier struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool

	b   []byte
	n   int
	err error
}

// TryWrite implements trier.
func (t *rawTrier) TryWrite(b []byte) (n int, err error) {
	t.b = b
	err = t.raw.Write(t.attempt)
	t.b = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(t.err, syscall.EAGAIN):
		return 0, nil
	default:
		return max(t.n, 0), t.err
	}
}

func (t *rawTrier) write(fd uintptr) bool {
	for {
		t.n, t.err = syscall.Write(int(fd), t.b)
		if t.err != syscall.EINTR { //nolint:errorlint // it is what the system said
			return true
		}
	}
}
