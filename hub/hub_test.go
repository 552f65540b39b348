package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const site = "https://console.example.com"

// desk is a Handler whose tickets are JSON principals.
type desk struct {
	handle func(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error)
	auth   func(ctx context.Context, in wire.Connect, p hub.Peer) (hub.Principal, error)
}

func (d desk) Authenticate(ctx context.Context, in wire.Connect, p hub.Peer) (hub.Principal, error) {
	if d.auth != nil {
		return d.auth(ctx, in, p)
	}
	var who hub.Principal
	if err := json.Unmarshal([]byte(in.Ticket), &who); err != nil {
		return who, omni.Problemf(omni.ErrUnauthenticated, "this ticket is not valid")
	}
	return who, nil
}

func (d desk) Handle(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
	if d.handle != nil {
		return d.handle(ctx, c, cmd)
	}
	return nil, omni.Problemf(omni.ErrUnsupported, "no such command")
}

func ticket(p hub.Principal) string {
	b, _ := json.Marshal(p)
	return string(b)
}

func agent(id string, topics ...string) hub.Principal {
	return hub.Principal{OrgID: "o1", UserID: id, SessionID: "s-" + id, Role: omni.RoleAgent, Topics: topics}
}

// node is a hub behind a real server.
type node struct {
	*hub.Hub
	bus *membus.Bus
	srv *httptest.Server
}

func newNode(t *testing.T, o hub.Options, d desk) *node {
	return newNodeOn(t, membus.New(membus.Options{}), o, d)
}

func newNodeOn(t *testing.T, bus *membus.Bus, o hub.Options, d desk) *node {
	t.Helper()
	h, err := hub.New(bus, o)
	require.NoError(t, err)
	require.NoError(t, h.Start(t.Context()))
	n := &node{Hub: h, bus: bus}
	n.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = h.Accept(w, r, hub.AcceptOptions{Handler: d, Origins: []string{site}, Address: r.Header.Get("X-Test-Address")})
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		require.NoError(t, h.Shutdown(ctx))
		n.srv.Close()
		require.NoError(t, bus.Close())
	})
	return n
}

// client is one socket, read frame by frame.
type client struct {
	t       testing.TB
	ws      *websocket.Conn
	waiting [][]byte
	id      int64
	frames  int
}

type frame struct {
	ID     int64           `json:"id"`
	Type   string          `json:"type"`
	Topic  string          `json:"topic"`
	Offset int64           `json:"offset"`
	At     omni.Millis     `json:"at"`
	Data   json.RawMessage `json:"data"`
	Error  *wire.Error     `json:"error"`
}

func (n *node) dial(t testing.TB) *client {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), n.srv.URL, &websocket.DialOptions{
		Subprotocols: []string{wire.Subprotocol}, HTTPHeader: http.Header{"Origin": {site}},
	})
	require.NoError(t, err)
	ws.SetReadLimit(-1)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{t: t, ws: ws}
}

// connect dials as p, resumes, and returns what the server says of the topics.
func (n *node) connect(t testing.TB, p hub.Principal, resume ...wire.TopicPosition) (*client, wire.Connected) {
	t.Helper()
	c := n.dial(t)
	c.send(wire.CmdConnect, wire.Connect{Ticket: ticket(p), Resume: resume})
	f := c.next()
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var in wire.Connected
	require.NoError(t, json.Unmarshal(f.Data, &in))
	return c, in
}

func (c *client) send(typ string, data any) int64 {
	c.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(c.t, err)
	c.id++
	b, err := json.Marshal(wire.Command{ID: c.id, Type: typ, Data: raw})
	require.NoError(c.t, err)
	c.write(b)
	return c.id
}

func (c *client) write(b []byte) {
	c.t.Helper()
	require.NoError(c.t, c.ws.Write(c.t.Context(), websocket.MessageText, b))
}

func (c *client) read() (frame, error) {
	var f frame
	if len(c.waiting) == 0 {
		ctx, cancel := context.WithTimeout(c.t.Context(), 15*time.Second)
		defer cancel()
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			return f, err
		}
		c.frames++
		c.waiting = bytes.Split(b, []byte{'\n'})
	}
	err := json.Unmarshal(c.waiting[0], &f)
	c.waiting = c.waiting[1:]
	return f, err
}

func (c *client) next() frame {
	c.t.Helper()
	f, err := c.read()
	require.NoError(c.t, err)
	return f
}

// closed reads to the end and returns how the server closed.
func (c *client) closed() (int, string) {
	c.t.Helper()
	for {
		if _, err := c.read(); err != nil {
			var ce websocket.CloseError
			require.ErrorAs(c.t, err, &ce)
			return int(ce.Code), ce.Reason
		}
	}
}

type count struct {
	N int `json:"n"`
}

func number(t testing.TB, f frame) int {
	t.Helper()
	var c count
	require.NoError(t, json.Unmarshal(f.Data, &c))
	return c.N
}

func TestEventsReachEveryFollower(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	ana, in := n.connect(t, agent("ana", "org/o1", "group/g1"))
	require.Equal(t, "ana", in.UserID)
	require.EqualValues(t, 25000, in.HeartbeatMs)
	require.Len(t, in.Topics, 2)
	require.Equal(t, wire.Fresh, in.Topics[1].State)
	ben, _ := n.connect(t, agent("ben", "org/o1"))

	pos, err := n.Publish(t.Context(), "group/g1", wire.MessageCreated, map[string]string{"text": "<a> & \"b\"\n"})
	require.NoError(t, err)
	require.EqualValues(t, 1, pos.Offset)
	require.NoError(t, n.Announce(t.Context(), "org/o1", wire.TypingEvent, count{1}))

	f := ana.next()
	require.Equal(t, frame{
		Type: wire.MessageCreated, Topic: "group/g1", Offset: 1, At: f.At,
		Data: json.RawMessage(`{"text":"<a> & \"b\"\n"}`),
	}, f)
	require.InDelta(t, float64(time.Now().UnixMilli()), float64(f.At), 10_000)
	f = ana.next()
	require.Equal(t, wire.TypingEvent, f.Type)
	require.Zero(t, f.Offset)
	require.Equal(t, wire.TypingEvent, ben.next().Type)

	ps, err := n.Positions(t.Context(), []string{"group/g1", "org/o1"})
	require.NoError(t, err)
	require.Equal(t, []wire.TopicPosition{
		{Topic: "group/g1", Epoch: pos.Epoch, Offset: 1}, {Topic: "org/o1", Epoch: pos.Epoch},
	}, ps)
}

func TestSec_S1_X6_Handshake(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{PerAddress: 1}, desk{})
	dial := func(header http.Header, protocols ...string) (*websocket.Conn, int) {
		header = header.Clone()
		ws, resp, err := websocket.Dial(t.Context(), n.srv.URL, &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: header})
		if err == nil {
			t.Cleanup(func() { _ = ws.CloseNow() })
		}
		require.NotNil(t, resp)
		return ws, resp.StatusCode
	}
	for _, tc := range []struct {
		name   string
		header http.Header
		proto  []string
		want   int
	}{
		{"X6 no origin", http.Header{}, []string{wire.Subprotocol}, 403},
		{"X6 null origin", http.Header{"Origin": {"null"}}, []string{wire.Subprotocol}, 403},
		{"X6 other site", http.Header{"Origin": {"https://evil.example"}}, []string{wire.Subprotocol}, 403},
		{"X6 look-alike", http.Header{"Origin": {site + ".evil.example"}}, []string{wire.Subprotocol}, 403},
		{"X6 other scheme", http.Header{"Origin": {strings.Replace(site, "https", "http", 1)}}, []string{wire.Subprotocol}, 403},
		{"X6 other port", http.Header{"Origin": {site + ":8443"}}, []string{wire.Subprotocol}, 403},
		{"X6 upper case", http.Header{"Origin": {strings.ToUpper(site)}}, []string{wire.Subprotocol}, 403},
		{"X6 two origins", http.Header{"Origin": {site, site}}, []string{wire.Subprotocol}, 403},
		{"no subprotocol", http.Header{"Origin": {site}}, nil, 400},
		{"other subprotocol", http.Header{"Origin": {site}}, []string{"omni.v2"}, 400},
		{"one of two subprotocols", http.Header{"Origin": {site}}, []string{"x", wire.Subprotocol}, 101},
		{"first of an address", http.Header{"Origin": {site}, "X-Test-Address": {"192.0.2.1"}}, []string{wire.Subprotocol}, 101},
		{"second of an address", http.Header{"Origin": {site}, "X-Test-Address": {"192.0.2.1"}}, []string{wire.Subprotocol}, 503},
		{"another address", http.Header{"Origin": {site}, "X-Test-Address": {"192.0.2.2"}}, []string{wire.Subprotocol}, 101},
	} {
		ws, status := dial(tc.header, tc.proto...)
		require.Equal(t, tc.want, status, tc.name)
		if status == http.StatusSwitchingProtocols {
			require.Equal(t, wire.Subprotocol, ws.Subprotocol(), tc.name)
		}
	}
}
