package pipeline_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

// addGroup adds a group: private if it has a user, else shared by members.
func (s *system) addGroup(name, userID string, members ...string) omni.DigitalChannelGroup {
	s.t.Helper()
	g := s.group
	g.ID, g.Name, g.UserID, g.MemberIDs = omni.NewID(), name, userID, members
	if userID != "" {
		g.Type = omni.GroupPrivate
	}
	require.NoError(s.t, s.store.CreateGroup(s.t.Context(), s.tenant, g))
	s.Forget("group", g.ID)
	return g
}

func (s *system) addLabel(name string) string {
	s.t.Helper()
	l := omni.Label{ID: omni.NewID(), Tenant: s.tenant, Name: name, Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema}
	require.NoError(s.t, s.store.Labels().Create(s.t.Context(), s.tenant, l))
	return l.ID
}

func (s *system) now(id string) omni.Interaction {
	s.t.Helper()
	i, err := s.store.Interaction(s.t.Context(), s.tenant, id)
	require.NoError(s.t, err)
	return i
}

func TestMoveTellsBothHomes(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	own := s.addGroup("Ana's own", s.ana.Tenant.UserID)
	bens := s.addGroup("Ben's own", s.ben.Tenant.UserID)
	it, err := s.Claim(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)

	to := func(group string) wire.MoveInteraction {
		return wire.MoveInteraction{InteractionID: it.ID, Version: it.Version, GroupID: group}
	}
	for _, group := range []string{bens.ID, omni.NewID(), "", "x"} {
		_, err = s.Move(t.Context(), s.ana, to(group))
		require.Equal(t, "groupId", problemField(err), "a group that she does not see")
	}
	_, err = s.Move(t.Context(), s.ben, to(bens.ID))
	require.ErrorIs(t, err, omni.ErrForbidden, "it is Ana's")
	_, err = s.Move(t.Context(), s.outsider, to(own.ID))
	require.ErrorIs(t, err, omni.ErrNotFound)
	same, err := s.Move(t.Context(), s.ana, to(s.group.ID))
	require.NoError(t, err)
	require.Equal(t, it, same, "it is there")

	moved, err := s.Move(t.Context(), s.ana, to(own.ID))
	require.NoError(t, err)
	require.Equal(t, own.ID, moved.GroupID)
	require.Equal(t, omni.InteractionOwner{Type: omni.EntityGroup, ID: own.ID}, moved.Owner)
	events := s.pub.of(wire.InteractionMoved)
	require.Len(t, events, 2)
	topics := []string{events[0].topic, events[1].topic}
	require.ElementsMatch(t, []string{omni.UserTopic(s.ana.Tenant.UserID), omni.GroupTopic(s.group.ID)}, topics)
	for _, e := range events {
		change := e.data.(wire.InteractionChange)
		require.Equal(t, own.ID, *change.GroupID)
		require.Equal(t, moved.Version, change.Version)
		require.Equal(t, s.ana.Tenant.UserID, change.By)
		require.Nil(t, change.State)
	}
	_, err = s.Interaction(t.Context(), s.ben, it.ID)
	require.ErrorIs(t, err, omni.ErrNotFound, "it is hers alone now")
	s.accept(inbound("in-2", it.ContactAddress, "are you there?"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "the second message")
	require.Equal(t, omni.UserTopic(s.ana.Tenant.UserID), s.pub.of(wire.MessageCreated)[1].topic)

	// Ben sees the channel, and still does not write into what is Ana's.
	_, _, err = s.Send(t.Context(), s.ben, wire.SendMessage{
		ChannelID: s.sms.ID, To: it.ContactAddress, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"},
	})
	require.ErrorIs(t, err, omni.ErrForbidden)
	require.Len(t, s.messages(it.ID), 2)
}

func TestAVisitorGoesOnWhereTheirConversationWasMovedTo(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	own := s.addGroup("Ana's own", s.ana.Tenant.UserID)
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	m, _, err := s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}})
	require.NoError(t, err)
	_, err = s.Move(t.Context(), s.ana, wire.MoveInteraction{InteractionID: m.InteractionID, Version: 1, GroupID: own.ID})
	require.NoError(t, err)
	it, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, m.InteractionID, it.ID)
	for _, e := range s.pub.of(wire.InteractionMoved) {
		require.NotEqual(t, omni.VisitorTopic(v.ID), e.topic, "whose it is does not concern them")
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	vip, spam := s.addLabel("VIP"), s.addLabel("Spam")
	label := func(a pipeline.Actor, version int64, ids ...string) (omni.Interaction, error) {
		return s.Label(t.Context(), a, wire.LabelInteraction{InteractionID: it.ID, Version: version, LabelIDs: ids})
	}
	_, err := label(s.ana, it.Version, vip, omni.NewID())
	require.Equal(t, "labelIds", problemField(err))
	_, err = label(s.ana, it.Version, "$ne")
	require.Equal(t, "labelIds", problemField(err))
	_, err = label(s.outsider, it.Version, vip)
	require.ErrorIs(t, err, omni.ErrNotFound)
	after, err := label(s.ana, it.Version, vip, spam, vip)
	require.NoError(t, err)
	require.Equal(t, []string{vip, spam}, after.LabelIDs)
	_, err = label(s.ben, it.Version, spam)
	require.ErrorIs(t, err, omni.ErrConflict)
	var p *omni.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, "ana changed this conversation in the meantime", p.Message)
	require.Equal(t, s.ana.Tenant.UserID, p.Details["by"].(map[string]string)["id"])

	require.NoError(t, s.store.Labels().Delete(t.Context(), s.tenant, spam))
	_, err = label(s.ben, after.Version, spam, vip)
	require.NoError(t, err, "what it has it may keep")
	after, err = label(s.ben, after.Version+1)
	require.NoError(t, err)
	require.Empty(t, after.LabelIDs)
	events := s.pub.of(wire.InteractionUpdated)
	require.Len(t, events, 3)
	require.Equal(t, []string{vip, spam}, *events[0].data.(wire.InteractionChange).LabelIDs)
	require.NotNil(t, *events[2].data.(wire.InteractionChange).LabelIDs, "[], not null: it has none now")
}

func (s *system) snooze(a pipeline.Actor, it omni.Interaction, d time.Duration) (omni.Interaction, error) {
	return s.Snooze(s.t.Context(), a, wire.SnoozeInteraction{
		InteractionID: it.ID, Version: it.Version, Until: omni.MillisOf(time.Now().Add(d)),
	})
}

func TestASnoozeEndsByItself(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	snoozed, err := s.snooze(s.ana, it, 100*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionSnoozed, snoozed.State)
	e := s.pub.of(wire.InteractionSnoozed)
	require.Len(t, e, 1)
	require.Equal(t, snoozed.SnoozedUntil, *e[0].data.(wire.InteractionChange).SnoozedUntil)
	s.eventually(func() bool { return len(s.pub.of(wire.InteractionReopened)) == 1 }, "it opens again")
	change := s.pub.of(wire.InteractionReopened)[0].data.(wire.InteractionChange)
	require.Equal(t, "snooze ended", change.Reason)
	require.Empty(t, change.By)
	require.Zero(t, *change.SnoozedUntil)
	now := s.now(it.ID)
	require.Equal(t, omni.InteractionOpen, now.State)
	require.Zero(t, now.SnoozedUntil)
	require.GreaterOrEqual(t, omni.MillisOf(time.Now()), snoozed.SnoozedUntil)
}

func TestASnoozeEndsWhenTheContactWrites(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	it, err := s.snooze(s.ana, it, time.Hour)
	require.NoError(t, err)
	s.send(s.ana, it.ID, "we are looking into it")
	s.accept(inbound("in-1", it.ContactAddress, "hello")) // once more the one that was there
	s.accept(inbound("in-9", "+14155550999", "somebody else"))
	s.eventually(func() bool { return len(s.pub.of(wire.InteractionCreated)) == 2 }, "somebody else's message")
	require.Equal(t, omni.InteractionSnoozed, s.now(it.ID).State, "neither an answer nor an old message ends it")

	s.accept(inbound("in-2", it.ContactAddress, "any news?"))
	s.eventually(func() bool { return s.now(it.ID).State == omni.InteractionOpen }, "it opens again")
	require.Equal(t, "contact wrote", s.pub.of(wire.InteractionReopened)[0].data.(wire.InteractionChange).Reason)
	require.Zero(t, s.now(it.ID).SnoozedUntil)
}

func TestWhatMayBeSnoozed(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	for _, d := range []time.Duration{-time.Second, 367 * 24 * time.Hour} {
		_, err := s.snooze(s.ana, it, d)
		require.Equal(t, "until", problemField(err))
	}
	_, err := s.snooze(s.outsider, it, time.Hour)
	require.ErrorIs(t, err, omni.ErrNotFound)
	stale := it
	it, err = s.snooze(s.ana, it, time.Hour)
	require.NoError(t, err)
	_, err = s.snooze(s.ben, stale, 2*time.Hour)
	require.ErrorIs(t, err, omni.ErrConflict)
	it, err = s.snooze(s.ben, it, 2*time.Hour)
	require.NoError(t, err, "longer")
	it, err = s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	require.Zero(t, it.SnoozedUntil)
	_, err = s.snooze(s.ana, it, time.Hour)
	require.ErrorIs(t, err, omni.ErrConflict)
	it, err = s.Reopen(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	it, err = s.snooze(s.ana, it, time.Hour)
	require.NoError(t, err)
	it, err = s.Reopen(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	require.Equal(t, omni.InteractionOpen, it.State)
	require.Zero(t, it.SnoozedUntil)
	require.Zero(t, it.SnoozedAfter)
}

// TestSnoozeAndMessageAtOnce: whichever comes first, a conversation in which the contact has the last word is open.
func TestSnoozeAndMessageAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	write := func() {
		_, _, err := s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}})
		require.NoError(t, err)
	}
	write()
	it, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	for range 20 {
		var wg sync.WaitGroup
		var snoozed error
		wg.Go(func() { _, snoozed = s.snooze(s.ana, it, time.Hour) })
		wg.Go(write)
		wg.Wait()
		require.NoError(t, snoozed)
		after := s.now(it.ID)
		if after.State == omni.InteractionSnoozed {
			require.Equal(t, after.LastSequence, after.SnoozedAfter, "it was put away after the message had come")
		}
		write()
		it = s.now(it.ID)
		require.Equal(t, omni.InteractionOpen, it.State)
	}
	for _, e := range s.pub.of(wire.InteractionReopened) {
		require.NotEqual(t, omni.VisitorTopic(v.ID), e.topic, "that it was put away does not concern the visitor")
	}
}
