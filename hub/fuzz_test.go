package hub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// forecast is what must become of a client's bytes.
type forecast struct {
	codes   []int // it is closed with one of these: commands and frames are looked at side by side. None: it is not
	answers int   // commands
	ping    []byte
	pings   int
	frames  int // messages that hold commands
}

// noCode is what RFC 6455 calls a close frame without a code.
const noCode = 1005

// foresee reads a client's bytes as RFC 6455 and our protocol say, without regard to how the hub does it.
func foresee(b []byte, limit int) (f forecast) {
	var message []byte
	inside, op := false, byte(0)
	refuse := func(code int) forecast {
		f.codes = append(f.codes, code)
		return f
	}
	for len(b) >= 2 {
		size, n := 2, uint64(b[1]&0x7f)
		switch n {
		case 126:
			size = 4
		case 127:
			size = 10
		}
		if len(b) < size {
			return f
		}
		switch size {
		case 4:
			if n = uint64(binary.BigEndian.Uint16(b[2:])); n < 126 {
				return refuse(1002)
			}
		case 10:
			if n = binary.BigEndian.Uint64(b[2:]); n < 1<<16 || n >= 1<<63 {
				return refuse(1002)
			}
		}
		fin, this, hidden := b[0]&0x80 != 0, b[0]&0x0f, b[1]&0x80 != 0
		if hidden {
			size += 4
		}
		if len(b) < size {
			return f
		}
		switch {
		case b[0]&0x70 != 0, !hidden, this > 2 && this < 8, this > 10:
			return refuse(1002)
		case this >= 8 && (!fin || n > 125), this == 0 && !inside, (this == 1 || this == 2) && inside:
			return refuse(1002)
		}
		whole := n <= uint64(len(b)-size)
		payload := slices.Clone(b[size:])
		if whole {
			payload = payload[:n]
		}
		for i := range payload {
			payload[i] ^= b[size-4+i%4]
		}
		b = b[min(len(b), size+len(payload)):]
		if this < 8 {
			if !inside {
				op = this
			}
			inside = true
			if message = append(message, payload...); len(message) > limit {
				return refuse(1009)
			}
		}
		if !whole {
			return f
		}
		switch {
		case this == 8:
			return refuse(farewell(payload))
		case this == 9:
			f.ping = payload
			f.pings++
		case this < 8 && fin:
			f.message(op, message)
			message, inside = nil, false
		}
	}
	return f
}

// farewell is how a close frame is answered.
func farewell(p []byte) int {
	if len(p) == 0 {
		return noCode
	}
	if len(p) == 1 {
		return 1002
	}
	code := int(binary.BigEndian.Uint16(p))
	switch {
	case code < 1000, code > 4999, code > 1014 && code < 3000, code == 1004, code == 1005, code == 1006:
		return 1002
	case !utf8.Valid(p[2:]):
		return 1007
	default:
		return code
	}
}

// message takes a whole message of a client.
func (f *forecast) message(op byte, m []byte) {
	switch {
	case op != 1:
		f.codes = append(f.codes, 1002)
		return
	case !utf8.Valid(m):
		f.codes = append(f.codes, 1007)
		return
	}
	f.frames++
	commands := 0
	for line := range bytes.SplitSeq(m, []byte{'\n'}) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		var c wire.Command
		if line[0] != '{' || json.Unmarshal(line, &c) != nil {
			f.codes = append(f.codes, 1002)
			return
		}
		commands++
	}
	if commands == 0 {
		f.codes = append(f.codes, 1002)
	}
	f.answers += commands
}

// FuzzConn feeds a client's bytes, in chunks of a size, to a connection that is connected or is not: whatever they are,
// it is closed or answers as it must, does not hang, and leaves nothing behind.
func FuzzConn(f *testing.F) {
	const limit = 4 << 10
	hello := []byte(`{"id":7,"type":"x"}`)
	seeds := [][][]byte{
		{masked(text, hello)},
		{masked(text, []byte("{\"id\":7,\"type\":\"x\"}\n{\"id\":8,\"type\":\"connect\",\"data\":{}}\n\n{\"id\":-1}"))},
		{masked(1, hello[:5]), masked(ping, []byte("p")), masked(0, nil), masked(0x80, hello[5:]), masked(pong, nil)},
		{masked(ping, nil), masked(ping, bytes.Repeat([]byte{0xff}, 125)), masked(shut, []byte{3, 0xe8, 'b', 'y', 'e'})},
		{masked(shut, nil), masked(text, hello)},
		{masked(shut, []byte{3})},
		{masked(shut, []byte{3, 0xee})},
		{masked(shut, []byte{3, 0xe8, 0xff})},
		{masked(shut, []byte{3, 0xea, 0xff})},
		{masked(shut, []byte{3, 0xf1, 0xff})},
		{masked(text, []byte("\xed\xa0\x80"))},
		{masked(1, []byte("\xe2\x82")), masked(0x80, []byte("\xac"))},
		{masked(text, []byte("[1]"))},
		{masked(text, nil)},
		{masked(binData, hello)},
		{masked(binData, nil), masked(0x80, hello)},
		{masked(text|0x40, hello)},
		{masked(0x83, nil)},
		{masked(0x09, nil)},
		{masked(ping, make([]byte, 126))},
		{masked(0x80, hello)},
		{masked(1, hello), masked(text, hello)},
		{append([]byte{text, 19}, hello...)},
		{{text, 0x80 | 126, 0, 5, 0, 0, 0, 0}},
		{{text, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}},
		{{text, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}},
		{masked(text, make([]byte, limit+1))},
		{{text, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4}, make([]byte, limit+1)},
		{masked(text, bytes.Repeat([]byte(" "), limit))},
		{{text, 0x80 | 19, 1, 2, 3, 4}, hello},
		{masked(text, []byte(`{"id":7,"type":"x","data":`+strings.Repeat("[", 1000)))},
		{},
		{{text}},
		{{text, 0x85, 0, 0}},
		{connectFrame(agent("ana", "org/o1"))},
		{masked(text, hello), masked(text, []byte("x")), masked(binData, nil), masked(shut, []byte{3, 0xe9})},
	}
	for i, s := range seeds {
		f.Add(bytes.Join(s, nil), i%3 != 0, uint16(0))
		f.Add(bytes.Join(s, nil), i%3 == 0, uint16(1+i%7))
	}

	h, err := hub.New(membus.New(membus.Options{}), hub.Options{
		MaxMessage: limit, MessageRate: 1 << 20, MessageBurst: 1 << 20, QueueMessages: 1 << 20, QueueBytes: 1 << 30,
	})
	require.NoError(f, err)
	require.NoError(f, h.Start(f.Context()))
	f.Cleanup(func() { require.NoError(f, h.Shutdown(context.WithoutCancel(f.Context()))) })
	stranger := desk{auth: func(context.Context, wire.Connect, hub.Peer) (hub.Principal, error) {
		return hub.Principal{}, omni.ErrUnauthenticated
	}}

	f.Fuzz(func(t *testing.T, b []byte, known bool, chunk uint16) {
		want := foresee(b, limit)
		if want.frames > 60 { // more than may wait at once: another test's
			return
		}
		var r raw
		if known {
			r = dialPipe(t, h, desk{})
			r.send(t, connectFrame(agent("ana", "org/o1")))
			_, p, err := r.frame()
			require.NoError(t, err)
			require.Contains(t, string(p), `"ok"`)
		} else {
			r = dialPipe(t, h, stranger)
			if want.answers > 0 { // to the first of them alone
				want.answers, want.codes = 0, append(want.codes, hub.CloseSession, hub.CloseProtocol)
			}
		}
		require.NoError(t, r.SetDeadline(time.Now().Add(20*time.Second)))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			size := max(1, len(b))
			if chunk > 0 {
				size = int(chunk)
			}
			for part := range slices.Chunk(b, size) {
				if _, err := r.Write(part); err != nil {
					return // the server has closed, or the test
				}
			}
		}()
		require.NoError(t, want.seen(r))
		if len(want.codes) == 0 { // and it is still open when all has been read
			require.NoError(t, r.openUntil(sent), "%+v", want)
			require.Equal(t, 1, h.Stats().Connections)
		}
		require.NoError(t, r.Close())
		<-sent
		for end := time.Now().Add(20 * time.Second); h.Stats().Connections > 0; runtime.Gosched() {
			require.True(t, time.Now().Before(end), "the connection did not end")
		}
		require.Zero(t, h.Stats().HandlerPanics)
	})
}

// openUntil reads until sent is closed, and fails if there is a close frame by then.
func (r raw) openUntil(sent <-chan struct{}) error {
	refused := make(chan error, 1)
	go func() {
		for {
			first, p, err := r.frame()
			if err != nil || first == shut {
				refused <- fmt.Errorf("closed with % x: %w", p, err)
				return
			}
		}
	}()
	select {
	case <-sent:
		return nil
	case err := <-refused:
		return err
	}
}

// seen reads what the server sends until it has come.
func (f forecast) seen(r raw) error {
	answers, ponged := 0, f.pings == 0
	for len(f.codes) > 0 || answers < f.answers || !ponged {
		first, p, err := r.frame()
		if err != nil {
			return fmt.Errorf("of %+v: %d answers, then: %w", f, answers, err)
		}
		switch first {
		case text:
			for line := range bytes.SplitSeq(p, []byte{'\n'}) {
				if bytes.HasPrefix(line, []byte(`{"id":`)) {
					answers++
				}
			}
		case pong:
			ponged = ponged || string(p) == string(f.ping)
		case ping:
		case shut:
			code := noCode
			if len(p) > 0 {
				code = int(binary.BigEndian.Uint16(p))
			}
			if !slices.Contains(f.codes, code) {
				return fmt.Errorf("closed with %d %q instead of %+v", code, p[min(2, len(p)):], f)
			}
			return nil
		default:
			return fmt.Errorf("a frame that begins with %#x", first)
		}
	}
	if answers > f.answers && len(f.codes) == 0 {
		return fmt.Errorf("%d answers instead of %d", answers, f.answers)
	}
	return nil
}
