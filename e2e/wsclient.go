package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// Frame is one object that the server sent: a reply if ID is set, else an event.
type Frame struct {
	ID     int64           `json:"id"`
	Type   string          `json:"type"`
	Topic  string          `json:"topic"`
	Offset int64           `json:"offset"`
	At     omni.Millis     `json:"at"`
	Data   json.RawMessage `json:"data"`
	Error  *wire.Error     `json:"error"`

	Received time.Time `json:"-"`
	taken    bool
}

// Read decodes the frame's data.
func Read[T any](t testing.TB, f Frame) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(f.Data, &v), "%s", f.Data)
	return v
}

// Client speaks omni.v1 as a console does: it drops what it has by offset, notices gaps, and can come back.
type Client struct {
	Connected wire.Connected // what connect answered

	conn *websocket.Conn
	stop context.CancelFunc
	done chan struct{} // closed when the reader has ended

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something came
	frames   []Frame
	replies  map[int64]Frame
	pos      map[string]wire.TopicPosition
	nextID   int64
	repeated int      // durable events that came twice
	gaps     []string // where an offset was left out
	err      error    // why the reader ended
	checker  *checker // of every frame, against the AsyncAPI document
}

// Dialing says how to connect. The zero value connects an agent at the beginning.
type Dialing struct {
	Path        string // "" means /ws
	Origin      string // "" means the public URL; "-" means none
	Subprotocol string // "" means omni.v1
	Connect     wire.Connect
}

// Dial opens a socket and connects; it fails the test if either is refused.
func (s *System) Dial(t testing.TB, d Dialing) *Client {
	t.Helper()
	c, res, err := s.Open(t, d)
	if err != nil && res != nil {
		err = fmt.Errorf("%w: %s", err, res.Status)
	}
	require.NoError(t, err)
	f := c.Do(t, wire.CmdConnect, d.Connect)
	require.Equal(t, "ok", f.Type, "connect: %+v", f.Error)
	return c
}

// Open opens a socket without connecting: for what a server must refuse.
func (s *System) Open(t testing.TB, d Dialing) (*Client, *http.Response, error) {
	t.Helper()
	if d.Path == "" {
		d.Path = "/ws"
	}
	if d.Subprotocol == "" {
		d.Subprotocol = wire.Subprotocol
	}
	header := http.Header{}
	switch d.Origin {
	case "":
		header.Set("Origin", s.PublicURL)
	case "-":
	default:
		header.Set("Origin", d.Origin)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	protocol := s.protocol(t)
	conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http")+d.Path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: s.http.Transport}, HTTPHeader: header, Subprotocols: []string{d.Subprotocol},
	})
	if err != nil {
		return nil, res, err
	}
	conn.SetReadLimit(1 << 20)
	readCtx, stop := context.WithCancel(t.Context())
	c := &Client{
		conn: conn, stop: stop, done: make(chan struct{}), changed: make(chan struct{}),
		replies: map[int64]Frame{}, pos: map[string]wire.TopicPosition{}, checker: newChecker(protocol, d.Path),
	}
	for _, p := range d.Connect.Resume {
		c.pos[p.Topic] = p
	}
	go c.read(readCtx)
	t.Cleanup(func() {
		c.Cut()
		require.Empty(t, c.checker.wrong, "frames are not as the AsyncAPI document says")
	})
	return c, res, nil
}

// Connect opens an agent's socket, resuming at the positions given.
func (a *Agent) Connect(t testing.TB, resume ...wire.TopicPosition) *Client {
	t.Helper()
	return a.Org.sys.Dial(t, Dialing{Connect: wire.Connect{Token: a.Token, Client: "e2e/1", Resume: resume}})
}

// Connect opens the socket of a program with the organisation's key.
func (o *Org) Connect(t testing.TB) *Client {
	t.Helper()
	return o.sys.Dial(t, Dialing{Origin: "-", Connect: wire.Connect{APIKey: o.Key, Client: "e2e/1"}})
}

// Connect opens a visitor's socket.
func (v *Visitor) Connect(t testing.TB, resume ...wire.TopicPosition) *Client {
	t.Helper()
	d := Dialing{Path: "/livechat/ws", Connect: wire.Connect{Token: v.Token, Client: "e2e-widget/1", Resume: resume}}
	if v.Ticket != "" {
		d.Connect.Token, d.Connect.Ticket = "", v.Ticket
		v.Ticket = "" // it works once
	}
	return v.sys.Dial(t, d)
}

func (c *Client) read(ctx context.Context) {
	defer close(c.done)
	for {
		typ, b, err := c.conn.Read(ctx)
		now := time.Now()
		if err == nil && typ != websocket.MessageText {
			err = errors.New("the server sent a binary message")
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			c.wake()
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		for line := range bytes.SplitSeq(b, []byte{'\n'}) {
			var f Frame
			if err := json.Unmarshal(line, &f); err != nil {
				f = Frame{Type: "not JSON: " + string(line)}
			}
			f.Received = now
			c.checker.got(f, line)
			c.take(f)
		}
		c.wake()
		c.mu.Unlock()
	}
}

// take keeps a frame, unless it is a durable event that was there already.
func (c *Client) take(f Frame) {
	if f.ID != 0 {
		c.replies[f.ID] = f
		if c.Connected.ConnectionID == "" && f.Type == "ok" && json.Unmarshal(f.Data, &c.Connected) == nil {
			for _, s := range c.Connected.Topics {
				if s.State != wire.Recovered {
					c.pos[s.Topic] = wire.TopicPosition{Topic: s.Topic, Epoch: s.Epoch, Offset: s.Offset}
				}
			}
		}
		return
	}
	if f.Offset > 0 {
		p, ok := c.pos[f.Topic]
		switch {
		case ok && f.Offset <= p.Offset:
			c.repeated++
			return
		case !ok || f.Offset != p.Offset+1:
			c.gaps = append(c.gaps, fmt.Sprintf("%s: %d after %d", f.Topic, f.Offset, p.Offset))
		}
		p.Topic, p.Offset = f.Topic, f.Offset
		c.pos[f.Topic] = p
	}
	c.frames = append(c.frames, f)
}

func (c *Client) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait waits until ready, which is called with the lock held, says so; it reports false when the time is over or the
// connection has ended without.
func (c *Client) wait(ready func() bool) bool {
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		ok, changed, ended := ready(), c.changed, c.err != nil
		c.mu.Unlock()
		if ok || ended {
			return ok
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}

// Raw writes a frame as it is.
func (c *Client) Raw(typ websocket.MessageType, b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.conn.Write(ctx, typ, b)
}

// Start sends a command and returns its id.
func (c *Client) Start(t testing.TB, typ string, data any) int64 {
	t.Helper()
	id, b := c.command(t, typ, data)
	require.NoError(t, c.Raw(websocket.MessageText, b), "%s", typ)
	return id
}

func (c *Client) command(t testing.TB, typ string, data any) (id int64, frame []byte) {
	t.Helper()
	d, err := json.Marshal(data)
	require.NoError(t, err)
	c.mu.Lock()
	c.nextID++
	id = c.nextID
	c.mu.Unlock()
	frame, err = json.Marshal(wire.Command{ID: id, Type: typ, Data: d})
	require.NoError(t, err)
	c.mu.Lock()
	c.checker.sent[id] = frame
	c.mu.Unlock()
	return id, frame
}

// CloseCode is the code with which the server has closed the connection, 0 if it is open or was cut.
func (c *Client) CloseCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if closed, ok := errors.AsType[websocket.CloseError](c.err); ok {
		return int(closed.Code)
	}
	return 0
}

// Do sends a command and waits for its answer.
func (c *Client) Do(t testing.TB, typ string, data any) Frame {
	t.Helper()
	return c.Reply(t, c.Start(t, typ, data))
}

// Reply waits for the answer to a command.
func (c *Client) Reply(t testing.TB, id int64) Frame {
	t.Helper()
	var f Frame
	got := c.wait(func() (ok bool) { f, ok = c.replies[id]; return ok })
	require.True(t, got, "command %d was not answered; %s", id, c.seen())
	return f
}

// Must sends a command, which must succeed, and reads its answer into out unless that is nil.
func (c *Client) Must(t testing.TB, typ string, data, out any) {
	t.Helper()
	f := c.Do(t, typ, data)
	require.Equal(t, "ok", f.Type, "%s: %+v", typ, f.Error)
	if out != nil {
		require.NoError(t, json.Unmarshal(f.Data, out), "%s", f.Data)
	}
}

// Expect waits for an event of a type for which match holds, and which no Expect has returned before. It fails listing
// every frame seen. match may be nil.
func (c *Client) Expect(t testing.TB, typ string, match func(Frame) bool) Frame {
	t.Helper()
	var found Frame
	ok := c.wait(func() bool {
		for i, f := range c.frames {
			if !f.taken && f.Type == typ && (match == nil || match(f)) {
				c.frames[i].taken = true
				found = f
				return true
			}
		}
		return false
	})
	require.True(t, ok, "there was no %s; %s", typ, c.seen())
	return found
}

// ExpectText waits for message.created with a text.
func (c *Client) ExpectText(t testing.TB, text string) wire.Message {
	t.Helper()
	f := c.Expect(t, wire.MessageCreated, func(f Frame) bool {
		var m wire.Message
		return json.Unmarshal(f.Data, &m) == nil && m.Payload.Text == text
	})
	return Read[wire.Message](t, f)
}

// ExpectStatus waits for message.status of a message with a status.
func (c *Client) ExpectStatus(t testing.TB, messageID string, status omni.Status) wire.StatusChange {
	t.Helper()
	f := c.Expect(t, wire.MessageStatus, func(f Frame) bool {
		var s wire.StatusChange
		return json.Unmarshal(f.Data, &s) == nil && s.MessageID == messageID && s.Status == status
	})
	return Read[wire.StatusChange](t, f)
}

// Until waits until n events of a type have come, and returns all of them that there are.
func (c *Client) Until(t testing.TB, typ string, n int) []Frame {
	t.Helper()
	var got []Frame
	ok := c.wait(func() bool { got = c.events(typ); return len(got) >= n })
	require.True(t, ok, "there were %d of %d %s; %s", len(got), n, typ, c.seen())
	return got
}

func (c *Client) events(typ string) []Frame {
	var got []Frame
	for _, f := range c.frames {
		if f.Type == typ {
			got = append(got, f)
		}
	}
	return got
}

// Events lists the events of a type that have come.
func (c *Client) Events(typ string) []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events(typ)
}

// Positions is what to resume with.
func (c *Client) Positions() []wire.TopicPosition {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ps []wire.TopicPosition
	for _, p := range c.pos {
		ps = append(ps, p)
	}
	return ps
}

// Topic is the state of a topic as connect told it.
func (c *Client) Topic(t testing.TB, name string) wire.TopicState {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.Connected.Topics {
		if s.Topic == name {
			return s
		}
	}
	require.Fail(t, "topic is not granted", "%s is not in %v", name, c.Connected.Topics)
	return wire.TopicState{}
}

// Repeated is how many durable events came twice on this connection, and Gaps where one was left out.
func (c *Client) Repeated() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.repeated
}

// Gaps lists where an offset was left out.
func (c *Client) Gaps() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gaps
}

// Closed waits until the server has closed the connection, and returns the code and reason.
func (c *Client) Closed(t testing.TB) websocket.CloseError {
	t.Helper()
	c.wait(func() bool { return c.err != nil })
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	require.Error(t, err, "the connection is still open; %s", c.seen())
	var closed websocket.CloseError
	require.ErrorAs(t, err, &closed, "the connection ended without a close frame")
	return closed
}

// Open reports whether the connection has not ended.
func (c *Client) Open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// Cut drops the connection as a network does, without a word, and waits for the reader.
func (c *Client) Cut() {
	c.stop()
	_ = c.conn.CloseNow()
	<-c.done
}

// seen lists the frames for a failure's message.
func (c *Client) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d frames came (connection: %v):", len(c.frames), c.err)
	skip := max(0, len(c.frames)-60)
	for _, f := range c.frames[skip:] {
		fmt.Fprintf(&b, "\n  %s %s %d %.300s", f.Type, f.Topic, f.Offset, f.Data)
	}
	for id, f := range c.replies {
		if id > c.nextID-5 {
			fmt.Fprintf(&b, "\n  reply %d %s %.200s %+v", id, f.Type, f.Data, f.Error)
		}
	}
	return b.String()
}
