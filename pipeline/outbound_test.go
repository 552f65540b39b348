package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

func TestAnswerGoesOutAndItsStatusComesBack(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	m := s.send(s.ana, it.ID, "hi there")
	require.Equal(t, omni.StatusQueued, m.Status)
	require.Equal(t, 1, m.Segments)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	sent := s.carrier.sends()
	require.Len(t, sent, 1)
	require.Equal(t, "+14155550123", sent[0].Publish.Target.Address)
	require.Equal(t, "+15005550006", sent[0].Publish.Sender)

	s.accept(statusOf(m, omni.StatusDelivered), statusOf(m, omni.StatusSent), statusOf(m, omni.StatusDelivered))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageStatus)) == 2 }, "delivered")
	var seen []omni.Status
	for _, e := range s.pub.of(wire.MessageStatus) {
		seen = append(seen, e.data.(wire.StatusChange).Status)
	}
	require.Equal(t, []omni.Status{omni.StatusSent, omni.StatusDelivered}, seen)
	require.Zero(t, func() int64 { i, _ := s.store.Interaction(t.Context(), s.tenant, it.ID); return int64(i.WaitingSince) }())
}

func TestSameClientIDIsTheSameMessage(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	c := wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "once"}}
	var wg sync.WaitGroup
	ids := make([]string, 20)
	for i := range ids {
		wg.Go(func() {
			m, _, err := s.Send(t.Context(), s.ana, c)
			if err == nil {
				ids[i] = m.ID
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	s.eventually(func() bool { return s.message(ids[0]).Status == omni.StatusSent }, "sent")
	require.Len(t, s.carrier.sends(), 1)
}

func TestStatusBeforeTheSendsOwnAnswer(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.onSend = func(_ context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
		s.accept(statusOf(m, omni.StatusDelivered))
		s.eventually(func() bool { return s.pendingInbox() == 0 }, "the status is worked off first")
		return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
	}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusDelivered }, "delivered")
}

func TestStatusByOurOwnIDSettlesAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.answers = []error{&carriers.SendError{Reason: omni.ReasonUnknown, Err: errors.New("no answer")}}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusUnknown }, "unknown")
	require.Len(t, s.carrier.sends(), 1, "never sent again by itself")

	e := statusOf(m, omni.StatusDelivered)
	e.CarrierMessageID, e.ClientReference = "SM-new", m.ID
	s.accept(e)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusDelivered }, "delivered")
}

func TestRetryKeepsTheOrderOfARecipient(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.answers = []error{
		&carriers.SendError{Reason: omni.ReasonThrottled},
		&carriers.SendError{Reason: omni.ReasonUnreachable},
	}
	var want []string
	for i := range 5 {
		want = append(want, s.send(s.ana, it.ID, fmt.Sprint(i)).ID)
	}
	s.eventually(func() bool { return s.message(want[4]).Status == omni.StatusSent }, "all sent")
	var got []string
	for _, m := range s.carrier.sends() {
		if len(got) == 0 || got[len(got)-1] != m.ID {
			got = append(got, m.ID)
		}
	}
	require.Equal(t, want, got)
	require.Len(t, s.carrier.sends(), 7)
}

func TestWhatDoesNotHelpSoonIsGivenUp(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.answers = []error{
		&carriers.SendError{Reason: omni.ReasonUnreachable, Code: "131000", Tries: 3},
		&carriers.SendError{Reason: omni.ReasonThrottled},
		&carriers.SendError{Reason: omni.ReasonUnreachable, Code: "131000", Tries: 3},
	}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "given up")
	require.Len(t, s.carrier.sends(), 3)
	require.Equal(t, "131000", s.message(m.ID).ErrorCode)
	_, err := s.Retry(t.Context(), s.ana, wire.RetryMessage{MessageID: m.ID})
	require.NoError(t, err, "a person may try again")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
}

func TestR16_RetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	var mu sync.Mutex
	var at []time.Time
	s.carrier.onSend = func(_ context.Context, m omni.ServiceMessage, n int) (carriers.SendResult, error) {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		if n == 0 {
			return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonThrottled, RetryAfter: 1}
		}
		return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
	}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, at, 2)
	require.GreaterOrEqual(t, at[1].Sub(at[0]), time.Second)
}

func TestR21_OptOutFromTheCarrierIsFinalAndRemembered(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.answers = []error{&carriers.SendError{Reason: omni.ReasonOptedOut, Code: "21610"}}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "failed")
	s.eventually(func() bool { return len(s.pub.of(wire.ConsentChanged)) == 1 }, "consent.changed")
	require.Len(t, s.carrier.sends(), 1)
	st := s.pub.of(wire.MessageStatus)[0].data.(wire.StatusChange)
	require.Equal(t, "21610", st.ErrorCode)
	require.Contains(t, st.ErrorText, "START")
	_, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "again"}})
	require.ErrorIs(t, err, omni.ErrOptedOut)
}

func TestR20_InterruptedSendIsNeverRepeatedBlindly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	// A message that a node began to send before it was killed.
	s.run()
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	s.stop()
	it := s.interactions()[0]
	m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}})
	require.NoError(t, err)
	require.NoError(t, s.store.MarkSending(t.Context(), s.tenant, m.ID, omni.MillisOf(time.Now())))

	p, err := pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	s.Pipeline = p
	s.run()
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusUnknown }, "shown as unknown")
	require.Empty(t, s.carrier.sends())
}

func TestSec_W12_R23_ForeignStatusChangesNothing(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	channel := s.sms // another number of the same account
	channel.ID, channel.Address = omni.NewID(), "+15005550007"
	require.NoError(t, s.store.CreateChannel(t.Context(), s.tenant, channel))
	account := *s // another account of the same organisation, with a number of its own
	account.account.ID, account.account.PublicID = omni.NewID(), omni.NewToken(16)
	require.NoError(t, s.store.CreateCarrierAccount(t.Context(), s.tenant, account.account))
	channel.ID, channel.Address, channel.CarrierAccountID = omni.NewID(), "+15005550008", account.account.ID
	require.NoError(t, s.store.CreateChannel(t.Context(), s.tenant, channel))
	other := newSystem(t).run() // another organisation

	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	first := s.messages(it.ID)[0]
	if first.ID == m.ID {
		first = s.messages(it.ID)[1]
	}
	for name, c := range map[string]struct {
		by     *system
		change func(e *omni.CarrierChannelEvent)
	}{
		"of another organisation, by our id":       {other, func(e *omni.CarrierChannelEvent) { e.ClientReference = m.ID }},
		"of another organisation":                  {other, func(*omni.CarrierChannelEvent) {}},
		"of another account, by our id":            {&account, func(e *omni.CarrierChannelEvent) { e.ClientReference, e.From = m.ID, "+15005550008" }},
		"of another account":                       {&account, func(e *omni.CarrierChannelEvent) { e.From = "+15005550008" }},
		"of another account that names our number": {&account, func(e *omni.CarrierChannelEvent) { e.ClientReference = m.ID }},
		"of another account that names no number":  {&account, func(e *omni.CarrierChannelEvent) { e.From = "" }},
		"of another number":                        {s, func(e *omni.CarrierChannelEvent) { e.From = "+15005550007" }},
		"of a number that is not ours":             {s, func(e *omni.CarrierChannelEvent) { e.From = "+15005559999" }},
		"by our id, with another carrier's id":     {s, func(e *omni.CarrierChannelEvent) { e.ClientReference, e.CarrierMessageID = m.ID, "out-other" }},
		"of no message":                            {s, func(e *omni.CarrierChannelEvent) { e.CarrierMessageID = "out-unknown" }},
		"of a message that came in":                {s, func(e *omni.CarrierChannelEvent) { e.CarrierMessageID = first.CarrierMessageID }},
		"of a message that came in, by our id": {s, func(e *omni.CarrierChannelEvent) {
			e.ClientReference, e.CarrierMessageID = first.ID, first.CarrierMessageID
		}},
		"of what came before": {s, func(e *omni.CarrierChannelEvent) { e.Status = omni.StatusQueued }},
	} {
		e := statusOf(m, omni.StatusRead)
		c.change(&e)
		c.by.accept(e)
		for _, each := range []*system{s, other} {
			each.eventually(func() bool { return each.pendingInbox() == 0 }, "worked off")
		}
		require.Equal(t, omni.StatusSent, s.message(m.ID).Status, name)
		require.Equal(t, first, s.message(first.ID), name)
		require.Len(t, s.pub.of(wire.MessageStatus), 1, name)
	}
	s.accept(statusOf(m, omni.StatusRead))
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusRead }, "its own status")
	s.accept(statusOf(m, omni.StatusDelivered))
	s.eventually(func() bool { return s.pendingInbox() == 0 }, "worked off")
	require.Equal(t, omni.StatusRead, s.message(m.ID).Status, "only forward")
}

func TestSendSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	ok := wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}}
	for name, c := range map[string]struct {
		change func(*wire.SendMessage)
		field  string
		kind   error
	}{
		"no client id":        {func(c *wire.SendMessage) { c.ClientID = "1" }, "clientId", omni.ErrInvalid},
		"no text":             {func(c *wire.SendMessage) { c.Payload.Text = " \n" }, "payload.text", omni.ErrInvalid},
		"NUL":                 {func(c *wire.SendMessage) { c.Payload.Text = "a\x00b" }, "payload.text", omni.ErrInvalid},
		"not UTF-8":           {func(c *wire.SendMessage) { c.Payload.Text = "\xff" }, "payload.text", omni.ErrInvalid},
		"too long":            {func(c *wire.SendMessage) { c.Payload.Text = fmt.Sprintf("%01601d", 0) }, "payload.text", omni.ErrInvalid},
		"reply to nothing":    {func(c *wire.SendMessage) { c.ReplyTo = omni.NewID() }, "replyTo", omni.ErrInvalid},
		"nobody":              {func(c *wire.SendMessage) { c.InteractionID = "" }, "interactionId", omni.ErrInvalid},
		"unknown interaction": {func(c *wire.SendMessage) { c.InteractionID = omni.NewID() }, "", omni.ErrNotFound},
		"not an id":           {func(c *wire.SendMessage) { c.InteractionID = `{"$ne":null}` }, "", omni.ErrNotFound},
		"unknown channel": {func(c *wire.SendMessage) {
			c.InteractionID, c.ChannelID, c.To = "", omni.NewID(), "+14155550100"
		}, "", omni.ErrNotFound},
		"not a number":   {func(c *wire.SendMessage) { c.InteractionID, c.ChannelID, c.To = "", s.sms.ID, "hello" }, "to", omni.ErrInvalid},
		"LiveChat first": {func(c *wire.SendMessage) { c.InteractionID, c.ChannelID, c.To = "", s.chat.ID, "x" }, "channelId", omni.ErrInvalid},
	} {
		c2 := ok
		c.change(&c2)
		_, _, err := s.Send(t.Context(), s.ana, c2)
		require.ErrorIs(t, err, c.kind, name)
		require.Equal(t, c.field, problemField(err), name)
	}
	_, _, err := s.Send(t.Context(), s.outsider, ok)
	require.ErrorIs(t, err, omni.ErrNotFound, "an agent outside the group does not see the conversation")
	require.Empty(t, s.carrier.sends())
}

func TestATextIsAsLongAsItsChannelTakes(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	send := func(text string) error {
		_, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text}})
		return err
	}
	parts := omni.Capabilities{MaxTextLength: 1377, Segmented: true, MaxSegments: 9}
	octets := omni.Capabilities{MaxTextLength: 20, MaxTextBytes: 20}
	for _, c := range []struct {
		able omni.Capabilities
		text string
		fits bool
	}{
		{parts, strings.Repeat("a", 1377), true},
		{parts, strings.Repeat("a", 1378), false},
		{parts, strings.Repeat("я", 603), true},
		{parts, strings.Repeat("я", 604), false},
		{omni.Capabilities{MaxTextLength: 1377, Segmented: true}, strings.Repeat("я", 1377), true},
		{octets, strings.Repeat("a", 20), true},
		{octets, strings.Repeat("я", 10), true},
		{octets, strings.Repeat("я", 11), false},
		{octets, strings.Repeat("👍", 6), false},
	} {
		s.able(c.able)
		err := send(c.text)
		if c.fits {
			require.NoError(t, err, c.text)
			continue
		}
		require.ErrorIs(t, err, omni.ErrInvalid, c.text)
		require.Equal(t, "payload.text", problemField(err))
	}
}

func TestFirstWordToSomebody(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	m, created, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: "(415) 555-0123", ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}})
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, "+14155550123", m.To.Address)
	require.Len(t, s.pub.of(wire.InteractionCreated), 1)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	s.accept(inbound("in-1", "+14155550123", "who is this?"))
	s.eventually(func() bool { return len(s.messages(m.InteractionID)) == 2 }, "the answer in the same conversation")
}

func TestWindowClosed(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	s.sms.Capabilities.WindowHours = 24
	var err error
	s.sms, err = s.store.UpdateChannel(t.Context(), s.tenant, s.sms)
	require.NoError(t, err)
	s.Forget("channel", s.sms.ID)
	_, _, err = s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: "+14155550123", ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}})
	require.ErrorIs(t, err, omni.ErrWindowClosed)
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "inbound opens the window")
	s.send(s.ana, s.interactions()[0].ID, "hi")
}

func TestDeadAccountDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	block := make(chan struct{})
	s.carrier.onSend = func(ctx context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
		if m.To.Address == "+14155550123" {
			select {
			case <-block:
			case <-ctx.Done():
			}
		}
		return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
	}
	slow := s.send(s.ana, it.ID, "slow")
	var others []omni.ServiceMessage
	for i := range 20 {
		to := fmt.Sprintf("+1415555%04d", 200+i)
		if store.OutboxPartition(omni.ServiceMessage{Channel: omni.ReceivedChannel{DigitalChannelID: s.sms.ID}, To: omni.Identity{Address: to}})%16 ==
			store.OutboxPartition(slow)%16 {
			continue // shares the worker; it waits
		}
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: to, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "fast"}})
		require.NoError(t, err)
		others = append(others, m)
	}
	for _, m := range others {
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "the others are sent")
	}
	close(block)
	s.eventually(func() bool { return s.message(slow.ID).Status == omni.StatusSent }, "the slow one too")
}
