package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// Number is the desk's SMS number.
const Number = "+15005550006"

// Desk is a small team that works: two agents in a group with a Twilio number.
type Desk struct {
	*System

	Group   string
	Ana     *Agent
	Ben     *Agent
	Account *Account
	Channel string
}

// NewTeam sets a desk up in Alpha that has no account at any carrier.
func NewTeam(t testing.TB, s *System) *Desk {
	t.Helper()
	d := &Desk{System: s, Ana: s.Alpha.Agent(t, "Ana", omni.RoleAgent), Ben: s.Alpha.Agent(t, "Ben", omni.RoleAgent)}
	d.Group = s.Alpha.Group(t, "Support", d.Ana, d.Ben)
	return d
}

// NewDesk sets a desk up in Alpha.
func NewDesk(t testing.TB, s *System) *Desk {
	t.Helper()
	d := NewTeam(t, s)
	d.Account = s.Alpha.TwilioAccount(t, "Twilio")
	d.Channel = d.Account.Channel(t, omni.ChannelSMS, Number, d.Group)
	return d
}

// Topic is the hub topic of the desk's conversations.
func (d *Desk) Topic() string { return omni.GroupTopic(d.Group) }

// Phone makes the i-th phone number of a test.
func Phone(i int) string { return fmt.Sprintf("+1415555%04d", i) }

// Conversation brings in a first message from a new number and returns the conversation, as seen by client.
func (d *Desk) Conversation(t testing.TB, c *Client, from, text string) wire.Interaction {
	t.Helper()
	d.Account.Receive(t, from, Number, text)
	f := c.Expect(t, wire.InteractionCreated, func(f Frame) bool { return Read[wire.Interaction](t, f).ContactAddress == from })
	return Read[wire.Interaction](t, f)
}

// Send sends an answer by REST as the organisation's program.
func (o *Org) Send(t testing.TB, interactionID, text string) wire.Message {
	t.Helper()
	a := o.Call(t, http.MethodPost, "/api/v1/interactions/"+interactionID+"/messages",
		map[string]any{"clientId": NewClientID(), "payload": map[string]any{"text": text}})
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	var m wire.Message
	a.JSON(t, &m)
	return m
}

// allPartitions are those of inbox and outbox.
func allPartitions() []int {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

// Drained waits until the pipeline has nothing left to do that is due. Only of a system that runs inside the test.
func (s *System) Drained(t testing.TB) {
	t.Helper()
	Eventually(t, "inbox and outbox are empty", func() bool {
		const farAhead = omni.Millis(1) << 50
		in, err := s.App.Store().PendingInbox(t.Context(), allPartitions(), farAhead, 1)
		require.NoError(t, err)
		for range 2 { // one that moves up while the first look is at where it was is seen by the second
			out, err := s.App.Store().PendingOutbox(t.Context(), allPartitions(), farAhead, 1)
			require.NoError(t, err)
			if len(out) > 0 {
				return false
			}
		}
		return len(in) == 0
	})
}
