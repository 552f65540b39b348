package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/omni/wire"
)

// First bytes of frames that end a message.
const (
	text    = 0x81
	binData = 0x82
	shut    = 0x88
	ping    = 0x89
	pong    = 0x8a
)

// raw speaks WebSocket byte by byte, so that it can do it wrongly.
type raw struct {
	net.Conn
	r *bufio.Reader
}

// dialRaw does the handshake over TCP, with more headers as whole lines.
func (n *node) dialRaw(t testing.TB, headers ...string) raw {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", n.srv.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nOrigin: "+site+
		"\r\nSec-WebSocket-Protocol: "+wire.Subprotocol+"\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
	require.NoError(t, err)
	r := raw{c, bufio.NewReader(c)}
	resp, err := http.ReadResponse(r.r, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"), "compression is off")
	return r
}

// pipeWriter is a ResponseWriter over one end of a pipe. Like Gin's it sends the status only when told so.
type pipeWriter struct {
	conn   net.Conn
	header http.Header
	status int
	sent   bool
	first  []byte // what the client is taken to have sent behind its handshake
}

func (w *pipeWriter) Header() http.Header         { return w.header }
func (w *pipeWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *pipeWriter) WriteHeader(status int)      { w.status = status }
func (w *pipeWriter) WriteHeaderNow()             { w.sent = w.status == http.StatusSwitchingProtocols }

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(w.first), w.conn))
	if len(w.first) > 0 {
		_, _ = r.Peek(len(w.first))
	}
	return w.conn, bufio.NewReadWriter(r, bufio.NewWriter(w.conn)), nil
}

// wrapped is what a middleware puts around a writer.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func upgrade(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/ws", nil)
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": site,
		"Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Protocol": wire.Subprotocol,
	} {
		r.Header.Set(k, v)
	}
	return r
}

// dialPipe makes a connection in memory: what the hub writes waits until it is read.
func dialPipe(t testing.TB, h *hub.Hub, d hub.Handler, first ...byte) raw {
	t.Helper()
	server, client := net.Pipe()
	w := &pipeWriter{conn: server, header: http.Header{}, first: first}
	require.NoError(t, h.Accept(wrapped{w}, upgrade(t.Context()), hub.AcceptOptions{Handler: d, Origins: []string{site}}))
	require.True(t, w.sent, "WriteHeaderNow was not passed on")
	t.Cleanup(func() { _ = client.Close() })
	return raw{client, bufio.NewReader(client)}
}

// masked makes a client's frame. The mask is zeros, which masks nothing.
func masked(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func command(id int64, typ string, data any) []byte {
	d, _ := json.Marshal(data)
	b, _ := json.Marshal(wire.Command{ID: id, Type: typ, Data: d})
	return b
}

func connectFrame(p hub.Principal) []byte {
	return masked(text, command(1, wire.CmdConnect, wire.Connect{Ticket: ticket(p)}))
}

func (r raw) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	_, err := r.Write(bytes.Join(frames, nil))
	require.NoError(t, err)
}

// frame reads one frame of the server.
func (r raw) frame() (first byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(r.r, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	n := uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(r.r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(r.r, head[:8])
		n = binary.BigEndian.Uint64(head[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r.r, payload)
	return first, payload, err
}

// closed reads to the close frame, and returns its code and reason and how many text frames came before.
func (r raw) closed(t testing.TB) (code int, reason string, texts int) {
	t.Helper()
	for {
		first, p, err := r.frame()
		require.NoError(t, err, "no close frame came")
		switch first {
		case text:
			texts++
		case shut:
			if len(p) == 0 {
				return 0, "", texts
			}
			return int(binary.BigEndian.Uint16(p)), string(p[2:]), texts
		}
	}
}

// Whatever is against RFC 6455 is closed with the right code.
func TestSec_S8_X7_BrokenFrames(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	closing := func(code int, reason string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	unmasked := func(first byte, p string) []byte { return append([]byte{first, byte(len(p))}, p...) }
	hello := `{"id":2,"type":"x"}`
	for _, tc := range []struct {
		name string
		send [][]byte
		want int
	}{
		{"X7 unmasked text", [][]byte{unmasked(text, hello)}, 1002},
		{"X7 unmasked ping", [][]byte{unmasked(ping, "")}, 1002},
		{"X7 unmasked close", [][]byte{unmasked(shut, "")}, 1002},
		{"X7 reserved bit 1", [][]byte{masked(text|0x40, []byte(hello))}, 1002},
		{"X7 reserved bit 2", [][]byte{masked(text|0x20, []byte(hello))}, 1002},
		{"X7 reserved bit 3", [][]byte{masked(text|0x10, []byte(hello))}, 1002},
		{"X7 reserved bit in a ping", [][]byte{masked(ping|0x40, nil)}, 1002},
		{"X7 reserved data opcode", [][]byte{masked(0x83, nil)}, 1002},
		{"X7 reserved control opcode", [][]byte{masked(0x8b, nil)}, 1002},
		{"X7 fragmented ping", [][]byte{masked(0x09, nil)}, 1002},
		{"X7 fragmented close", [][]byte{masked(0x08, nil)}, 1002},
		{"X7 ping of 126 bytes", [][]byte{masked(ping, make([]byte, 126))}, 1002},
		{"X7 ping of 64 KiB", [][]byte{masked(ping, make([]byte, 1<<16))}, 1002},
		{"X7 close of 1 byte", [][]byte{masked(shut, []byte{3})}, 1002},
		{"X7 close code 0", [][]byte{masked(shut, closing(0, ""))}, 1002},
		{"X7 close code 999", [][]byte{masked(shut, closing(999, ""))}, 1002},
		{"X7 close code 1004", [][]byte{masked(shut, closing(1004, ""))}, 1002},
		{"X7 close code 1005", [][]byte{masked(shut, closing(1005, ""))}, 1002},
		{"X7 close code 1006", [][]byte{masked(shut, closing(1006, ""))}, 1002},
		{"X7 close code 1015", [][]byte{masked(shut, closing(1015, ""))}, 1002},
		{"X7 close code 2999", [][]byte{masked(shut, closing(2999, ""))}, 1002},
		{"X7 close code 5000", [][]byte{masked(shut, closing(5000, ""))}, 1002},
		{"X7 close reason not UTF-8", [][]byte{masked(shut, closing(1000, "\xff"))}, 1007},
		{"X7 close 1002, reason not UTF-8", [][]byte{masked(shut, closing(1002, "\xff"))}, 1007},
		{"X7 good close", [][]byte{masked(shut, closing(1000, "bye"))}, 1000},
		{"X7 good close, own code", [][]byte{masked(shut, closing(4999, ""))}, 4999},
		{"X7 close without a code", [][]byte{masked(shut, nil)}, 0},
		{"X7 continuation of nothing", [][]byte{masked(0x80, []byte(hello))}, 1002},
		{"X7 new message inside another", [][]byte{masked(0x01, []byte(hello)), masked(text, []byte(hello))}, 1002},
		{"X7 length with the highest bit", [][]byte{append([]byte{text, 0xff, 0xff}, make([]byte, 11)...)}, 1002},
		{"X7 length of 5 in 2 bytes", [][]byte{{text, 0x80 | 126, 0, 5, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}}, 1002},
		{"X7 length of 125 in 8 bytes", [][]byte{append([]byte{text, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 125}, make([]byte, 129)...)}, 1002},
		{"X7 length of 65535 in 8 bytes", [][]byte{append([]byte{text, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, make([]byte, 65539)...)}, 1002},
		{"X7 length of a ping in 2 bytes", [][]byte{{ping, 0x80 | 126, 0, 0, 0, 0, 0, 0}}, 1002},
		{"X7 text not UTF-8", [][]byte{masked(text, []byte("{\"id\":2,\"type\":\"\xc3\x28\"}"))}, 1007},
		{"X7 a surrogate in UTF-8", [][]byte{masked(text, []byte("\"\xed\xa0\x80\""))}, 1007},
		{"X7 fragments not UTF-8 together", [][]byte{masked(0x01, []byte("{\xe2\x82")), masked(0x80, []byte("}"))}, 1007},
		{"binary", [][]byte{masked(binData, []byte(hello))}, 1002},
		{"not JSON", [][]byte{masked(text, []byte("hello"))}, 1002},
		{"JSON, not an object", [][]byte{masked(text, []byte("[1]"))}, 1002},
		{"half an object", [][]byte{masked(text, []byte(`{"id":2`))}, 1002},
		{"a field of a wrong type", [][]byte{masked(text, []byte(`{"id":"2","type":"x"}`))}, 1002},
		{"nothing", [][]byte{masked(text, nil)}, 1002},
		{"S5 a message over 64 KiB", [][]byte{masked(text, make([]byte, 64<<10+1))}, 1009},
		{"S5 fragments over 64 KiB together", [][]byte{masked(0x01, make([]byte, 40<<10)), masked(0x80, make([]byte, 40<<10))}, 1009},
		{"S5 41 messages at once", [][]byte{bytes.Repeat(masked(text, []byte(hello)), 41)}, 1008},
		{"S5 41 objects in one frame", [][]byte{masked(text, []byte(strings.Repeat(hello+"\n", 41)))}, 1008},
		{"S5 41 pings at once", [][]byte{bytes.Repeat(masked(ping, nil), 41)}, 1008},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := n.dialRaw(t)
			r.send(t, connectFrame(agent("a-"+tc.name, "org/o1")))
			first, _, err := r.frame()
			require.NoError(t, err)
			require.EqualValues(t, text, first)
			r.send(t, tc.send...)
			code, reason, _ := r.closed(t)
			require.Equal(t, tc.want, code, reason)
			require.LessOrEqual(t, len(reason), 123)
			if code != 1008 { // there the server waits for our close frame
				return
			}
			r.send(t, masked(shut, closing(code, "")))
			_, err = r.r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestMessageOf64KiBAndPingsAreTaken(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	r := n.dialRaw(t)
	big := []byte(`{"id":2,"type":"x","data":"` + strings.Repeat("x", 64<<10-len(`{"id":2,"type":"x","data":""}`)) + `"}`)
	require.Len(t, big, 64<<10)
	half := len(big) / 2
	r.send(t, connectFrame(agent("ana")), masked(0x01, big[:half]), masked(ping, []byte("are you there")), masked(0x80, big[half:]))
	var answers []string
	for len(answers) < 3 {
		first, p, err := r.frame()
		require.NoError(t, err)
		if first == pong {
			require.Equal(t, "are you there", string(p))
			answers = append(answers, "pong")
			continue
		}
		for line := range bytes.SplitSeq(p, []byte{'\n'}) {
			var f frame
			require.NoError(t, json.Unmarshal(line, &f))
			answers = append(answers, f.Type)
		}
	}
	require.ElementsMatch(t, []string{"ok", "pong", "error"}, answers)
}

// What the client sends right behind its handshake is in the server's buffer when the connection is taken over.
func TestFirstFrameBehindTheHandshake(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	r := dialPipe(t, n.Hub, desk{}, connectFrame(agent("ana"))...)
	first, p, err := r.frame()
	require.NoError(t, err)
	require.EqualValues(t, text, first)
	require.Contains(t, string(p), `"type":"ok"`)
}

// A burst that waits for a slow socket leaves in few frames, each within the limits and in order.
func TestWhatWaitsSharesFrames(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	r := dialPipe(t, n.Hub, desk{})
	r.send(t, connectFrame(agent("ana", "org/o1")))
	_, _, err := r.frame()
	require.NoError(t, err)
	const total = 200
	for i := range total { // the first is being written, for nobody reads; the others wait
		size := 10
		if i >= 150 {
			size = 5000
		}
		_, err := n.Publish(t.Context(), "org/o1", "x", map[string]any{"n": i, "pad": strings.Repeat("x", size)})
		require.NoError(t, err)
	}
	seen, frames := 0, 0
	for seen < total {
		first, p, err := r.frame()
		require.NoError(t, err)
		require.EqualValues(t, text, first)
		require.LessOrEqual(t, len(p), 64<<10)
		lines := bytes.Split(p, []byte{'\n'})
		require.LessOrEqual(t, len(lines), 64)
		for _, l := range lines {
			var f frame
			require.NoError(t, json.Unmarshal(l, &f))
			require.Equal(t, seen, number(t, f))
			require.EqualValues(t, seen+1, f.Offset)
			seen++
		}
		frames++
	}
	require.LessOrEqual(t, frames, 10)
	s := n.Stats()
	require.EqualValues(t, total+1, s.Delivered)
	require.EqualValues(t, frames+1, s.Writes)
}
