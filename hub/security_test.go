package hub_test

import (
	"bytes"
	"compress/flate"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// A client hears what the server grants it. What it names itself, in resume, gives it nothing; and a Handler that
// grants another's topic by mistake is not obeyed.
func TestSec_S4_TopicsAreTheServersToGive(t *testing.T) {
	t.Parallel()
	foreign := []string{"org/o2", "user/ben", "visitor/v1", "group/g2", "interaction/i2", "control"}
	n := newNode(t, hub.Options{}, desk{handle: func(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
		topic := strings.Trim(string(cmd.Data), `"`)
		if cmd.Type == "join" {
			return nil, c.Join(ctx, topic)
		}
		return nil, c.Grant(ctx, topic)
	}})
	var resume []wire.TopicPosition
	for _, topic := range foreign[:5] {
		pos, err := n.Publish(t.Context(), topic, "x", count{1})
		require.NoError(t, err)
		resume = append(resume, wire.TopicPosition{Topic: topic, Epoch: pos.Epoch})
	}
	c, in := n.connect(t, agent("ana", "org/o1"), resume...)
	require.Len(t, in.Topics, 1)
	require.Equal(t, "org/o1", in.Topics[0].Topic)

	for _, topic := range []string{"org/o2", "user/ben", "visitor/v1", "control", "", "org/", "/o1"} {
		for _, how := range []string{"join", "grant"} {
			c.send(how, topic)
			f := c.next()
			require.Equal(t, "error", f.Type, "%s %s", how, topic)
			require.Equal(t, omni.CodeForbidden, f.Error.Code, "%s %s", how, topic)
		}
	}
	for _, topic := range foreign[:5] {
		_, err := n.Publish(t.Context(), topic, "x", count{2})
		require.NoError(t, err)
	}
	_, err := n.Publish(t.Context(), "org/o1", "mine", count{3})
	require.NoError(t, err)
	require.Equal(t, "mine", c.next().Type, "nothing of another's came before")
}

// The limits that hold unless somebody sets others.
func TestSec_S5_Limits(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	for _, tc := range []struct {
		who   hub.Principal
		limit int
	}{
		{agent("ana"), 20},
		{hub.Principal{OrgID: "o1", SessionID: "k1", Role: omni.RoleService}, 20},
		{hub.Principal{OrgID: "o1", VisitorID: "v1", Role: omni.RoleVisitor}, 5},
	} {
		for range tc.limit {
			n.connect(t, tc.who)
		}
		c := n.dial(t)
		c.send(wire.CmdConnect, wire.Connect{Ticket: ticket(tc.who)})
		require.Equal(t, omni.CodeRateLimited, c.next().Error.Code)
		code, _ := c.closed()
		require.Equal(t, hub.ClosePolicy, code)
	}
	status := func() int {
		ws, resp, err := websocket.Dial(t.Context(), n.srv.URL, &websocket.DialOptions{
			Subprotocols: []string{wire.Subprotocol}, HTTPHeader: http.Header{"Origin": {site}, "X-Test-Address": {"192.0.2.1"}},
		})
		if err == nil {
			t.Cleanup(func() { _ = ws.CloseNow() })
		}
		require.NotNil(t, resp)
		return resp.StatusCode
	}
	for range 200 {
		require.Equal(t, http.StatusSwitchingProtocols, status())
	}
	require.Equal(t, http.StatusServiceUnavailable, status(), "the 201st of an address, logged in or not")
}

// 40 messages at once, then 20 a second.
func TestSec_S5_MessagesASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana")) // its connect is the first of the 40
		hello := masked(text, []byte(`{"id":2,"type":"x"}`))
		for range 39 {
			c.send(t, hello)
		}
		after(time.Second)
		for range 20 {
			c.send(t, hello)
		}
		synctest.Wait()
		_, _, code := c.seen()
		require.Zero(t, code)
		c.send(t, hello)
		synctest.Wait()
		_, _, code = c.seen()
		require.Equal(t, hub.ClosePolicy, code)
		c.stop(t, bus)
	})
}

// A write that nobody reads ends the connection after 10 s.
func TestSec_S5_WritesHaveADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		h, err := hub.New(bus, hub.Options{})
		require.NoError(t, err)
		require.NoError(t, h.Start(t.Context()))
		deaf := dialPipe(t, h, desk{})
		deaf.send(t, connectFrame(agent("deaf"))) // the answer is the write
		after(9 * time.Second)
		require.Equal(t, 1, h.Stats().Connections)
		after(2 * time.Second)
		require.Zero(t, h.Stats().Connections)
		require.NoError(t, h.Shutdown(t.Context()))
		require.NoError(t, bus.Close())
	})
}

// Compression is not agreed on, however it is asked for, and a compressed frame is against the protocol: what would
// inflate to 64 MiB is never inflated.
func TestSec_S6_X7_CompressionIsOff(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 64<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	require.LessOrEqual(t, bomb.Len(), 66<<10)
	for _, offer := range []string{
		"permessage-deflate",
		"permessage-deflate; client_max_window_bits",
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		"x-webkit-deflate-frame",
		"permessage-deflate; client_max_window_bits=8, permessage-deflate",
	} {
		r := n.dialRaw(t, "Sec-WebSocket-Extensions: "+offer) // sees to it that the answer has none
		r.send(t, connectFrame(agent("ana-"+offer)))
		_, _, err := r.frame()
		require.NoError(t, err)
		r.send(t, masked(text|0x40, bomb.Bytes()[:60<<10]))
		code, _, _ := r.closed(t)
		require.Equal(t, hub.CloseProtocol, code, offer)
	}
}
