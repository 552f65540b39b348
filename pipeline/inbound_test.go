package pipeline_test

import (
	"fmt"
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

func TestInboundMessageReachesItsGroup(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	require.Equal(t, "hello", it.LastPreview)
	require.Equal(t, 1, it.Unread)
	require.Equal(t, omni.InteractionOwner{Type: omni.EntityGroup, ID: s.group.ID}, it.Owner)

	created := s.pub.of(wire.InteractionCreated)
	require.Len(t, created, 1)
	require.Equal(t, omni.GroupTopic(s.group.ID), created[0].topic)
	ev := s.pub.of(wire.MessageCreated)[0]
	require.Equal(t, omni.GroupTopic(s.group.ID), ev.topic)
	m := ev.data.(wire.Message)
	require.Equal(t, "hello", m.Payload.Text)
	require.EqualValues(t, 1, m.Seq)

	stored := s.message(m.ID)
	require.Equal(t, "in-1", stored.CarrierMessageID)
	var names []string
	for _, st := range stored.WorkflowSteps {
		names = append(names, st.Name)
		require.True(t, st.Result.Valid())
	}
	require.Equal(t, []string{"channel", "identity", "interaction"}, names)
	s.eventually(func() bool { return s.pendingInbox() == 0 }, "an empty inbox")
}

func (s *system) pendingInbox() int {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	rs, err := s.store.PendingInbox(s.t.Context(), all, omni.MillisOf(time.Now().Add(time.Hour)), 1)
	require.NoError(s.t, err)
	return len(rs)
}

func TestSec_W5_W6_R2_RedeliveredWebhookChangesNothing(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	var wg sync.WaitGroup
	for i := range 100 {
		for range 2 {
			wg.Go(func() { s.accept(inbound(fmt.Sprintf("dup-%d", i), "+14155550123", "again")) })
		}
	}
	wg.Wait()
	s.eventually(func() bool { return s.pendingInbox() == 0 }, "an empty inbox")
	require.Len(t, s.pub.of(wire.MessageCreated), 101)
	for i, m := range s.messages(it.ID) {
		require.Contains(t, []int64{int64(i + 1), int64(101 - i)}, m.Sequence)
	}
	require.Len(t, s.interactions(), 1)
}

func TestR4_TwoFirstMessagesMakeOneContactAndOneConversation(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	const contacts = 100
	var wg sync.WaitGroup
	for i := range contacts {
		for j := range 2 {
			wg.Go(func() { s.accept(inbound(fmt.Sprintf("m-%d-%d", i, j), fmt.Sprintf("+1415555%04d", i), "hi")) })
		}
	}
	wg.Wait()
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2*contacts }, "all messages")
	require.Len(t, s.interactions(), contacts)
	l, err := s.store.Contacts(t.Context(), s.tenant, store.Page{Limit: store.MaxPage})
	require.NoError(t, err)
	require.Len(t, l.Items, contacts)
}

func TestOneConversationStaysInOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for i := range 50 {
		s.accept(inbound(fmt.Sprintf("m-%d", i), "+14155550123", fmt.Sprint(i)))
	}
	s.run()
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 50 }, "all messages")
	for i, e := range s.pub.of(wire.MessageCreated) {
		require.Equal(t, fmt.Sprint(i), e.data.(wire.Message).Payload.Text)
	}
}

func TestSec_W7_UnknownNumberIsKeptAsideAndCanBeReplayed(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	e := inbound("in-1", "+14155550123", "hello")
	e.To = "+15005559999"
	s.accept(e)
	var aside []store.SetAside
	s.eventually(func() bool {
		l, err := s.store.ListAside(t.Context(), s.tenant, store.Page{})
		require.NoError(t, err)
		aside = l.Items
		return len(aside) == 1 && s.pendingInbox() == 0
	}, "a webhook set aside")
	require.Equal(t, store.SetAsideChannelNotFound, aside[0].Reason)
	require.InDelta(t, 7*24*time.Hour.Milliseconds(), int64(aside[0].ExpiresAt-aside[0].At), 1)
	require.Empty(t, s.pub.of(wire.MessageCreated))

	ch := s.sms
	ch.ID, ch.Address = omni.NewID(), e.To
	require.NoError(t, s.store.CreateChannel(t.Context(), s.tenant, ch))
	s.Forget("channel", ch.ID)
	_, err := s.store.ReplayAside(t.Context(), s.tenant, aside[0].Record.ID)
	require.NoError(t, err)
	s.Kick()
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the replayed message")
}

func TestSec_W9_UnknownEventsAreKeptAside(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	a, err := s.Account(t.Context(), s.account.PublicID)
	require.NoError(t, err)
	require.NoError(t, s.Accept(t.Context(), a, carriers.WebhookRequest{URL: "https://x/y"}, carriers.Parsed{
		Ignored: []carriers.Ignored{{Name: carriers.UnknownStatus, Value: "teleported"}},
		Events:  []omni.CarrierChannelEvent{{Kind: omni.EventReaction, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS, From: "+1", To: "+2"}},
	}))
	s.eventually(func() bool {
		l, err := s.store.ListAside(t.Context(), s.tenant, store.Page{})
		require.NoError(t, err)
		return len(l.Items) == 2 && l.Items[0].Reason == store.SetAsideUnknown && l.Items[1].Reason == store.SetAsideUnknown
	}, "two webhooks set aside")
}

func TestR15_PoisonIsSetAsideAndOthersGoOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	bad := inbound("poison", "+14155550999", "x")
	bad.Carrier = "Nobody" // fails each time
	s.accept(bad)
	s.accept(inbound("good", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the good message")
	s.eventually(func() bool {
		l, err := s.store.ListAside(t.Context(), s.tenant, store.Page{})
		require.NoError(t, err)
		return len(l.Items) == 1 && l.Items[0].Reason == store.SetAsidePoison && l.Items[0].Detail == "invalid"
	}, "the poison set aside")
	require.Zero(t, s.pendingInbox())
}

func TestConsentWords(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	optedOut := func() bool {
		id, err := s.store.Identity(t.Context(), s.tenant, it.IdentityID)
		require.NoError(t, err)
		return id.OptedOutAt > 0
	}
	s.accept(inbound("in-2", "+14155550123", " Stop. "))
	s.eventually(optedOut, "opted out")
	s.eventually(func() bool { return len(s.pub.of(wire.ConsentChanged)) == 1 }, "consent.changed")

	_, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}})
	require.ErrorIs(t, err, omni.ErrOptedOut)
	require.Empty(t, s.carrier.sends())

	s.accept(inbound("in-3", "+14155550123", "please stop sending this")) // a sentence is no command
	e := inbound("in-4", "+14155550123", "ok again")
	e.OptOut = "START"
	s.accept(e)
	s.eventually(func() bool { return !optedOut() }, "opted in")
	s.eventually(func() bool { return len(s.messages(it.ID)) == 4 }, "all messages are kept, commands too")
	s.send(s.ana, it.ID, "hi")
}

func fragmentOf(ref string, index int, text string) omni.CarrierChannelEvent {
	e := inbound(fmt.Sprintf("%s-%d", ref, index), "+14155550123", text)
	e.Fragment = &omni.MessageFragment{Reference: ref, Index: index, Total: 3}
	return e
}

func TestR24_FragmentsAreJoinedOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	s.accept(fragmentOf("77", 3, "three"))
	s.accept(fragmentOf("77", 1, "one "))
	s.accept(fragmentOf("77", 1, "one "))
	other := fragmentOf("77", 2, "OTHER")
	other.From = "+14155550999" // another sender with the same reference
	s.accept(other)
	require.Empty(t, s.pub.of(wire.MessageCreated))
	s.accept(fragmentOf("77", 2, "two "))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the whole text")
	require.Equal(t, "one two three", s.pub.of(wire.MessageCreated)[0].data.(wire.Message).Payload.Text)
	s.accept(fragmentOf("77", 2, "two "))
	s.accept(inbound("last", "+14155550123", "after"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "a later message")
	require.Equal(t, "after", s.pub.of(wire.MessageCreated)[1].data.(wire.Message).Payload.Text)
}

func TestR24_IncompleteTextIsShownAfterAMinute(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var shift time.Duration
	s := newSystem(t, func(o *pipeline.Options) {
		o.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(shift)
		}
	}).run()
	s.accept(fragmentOf("5", 1, "begin"))
	s.accept(fragmentOf("5", 3, "end"))
	s.eventually(func() bool {
		rs, err := s.store.PendingInbox(t.Context(), []int{store.InboxPartition(s.account.ID, "+14155550123")}, omni.MillisOf(time.Now()), 10)
		require.NoError(t, err)
		return len(rs) == 0 // both wait
	}, "both parts wait")
	require.Empty(t, s.pub.of(wire.MessageCreated))
	mu.Lock()
	shift = time.Minute + time.Second
	mu.Unlock()
	s.Kick()
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "what is there")
	require.Equal(t, "begin [part 2 of 3 is missing] end", s.pub.of(wire.MessageCreated)[0].data.(wire.Message).Payload.Text)
	s.eventually(func() bool { return s.pendingInbox() == 0 }, "an empty inbox")
	require.Len(t, s.pub.of(wire.MessageCreated), 1)
}

func TestResolvedConversationReopensWithinItsTime(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	_, err := s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	s.accept(inbound("in-2", "+14155550123", "one more thing"))
	s.eventually(func() bool { return len(s.pub.of(wire.InteractionReopened)) == 1 }, "reopened")
	s.eventually(func() bool { return len(s.messages(it.ID)) == 2 }, "in the same interaction")
}
