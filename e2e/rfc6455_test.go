package e2e_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// First bytes of frames: with fin they end a message, rsv1 to rsv3 are reserved.
const (
	fin, rsv1, rsv2, rsv3 = 0x80, 0x40, 0x20, 0x10

	opContinue, opText, opBinary, opClose, opPing, opPong = 0, 1, 2, 8, 9, 10
)

// rawSocket speaks WebSocket byte by byte, so that it can do it wrongly.
type rawSocket struct {
	net.Conn
	r *bufio.Reader
}

var dials atomic.Int32

// dialRaw does the handshake on path, with more headers as whole lines, and connects as c says unless it is nil.
func dialRaw(t testing.TB, s *System, path string, c *wire.Connect, headers ...string) rawSocket {
	t.Helper()
	// From many addresses, each of which may open only so many in a time.
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+dials.Add(1)%50))}
	conn, err := (&net.Dialer{LocalAddr: from}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(Patience)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n%s\r\n",
		path, s.PublicURL, wire.Subprotocol, strings.Join(append(headers, ""), "\r\n"))
	require.NoError(t, err)
	r := rawSocket{conn, bufio.NewReader(conn)}
	res, err := http.ReadResponse(r.r, nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", res.Header.Get("Sec-WebSocket-Accept"), "as in section 1.3")
	require.Equal(t, wire.Subprotocol, res.Header.Get("Sec-WebSocket-Protocol"))
	require.Empty(t, res.Header.Get("Sec-WebSocket-Extensions"), "compression is off")
	if c != nil {
		data, err := json.Marshal(c)
		require.NoError(t, err)
		_, err = r.Write(masked(fin|opText, fmt.Appendf(nil, `{"id":1,"type":%q,"data":%s}`, wire.CmdConnect, data)))
		require.NoError(t, err)
		_, answered, _ := r.outcome(t, 1, nil)
		require.True(t, answered, "connect")
	}
	return r
}

// head is a client's frame up to its payload: the length takes size more bytes, 0, 2 or 8.
func head(first byte, length uint64, size int) []byte {
	b := []byte{first}
	switch size {
	case 0:
		b = append(b, 0x80|byte(length))
	case 2:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, 0x37, 0xfa, 0x21, 0x3d)
}

// xor is a payload under the mask of head.
func xor(payload []byte) []byte {
	b := slices.Clone(payload)
	for i := range b {
		b[i] ^= [4]byte{0x37, 0xfa, 0x21, 0x3d}[i%4]
	}
	return b
}

// masked is a client's frame as it ought to be.
func masked(first byte, payload []byte) []byte {
	size := 0
	switch n := len(payload); {
	case n > 0xffff:
		size = 8
	case n > 125:
		size = 2
	}
	return append(head(first, uint64(len(payload)), size), xor(payload)...)
}

// frame reads one frame of the server, which must be as a server's frames are.
func (r rawSocket) frame() (op byte, payload []byte, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r.r, b[:2]); err != nil {
		return 0, nil, err
	}
	op, n := b[0]&0x0f, uint64(b[1])
	if b[0]&0x70 != 0 || b[0]&fin == 0 || b[1]&0x80 != 0 || op >= opClose && n > 125 {
		return 0, nil, fmt.Errorf("the server sent a frame that begins with % x", b[:2])
	}
	size := map[uint64]int{126: 2, 127: 8}[n]
	if size > 0 {
		if _, err := io.ReadFull(r.r, b[8-size:]); err != nil {
			return 0, nil, err
		}
		clear(b[:8-size])
		n = binary.BigEndian.Uint64(b[:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r.r, payload)
	return op, payload, err
}

// noCode is what RFC 6455 calls a close frame without a code.
const noCode = 1005

// outcome reads until command id is answered or a close frame comes. Each pong is given to ponged, unless that is nil.
func (r rawSocket) outcome(t testing.TB, id int64, ponged func([]byte)) (code int, answered bool, reason string) {
	t.Helper()
	for {
		op, p, err := r.frame()
		require.NoError(t, err, "the connection ended without a close frame")
		switch op {
		case opText:
			for line := range bytes.SplitSeq(p, []byte{'\n'}) {
				var f Frame
				require.NoError(t, json.Unmarshal(line, &f), "%s", line)
				if f.ID == id {
					return 0, true, ""
				}
			}
		case opPong:
			if ponged != nil {
				ponged(p)
			}
		case opClose:
			if len(p) == 0 {
				return noCode, false, ""
			}
			require.GreaterOrEqual(t, len(p), 2)
			return int(binary.BigEndian.Uint16(p)), false, string(p[2:])
		}
	}
}

// rfcRow is a line of the table.
type rfcRow struct {
	name string
	send [][]byte
	want int    // close code; 0: command 7 is answered
	pong []byte // payload of the pong that must come as well, if not nil
}

func closing(code int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// rfcTable is what RFC 6455 says of what a client sends, section by section. In each row a client that is connected
// sends this, and gets that.
func rfcTable(t testing.TB) []rfcRow {
	t.Helper()
	hello := []byte(`{"id":7,"type":"nothing"}`)
	ask := masked(fin|opText, hello)
	f := func(frames ...[]byte) [][]byte { return frames }
	unmasked := func(first byte, p string) []byte { return append([]byte{first, byte(len(p))}, p...) }
	named := func(s string) []byte { return []byte(`{"id":7,"type":"nothing","data":"` + s + `"}`) }
	sized := func(n int) []byte { return named(strings.Repeat("x", n-len(named("")))) }
	var rows []rfcRow
	add := func(name string, want int, send [][]byte) {
		rows = append(rows, rfcRow{name: name, send: send, want: want})
	}
	pong := func(name, payload string, send [][]byte) {
		rows = append(rows, rfcRow{name: name, send: send, pong: []byte(payload)})
	}

	// 5.1 masking
	add("masked", 0, f(ask))
	add("masked with zeros", 0, f(append(append([]byte{fin | opText, 0x80 | byte(len(hello))}, 0, 0, 0, 0), hello...)))
	for op, name := range map[byte]string{opContinue: "continuation", opText: "text", opBinary: "binary", opClose: "close", opPing: "ping", opPong: "pong"} {
		add("unmasked "+name, 1002, f(unmasked(fin|op, "hi")))
	}
	add("unmasked and empty", 1002, f(unmasked(fin|opText, "")))
	add("unmasked second fragment", 1002, f(masked(opText, hello[:5]), unmasked(fin|opContinue, string(hello[5:]))))

	// 5.2 reserved bits and opcodes
	for _, bit := range []byte{rsv1, rsv2, rsv3, rsv1 | rsv2 | rsv3} {
		for op, name := range map[byte]string{opText: "text", opBinary: "binary", opClose: "close", opPing: "ping", opPong: "pong"} {
			add(fmt.Sprintf("reserved bits %#x of %s", bit, name), 1002, f(masked(fin|bit|op, nil)))
		}
		add(fmt.Sprintf("reserved bits %#x of a continuation", bit), 1002, f(masked(opText, hello[:5]), masked(fin|bit|opContinue, hello[5:])))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprintf("opcode %d", op), 1002, f(masked(fin|op, nil)))
	}
	add("opcode 3 with a payload, in fragments", 1002, f(masked(3, hello[:5]), masked(fin|opContinue, hello[5:])))

	// 5.2 lengths
	add("126 bytes in 2", 0, f(masked(fin|opText, sized(126))))
	add("65535 bytes in 2", 0, f(masked(fin|opText, sized(65535))))
	add("65536 bytes in 8", 0, f(masked(fin|opText, sized(65536))))
	add("25 bytes in 2", 1002, f(head(fin|opText, uint64(len(hello)), 2), xor(hello)))
	add("25 bytes in 8", 1002, f(head(fin|opText, uint64(len(hello)), 8), xor(hello)))
	add("125 bytes in 2", 1002, f(head(fin|opText, 125, 2), xor(sized(125))))
	add("126 bytes in 8", 1002, f(head(fin|opText, 126, 8), xor(sized(126))))
	add("65535 bytes in 8", 1002, f(head(fin|opText, 65535, 8), xor(sized(65535))))
	add("a ping's length in 2", 1002, f(head(fin|opPing, 0, 2)))
	add("a close's length in 8", 1002, f(head(fin|opClose, 2, 8), xor(closing(1000, ""))))
	add("the highest bit of a length", 1002, f(head(fin|opText, 1<<63|5, 8)))
	add("all bits of a length", 1002, f(head(fin|opText, 1<<64-1, 8)))

	// 5.4 fragments
	add("two fragments", 0, f(masked(opText, hello[:5]), masked(fin|opContinue, hello[5:])))
	var bytewise [][]byte
	for i, c := range hello {
		first := byte(opContinue)
		if i == 0 {
			first = opText
		}
		bytewise = append(bytewise, masked(first, []byte{c}))
	}
	add("a fragment for each byte", 0, append(bytewise, masked(fin|opContinue, nil)))
	add("empty first fragment", 0, f(masked(opText, nil), masked(fin|opContinue, hello)))
	add("empty fragments between", 0, f(masked(opText, hello[:5]), masked(opContinue, nil), masked(opContinue, nil), masked(fin|opContinue, hello[5:])))
	add("empty last fragment", 0, f(masked(opText, hello), masked(fin|opContinue, nil)))
	add("nothing but empty fragments", 1002, f(masked(opText, nil), masked(opContinue, nil), masked(fin|opContinue, nil)))
	pong("ping between fragments", "p", f(masked(opText, hello[:5]), masked(fin|opPing, []byte("p")), masked(fin|opContinue, hello[5:])))
	add("pong between fragments", 0, f(masked(opText, hello[:5]), masked(fin|opPong, []byte("p")), masked(fin|opContinue, hello[5:])))
	add("close between fragments", 1000, f(masked(opText, hello[:5]), masked(fin|opClose, closing(1000, ""))))
	add("continuation of nothing", 1002, f(masked(fin|opContinue, hello)))
	add("unfinished continuation of nothing", 1002, f(masked(opContinue, hello)))
	other := []byte(`{"id":3,"type":"nothing"}`) // which may be answered before
	add("continuation after the end", 1002, f(masked(opText, other[:5]), masked(fin|opContinue, other[5:]), masked(fin|opContinue, nil)))
	add("continuation after a whole message", 1002, f(masked(fin|opText, other), masked(fin|opContinue, nil)))
	add("continuation after a ping", 1002, f(masked(fin|opPing, nil), masked(fin|opContinue, hello)))
	add("text inside a message", 1002, f(masked(opText, hello[:5]), ask))
	add("binary inside a message", 1002, f(masked(opText, hello[:5]), masked(fin|opBinary, hello)))
	add("another first fragment inside a message", 1002, f(masked(opText, hello[:5]), masked(opText, hello[5:])))

	// 5.5 control frames
	for op, name := range map[byte]string{opClose: "close", opPing: "ping", opPong: "pong"} {
		add(name+" in fragments", 1002, f(masked(op, nil)))
		add(name+" in fragments, inside a message", 1002, f(masked(opText, hello[:5]), masked(op, nil)))
		add(name+" of 126 bytes", 1002, f(masked(fin|op, make([]byte, 126))))
		add(name+" of 64 KiB", 1002, f(masked(fin|op, make([]byte, 64<<10))))
	}
	pong("ping", "", f(masked(fin|opPing, nil), ask))
	pong("ping of 125 bytes", strings.Repeat("\xff", 125), f(masked(fin|opPing, bytes.Repeat([]byte{0xff}, 125)), ask))
	pong("ping inside other bytes", "\x00\xff", f(masked(fin|opPing, []byte{0, 0xff}), ask))
	add("pong that nobody asked for", 0, f(masked(fin|opPong, []byte("x")), masked(fin|opPong, bytes.Repeat([]byte{0xff}, 125)), ask))

	// 5.5.1, 7.1, 7.4 close
	add("close without a code", noCode, f(masked(fin|opClose, nil)))
	add("close of 1 byte", 1002, f(masked(fin|opClose, []byte{3})))
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999} {
		add(fmt.Sprintf("close %d", code), code, f(masked(fin|opClose, closing(code, ""))))
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535} {
		add(fmt.Sprintf("close %d", code), 1002, f(masked(fin|opClose, closing(code, ""))))
	}
	add("close with a reason", 1000, f(masked(fin|opClose, closing(1000, "see you, жди меня"))))
	add("close with a reason of 123 bytes", 1000, f(masked(fin|opClose, closing(1000, strings.Repeat("x", 123)))))
	add("close with a reason of 124 bytes", 1002, f(masked(fin|opClose, closing(1000, strings.Repeat("x", 124)))))
	add("command after close", 1000, f(masked(fin|opClose, closing(1000, "")), ask))
	add("broken frame after close", 1000, f(masked(fin|opClose, closing(1000, "")), masked(fin|rsv1|opText, nil)))
	add("close twice", 1001, f(masked(fin|opClose, closing(1001, "")), masked(fin|opClose, closing(1000, ""))))

	// 8.1 UTF-8
	for name, s := range map[string]string{
		"two, three and four bytes": "é€😀", "the last character": "\U0010ffff", "what is no character": "\ufffe\uffff\U0001fffe", "a byte order mark": "\ufeff",
		"around the surrogates": "\ud7ff\ue000",
	} {
		add("UTF-8: "+name, 0, f(masked(fin|opText, named(s))))
	}
	euro := named("€")
	cut := bytes.Index(euro, []byte("€"))
	add("UTF-8: a character in two fragments", 0, f(masked(opText, euro[:cut+1]), masked(fin|opContinue, euro[cut+1:])))
	add("UTF-8: a character in three fragments, a ping between", 0,
		f(masked(opText, euro[:cut+1]), masked(opContinue, euro[cut+1:cut+2]), masked(fin|opPing, nil), masked(fin|opContinue, euro[cut+2:])))
	for name, s := range map[string]string{
		"a byte that never is": "\xff", "the other byte that never is": "\xfe", "a continuation alone": "\x80", "a first byte alone": "\xc3(", "cut in the middle": "\xe2\x82",
		"two bytes for one": "\xc0\xaf", "two bytes for one, the last": "\xc1\xbf", "three bytes for two": "\xe0\x9f\xbf", "four bytes for three": "\xf0\x8f\xbf\xbf",
		"five bytes": "\xf8\x88\x80\x80\x80", "six bytes": "\xfc\x84\x80\x80\x80\x80", "a high surrogate": "\xed\xa0\x80", "a low surrogate": "\xed\xbf\xbf",
		"a pair of surrogates": "\xed\xa0\xbd\xed\xb8\x80", "beyond the last character": "\xf4\x90\x80\x80", "first byte beyond": "\xf5\x80\x80\x80",
	} {
		add("not UTF-8: "+name, 1007, f(masked(fin|opText, named(s))))
		add("not UTF-8 as a reason: "+name, 1007, f(masked(fin|opClose, closing(1000, s))))
		bad := named(s)
		add("not UTF-8 in fragments: "+name, 1007, f(masked(opText, bad[:cut+1]), masked(fin|opContinue, bad[cut+1:])))
	}
	add("not UTF-8: a character that never ends", 1007, f(masked(opText, euro[:cut+2]), masked(fin|opContinue, euro[cut+3:])))

	// What our protocol leaves of it: text alone, a size, a rate, no compression.
	add("binary", 1002, f(masked(fin|opBinary, hello)))
	add("binary in fragments", 1002, f(masked(opBinary, hello[:5]), masked(fin|opContinue, hello[5:])))
	add("empty binary", 1002, f(masked(fin|opBinary, nil)))
	add("empty text", 1002, f(masked(fin|opText, nil)))
	add("64 KiB in fragments", 0, f(masked(opText, sized(64 << 10)[:40<<10]), masked(fin|opContinue, sized(64 << 10)[40<<10:])))
	add("64 KiB and a byte", 1009, f(masked(fin|opText, sized(64<<10+1))))
	add("64 KiB and a byte in fragments", 1009, f(masked(opText, sized(64<<10)), masked(fin|opContinue, []byte("x"))))
	add("the end of 1 TiB does not come", 1009, f(head(fin|opText, 1<<40, 8), make([]byte, 64<<10+1)))
	add("200 messages at once", 1008, f(bytes.Repeat(masked(fin|opText, []byte(`{"id":9,"type":"nothing"}`)), 200)))
	add("200 messages in one frame", 1008, f(masked(fin|opText, bytes.Repeat([]byte("{\"id\":9,\"type\":\"nothing\"}\n"), 200))))
	add("200 messages of two fragments", 1008, f(bytes.Repeat(slices.Concat(masked(opText, []byte(`{"id":9,`)), masked(fin|opContinue, []byte(`"type":"nothing"}`))), 200)))
	add("200 pings at once", 1008, f(bytes.Repeat(masked(fin|opPing, nil), 200)))
	add("a compressed frame that inflates to 64 MiB", 1002, f(masked(fin|rsv1|opText, bomb(t))))
	add("a compressed frame that inflates to 64 MiB, in fragments", 1002, f(masked(rsv1|opText, bomb(t)[:30<<10]), masked(fin|opContinue, bomb(t)[30<<10:])))
	return rows
}

// bomb inflates to 64 MiB, and takes 64 KiB.
var bomb = func() func(t testing.TB) []byte {
	var once sync.Once
	var b bytes.Buffer
	return func(t testing.TB) []byte {
		t.Helper()
		once.Do(func() {
			w, err := flate.NewWriter(&b, flate.BestCompression)
			require.NoError(t, err)
			zeros := make([]byte, 1<<20)
			for range 64 {
				_, err = w.Write(zeros)
				require.NoError(t, err)
			}
			require.NoError(t, w.Flush())
		})
		require.Less(t, b.Len(), 66<<10)
		return b.Bytes()[:min(b.Len(), 64<<10)]
	}
}()

// Whatever a client does against RFC 6455, or as it allows: at both sockets, of clients that are connected and, as far
// as it is about frames alone, of those that have not said who they are.
func TestX7_RFC6455(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	w := d.Alpha.Widget(t, d.Group)
	var visitors []*Visitor // of whom each may have five sockets, and an ended one takes a moment to be forgotten
	for range 6 {
		visitors = append(visitors, w.Visit(t, ""))
	}
	rows := rfcTable(t)
	deflate := "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
	cases, right := 0, 0
	try := func(path, when string, row rfcRow, c *wire.Connect, want int) {
		cases++
		t.Run(path+" "+when+" "+row.name, func(t *testing.T) {
			r := dialRaw(t, d.System, path, c, deflate)
			var sending sync.WaitGroup // the server may close before it has read all
			sending.Go(func() { _, _ = r.Write(bytes.Join(row.send, nil)) })
			var pongs []string
			code, answered, reason := r.outcome(t, 7, func(p []byte) { pongs = append(pongs, string(p)) })
			if row.pong != nil && len(pongs) == 0 { // it may come after the answer
				op, p, err := r.frame()
				require.NoError(t, err)
				require.EqualValues(t, opPong, op)
				pongs = append(pongs, string(p))
			}
			if row.pong != nil {
				require.Equal(t, []string{string(row.pong)}, pongs)
			}
			require.Equal(t, want, code, reason)
			require.Equal(t, want == 0, answered)
			require.LessOrEqual(t, len(reason), 123)
			if want != 0 { // the server closes first
				sending.Wait()
				_, _ = r.Write(masked(fin|opClose, closing(1000, "")))
				_, err := io.Copy(io.Discard, r.r)
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server did not close")
			}
			require.NoError(t, r.Close())
			sending.Wait()
			right++
		})
	}
	for i, row := range rows {
		agent := []*Agent{d.Ana, d.Ben}[i%2]
		try("/ws", "connected", row, &wire.Connect{Token: agent.Token}, row.want)
		try("/livechat/ws", "connected", row, &wire.Connect{Token: visitors[i%len(visitors)].Token}, row.want)
		if slices.Contains([]int{1002, 1007, 1009}, row.want) && !strings.Contains(row.name, "after") {
			try("/ws", "unknown", row, nil, row.want)
			try("/livechat/ws", "unknown", row, nil, row.want)
		}
	}
	t.Logf("X7: %d rows, %d cases at both sockets, right %d", len(rows), cases, right)
	require.Equal(t, cases, right)
	ana := d.Ana.Connect(t)
	d.Account.Receive(t, Phone(1), Number, "still here")
	ana.ExpectText(t, "still here")
}

// What attackers send takes at most 1 MiB of memory for each of them, however many there are.
func TestX7_MemoryOfAttackers(t *testing.T) {
	t.Parallel()
	s := StartProcess(t, Options{})
	const each = 15
	hold := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	attacks := map[string][]byte{
		"a message of 64 KiB that never ends": hold(masked(opText, make([]byte, 64<<10-1))),
		"a frame of 1 TiB":                    hold(head(fin|opText, 1<<40, 8), make([]byte, 60<<10)),
		"a frame that inflates to 64 MiB":     hold(masked(fin|rsv1|opText, bomb(t))),
		"200 messages of 12 KiB": bytes.Repeat(masked(fin|opText,
			[]byte(`{"id":9,"type":"nothing","data":"`+strings.Repeat("x", 12<<10)+`"}`)), 200),
		"200 pings": bytes.Repeat(masked(fin|opPing, make([]byte, 125)), 200),
	}
	var agents []*Agent
	for i := range len(attacks) {
		agents = append(agents, s.Alpha.Agent(t, fmt.Sprintf("Agent %d", i), omni.RoleAgent))
	}
	var sockets []rawSocket
	for i := range each * len(attacks) {
		sockets = append(sockets, dialRaw(t, s, "/ws", &wire.Connect{Token: agents[i%len(agents)].Token}))
	}
	before := s.RSS(t)
	var sending sync.WaitGroup
	i := 0
	for _, b := range attacks {
		for range each {
			r := sockets[i]
			i++
			sending.Go(func() { _, _ = r.Write(b) }) // and reads nothing
		}
	}
	most := before
	done := make(chan struct{})
	go func() {
		sending.Wait()
		close(done)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for settle := 0; settle < 100; {
		<-tick.C
		most = max(most, s.RSS(t))
		select {
		case <-done:
			settle++
		default:
		}
	}
	perAttacker := (most - before) / int64(len(sockets))
	t.Logf("X7: %d attackers in %d ways: %d KiB of memory each at most", len(sockets), len(attacks), perAttacker>>10)
	require.LessOrEqual(t, perAttacker, int64(1<<20))
	agents[0].Connect(t)
}
