package pipeline_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// clocked notes when each message was sent.
type clocked struct {
	mu sync.Mutex
	to []string
	at []time.Time
}

func (c *clocked) send(_ context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to, c.at = append(c.to, m.To.Address+" "+m.Payload.TextBody()), append(c.at, time.Now())
	return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
}

func (s *system) sendTo(to, text string) omni.ServiceMessage {
	s.t.Helper()
	m, _, err := s.Send(s.t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: to, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text}})
	require.NoError(s.t, err)
	return m
}

func TestASenderSendsAtItsCarriersPace(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const burst, all = 3, 15
	s.carrier.pace = carriers.Pace{PerSecond: 20, Burst: burst}
	var c clocked
	s.carrier.onSend = c.send
	s.run()
	s.eventually(func() bool { return s.Leases() == 16 }, "all leases are this node's")
	began := time.Now()
	var ms []omni.ServiceMessage
	for i := range all {
		ms = append(ms, s.sendTo(fmt.Sprintf("+1415555%04d", i), "hi"))
	}
	for _, m := range ms {
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "all sent")
		require.Zero(t, s.message(m.ID).Attempts())
		require.Len(t, s.message(m.ID).StatusHistory, 1, "a message that waits for its turn has not failed")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.at, all)
	for i, at := range c.at {
		require.GreaterOrEqual(t, at.Sub(began), time.Duration(i+1-burst)*50*time.Millisecond, i)
	}
	require.Less(t, c.at[all-1].Sub(began), 5*time.Second)
}

func TestARecipientWhoHasToBeLeftAloneHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const every = 700 * time.Millisecond
	s.carrier.pace = carriers.Pace{PerSecond: 1000, PairEvery: every, PairBurst: 2}
	var c clocked
	s.carrier.onSend = c.send
	s.run()
	s.eventually(func() bool { return s.Leases() == 16 }, "all leases are this node's")
	var last omni.ServiceMessage
	for i := range 4 {
		last = s.sendTo("+14155550123", fmt.Sprint(i))
	}
	other := s.sendTo("+14155550999", "other")
	s.eventually(func() bool { return s.message(other.ID).Status == omni.StatusSent }, "the other one is sent")
	s.eventually(func() bool { return s.message(last.ID).Status == omni.StatusSent }, "all are sent")
	c.mu.Lock()
	defer c.mu.Unlock()
	at := map[string]time.Time{}
	var order []string
	for i, to := range c.to {
		at[to] = c.at[i]
		if to != "+14155550999 other" {
			order = append(order, to)
		}
	}
	require.Equal(t, []string{"+14155550123 0", "+14155550123 1", "+14155550123 2", "+14155550123 3"}, order)
	require.Less(t, at["+14155550123 1"].Sub(at["+14155550123 0"]), every, "two at once")
	// Turns are every apart; a busy machine sends some later than their turn.
	require.GreaterOrEqual(t, at["+14155550123 2"].Sub(at["+14155550123 0"]), every/2)
	require.GreaterOrEqual(t, at["+14155550123 3"].Sub(at["+14155550123 0"]), 2*every-every/2)
	require.True(t, at["+14155550999 other"].Before(at["+14155550123 2"]))
}
