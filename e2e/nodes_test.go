package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/hub"
	"omniservice/internal/testenv"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// received counts what an agent's socket got.
func received(t *testing.T, c *Client) map[string]int {
	got := map[string]int{}
	for _, f := range c.Events(wire.MessageCreated) {
		got[Read[wire.Message](t, f).Payload.Text]++
	}
	return got
}

// Whatever arrives at one node reaches agents on all, once and in order.
func TestNodesAreOne(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL()}))
	nodes := []*System{d.System, d.Node(t), d.Node(t)}
	var sockets []*Client
	for _, n := range nodes {
		sockets = append(sockets, d.Ana.On(n).Connect(t))
	}
	const messages = 150
	each(messages, 6, func(i int) { d.Account.On(nodes[i%3]).Receive(t, Phone(i%10), Number, fmt.Sprintf("message %d", i)) })
	begin := time.Now()
	for _, c := range sockets {
		c.Until(t, wire.MessageCreated, messages)
	}
	t.Logf("the last of %d messages was everywhere %v after it was posted", messages, time.Since(begin).Round(time.Millisecond))
	for _, c := range sockets {
		got := received(t, c)
		require.Len(t, got, messages)
		require.Empty(t, c.Gaps())
		require.Zero(t, c.Repeated())
	}

	// An agent answers at one node; what becomes of it is seen at another.
	conversation := Read[wire.Interaction](t, sockets[0].Events(wire.InteractionCreated)[0])
	sent := d.Alpha.On(nodes[2]).Send(t, conversation.ID, "answer")
	sockets[1].ExpectText(t, "answer")
	status, err := d.Twilio.Await(t, 1).Report("delivered")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	sockets[1].ExpectStatus(t, sent.ID, omni.StatusDelivered)
	sockets[1].Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: conversation.ID}, nil)
	sockets[2].Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: conversation.ID}, nil)
	sockets[2].Must(t, wire.CmdTyping, wire.TypingCommand{InteractionID: conversation.ID}, nil)
	sockets[1].Expect(t, wire.TypingEvent, func(Frame) bool { return true })

	// A ticket of one node opens a socket at another, and works once for all.
	var ticket struct{ Ticket string }
	d.Ben.On(nodes[0]).Call(t, http.MethodPost, "/api/v1/realtime/tickets", nil).JSON(t, &ticket)
	ben := nodes[1].Dial(t, Dialing{Connect: wire.Connect{Ticket: ticket.Ticket, Client: "e2e/1"}})
	again, _, err := nodes[2].Open(t, Dialing{})
	require.NoError(t, err)
	require.Equal(t, omni.CodeUnauthenticated, again.Do(t, wire.CmdConnect, wire.Connect{Ticket: ticket.Ticket}).Error.Code)

	// A logout at one node closes the socket at another.
	d.Ben.On(nodes[2]).Call(t, http.MethodPost, "/api/v1/auth/logout", map[string]any{})
	require.EqualValues(t, 4401, ben.Closed(t).Code)

	// A node that stops takes nothing with it.
	nodes[2].Stop(t)
	each(30, 4, func(i int) { d.Account.On(nodes[i%2]).Receive(t, Phone(i%10), Number, fmt.Sprintf("later %d", i)) })
	for _, c := range sockets[:2] {
		c.Until(t, wire.MessageCreated, messages+1+30)
		require.Empty(t, c.Gaps())
		require.Zero(t, c.Repeated())
	}
}

// R10: while Redis answers nothing webhooks go on and sockets stay. After its return agents get it all, on every node.
func TestR10_RedisPaused(t *testing.T) {
	t.Parallel()
	const messages = 60
	sockets, every := socketsFor(t, 20), 50*time.Millisecond
	if sockets > 20 { // as the row wants it: 30 s
		every = 500 * time.Millisecond
	}
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL(), Limits: unlimited, Hub: hub.Options{PerUser: sockets, PerAddress: sockets}}))
	nodes := []*System{d.System, d.Node(t)}
	agents := make([]*Client, sockets)
	each(sockets, 16, func(i int) { agents[i] = []*Agent{d.Ana, d.Ben}[i%2].On(nodes[i/2%2]).Connect(t) })
	receive := func(what string) (took []time.Duration) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := range messages {
			begin := time.Now()
			d.Account.On(nodes[i%2]).Receive(t, Phone(i%5), Number, fmt.Sprintf("%s %d", what, i))
			took = append(took, time.Since(begin))
			<-tick.C
		}
		return took
	}
	before := receive("before")
	for _, c := range agents {
		c.Until(t, wire.MessageCreated, messages)
	}

	redis.Pause()
	during := receive("meanwhile")
	Eventually(t, "readiness names the bus", func() bool { return strings.Contains(ready(t, d.System), `"bus":"away"`) })
	require.Contains(t, ready(t, d.System), `"status":"degraded"`)
	redis.Resume()
	begin := time.Now()
	for _, c := range agents {
		c.Until(t, wire.MessageCreated, 2*messages)
	}
	took := time.Since(begin)
	for _, c := range agents {
		require.Len(t, received(t, c), 2*messages)
		require.Empty(t, c.Gaps())
		require.True(t, c.Open(), "sockets stay")
	}
	t.Logf("R10: Redis away for %v, %d sockets on 2 nodes: %d webhooks taken, p99 %v (with Redis %v); all there %v after its return, missed 0",
		(messages * every).Round(time.Second), sockets, messages, p99(during).Round(100*time.Microsecond), p99(before).Round(100*time.Microsecond),
		took.Round(time.Millisecond))
	// Twice as long as with Redis is the goal, on a machine that does nothing else.
	require.Less(t, p99(during), 2*p99(before)+500*time.Millisecond)
	if !Raced {
		require.Less(t, took, 2*time.Second)
	}
	Eventually(t, "readiness", func() bool { return strings.Contains(ready(t, d.System), `"status":"ok"`) })
}

func ready(t *testing.T, s *System) string {
	r, err := s.HTTP().Get(s.OpsURL + "/readyz") //nolint:noctx // the client has a timeout
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Body.Close()) }()
	require.Equal(t, http.StatusOK, r.StatusCode)
	b := make([]byte, 512)
	n, _ := r.Body.Read(b)
	return string(b[:n])
}

// R11: Redis forgets everything. Clients are told to read again and miss nothing; what was delivered twice by a carrier
// is still refused.
func TestR11_RedisForgets(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(r *testenv.Redis){
		"flushed":   func(r *testenv.Redis) { r.Do("FLUSHALL") },
		"restarted": func(r *testenv.Redis) { r.Kill(); r.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := testenv.StartRedis(t)
			d := NewDesk(t, Start(t, Options{RedisURL: redis.URL()}))
			other := d.Node(t)
			ana := d.Ana.On(other).Connect(t)
			sid := d.Account.Receive(t, Phone(0), Number, "before")
			ana.ExpectText(t, "before")
			positions := ana.Positions()
			lose(redis)
			d.Account.Receive(t, Phone(0), Number, "after")
			status, err := d.Account.Post(d.Account.SMS(sid, Phone(0), Number, "before"))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.EqualValues(t, 4000, ana.Closed(t).Code)

			var again *Client
			Eventually(t, "the socket opens again", func() bool {
				c, _, err := other.Open(t, Dialing{})
				if err != nil {
					return false
				}
				f := c.Do(t, wire.CmdConnect, wire.Connect{Token: d.Ana.Token, Client: "e2e/1", Resume: positions})
				again = c
				return f.Type == "ok"
			})
			require.Equal(t, wire.Reset, again.Topic(t, d.Topic()).State)
			seen := Refetch(t, d.Ana.On(other))
			if seen.Texts["after"] == 0 { // taken, and worked on a moment later: then it is told
				again.ExpectText(t, "after")
				seen = Refetch(t, d.Ana.On(other))
			}
			require.Equal(t, map[string]int{"before": 1, "after": 1}, seen.Texts)
			d.Account.Receive(t, Phone(0), Number, "last")
			again.ExpectText(t, "last")
			require.Empty(t, again.Gaps())
		})
	}
}
