package hub

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"omniservice/omni/wire"
)

// maxFrame and maxObjects bound what the hub joins into one frame.
const (
	maxFrame   = 64 << 10
	maxObjects = 64
)

// First bytes of frames without fragmentation.
const (
	finText  = 0x80 | 1
	finClose = 0x80 | 8
	finPing  = 0x80 | 9
	finPong  = 0x80 | 10
)

// maxHead is the longest head of a frame that a server sends: it does not mask.
const maxHead = 10

// message is one JSON object that waits for connections, with the head of a frame of its own before it. It is made
// once for all who get it and never changed.
type message struct {
	frame []byte
	head  int
}

func (m *message) body() []byte { return m.frame[m.head:] }
func (m *message) size() int    { return len(m.frame) - m.head }

// newMessage makes a message of buf, whose first maxHead bytes are room for the head.
func newMessage(buf []byte) *message {
	var head [maxHead]byte
	h := appendHead(head[:0], finText, len(buf)-maxHead)
	start := maxHead - len(h)
	copy(buf[start:], h)
	return &message{frame: buf[start:], head: len(h)}
}

// appendHead appends the head of a server's frame (RFC 6455 section 5.2).
func appendHead(b []byte, first byte, length int) []byte {
	switch {
	case length < 126:
		return append(b, first, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(length))
	}
}

// appendControl appends a control frame; payload is at most 125 bytes.
func appendControl(b []byte, first byte, payload []byte) []byte {
	return append(appendHead(b, first, len(payload)), payload...)
}

// closePayload is the body of a close frame. A reason that is too long is cut between characters.
func closePayload(code int, reason string) []byte {
	for len(reason) > maxReason {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code)), reason...)
}

// encodeEvent makes the message of an event. It writes the envelope by hand because this is done for every event;
// wire.Event says what it must be, and a test compares.
func encodeEvent(topic string, e Entry) (*message, error) {
	data := []byte(e.Data)
	if bytes.IndexByte(data, '\n') >= 0 { // a newline separates objects
		var b bytes.Buffer
		if err := json.Compact(&b, data); err != nil {
			return nil, fmt.Errorf("encode %s: %w", e.Type, err)
		}
		data = b.Bytes()
	}
	b := make([]byte, maxHead, maxHead+len(`{"type":"","topic":"","offset":,"at":,"data":}`)+len(e.Type)+len(topic)+40+len(data))
	b = append(b, `{"type":`...)
	b = appendString(b, e.Type)
	if topic != "" {
		b = append(b, `,"topic":`...)
		b = appendString(b, topic)
	}
	if e.Offset != 0 {
		b = append(b, `,"offset":`...)
		b = strconv.AppendInt(b, e.Offset, 10)
	}
	b = append(b, `,"at":`...)
	b = strconv.AppendInt(b, int64(e.At), 10)
	if len(data) > 0 {
		b = append(b, `,"data":`...)
		b = append(b, data...)
	}
	return newMessage(append(b, '}')), nil
}

// appendString appends s as JSON. Names of topics and events are plain and need no escaping.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			q, _ := json.Marshal(s) // a string can always be marshalled
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// encode makes the message of any frame but an event.
func encode(v any) (*message, error) {
	b := bytes.NewBuffer(make([]byte, maxHead, 256))
	if err := encodeJSON(b, v); err != nil {
		return nil, err
	}
	return newMessage(b.Bytes()), nil
}

// encodeJSON appends v without a newline. <, > and & stay as they are: frames never become HTML.
func encodeJSON(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// errFrame is what is wrong with a client's frame.
var errFrame = errors.New("not a command")

// decodeCommands reads a client's frame: JSON objects with a newline between. What is not JSON or has a field of a
// wrong type is an error; whether an object makes sense is for the caller to say.
func decodeCommands(frame []byte) ([]wire.Command, error) {
	cmds := make([]wire.Command, 0, 1)
	for line := range bytes.SplitSeq(frame, []byte{'\n'}) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if line[0] != '{' {
			return nil, errFrame
		}
		var c wire.Command
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, err)
		}
		cmds = append(cmds, c)
	}
	if len(cmds) == 0 {
		return nil, errFrame
	}
	return cmds, nil
}
