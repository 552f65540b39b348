package redisbus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxPayload bounds what a broken stream makes us allocate.
const maxPayload = 64 << 20

var errStream = errors.New("redis sent what is no message")

// pushes reads what Redis sends on a connection that subscribes, as RESP2, with one allocation a message.
type pushes struct{ r *bufio.Reader }

type pushKind int

const (
	pushOther pushKind = iota
	pushMessage
	pushSubscribed
	pushUnsubscribed
)

// next reads the head of a message: its kind and channel. The channel is to be used before anything else is called.
// After that comes payload for a message, and end for any other.
func (p pushes) next() (pushKind, []byte, error) {
	n, err := p.length('*')
	if err != nil {
		return 0, nil, err
	}
	word, err := p.peek()
	if err != nil {
		return 0, nil, err
	}
	kind := pushOther
	switch string(word) {
	case "message", "smessage":
		kind = pushMessage
	case "subscribe", "ssubscribe":
		kind = pushSubscribed
	case "unsubscribe", "sunsubscribe":
		kind = pushUnsubscribed
	}
	if kind == pushOther || n != 3 {
		return 0, nil, fmt.Errorf("%w: %q of %d", errStream, word, n)
	}
	if err := p.discard(len(word)); err != nil {
		return 0, nil, err
	}
	channel, err := p.peek()
	return kind, channel, err
}

// skip passes the channel that next returned.
func (p pushes) skip(channel []byte) error { return p.discard(len(channel)) }

// payload reads the rest of a message.
func (p pushes) payload() ([]byte, error) {
	n, err := p.length('$')
	if err != nil {
		return nil, err
	}
	if n < 0 || n > maxPayload {
		return nil, fmt.Errorf("%w: %d bytes", errStream, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, err
	}
	return b, p.discard(0)
}

// end reads the rest of what is no message: how many channels there are.
func (p pushes) end() error {
	_, err := p.length(':')
	return err
}

// ok reads the answer to a command of the handshake.
func (p pushes) ok() error {
	line, err := p.line()
	if err == nil && line[0] != '+' {
		err = fmt.Errorf("%w: %q", errStream, line)
	}
	return err
}

// line returns a line that is no error. It is to be used before anything else is called.
func (p pushes) line() ([]byte, error) {
	line, err := p.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, errStream
	}
	line = line[:len(line)-2]
	if line[0] == '-' {
		return nil, serverError(line[1:])
	}
	return line, nil
}

// serverError is what Redis says that is wrong.
type serverError string

func (e serverError) Error() string { return string(e) }

func (p pushes) length(kind byte) (int, error) {
	line, err := p.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || line[0] != kind {
		return 0, fmt.Errorf("%w: %q", errStream, line)
	}
	return n, nil
}

// peek returns a short string without passing it.
func (p pushes) peek() ([]byte, error) {
	n, err := p.length('$')
	if err != nil {
		return nil, err
	}
	if n < 0 || n > p.r.Size()-2 {
		return nil, fmt.Errorf("%w: a name of %d bytes", errStream, n)
	}
	return p.r.Peek(n)
}

// discard passes n bytes and the end of the line after them.
func (p pushes) discard(n int) error {
	_, err := p.r.Discard(n + 2)
	return err
}

// appendCommand writes a command the way Redis reads it.
func appendCommand(b []byte, words ...string) []byte {
	b = appendCount(b, '*', len(words))
	for _, w := range words {
		b = appendCount(b, '$', len(w))
		b = append(b, w...)
		b = append(b, '\r', '\n')
	}
	return b
}

func appendCount(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}
