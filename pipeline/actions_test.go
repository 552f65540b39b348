package pipeline_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

func TestOfTwoClaimsOneWins(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	for range 20 {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		c := wire.InteractionAction{InteractionID: it.ID, Version: it.Version}
		wg.Go(func() { _, errs[0] = s.Claim(t.Context(), s.ana, c) })
		wg.Go(func() { _, errs[1] = s.Claim(t.Context(), s.ben, c) })
		wg.Wait()
		lost := errs[0]
		winner, name := s.ben, "ben"
		if lost == nil {
			lost, winner, name = errs[1], s.ana, "ana"
		}
		require.ErrorIs(t, lost, omni.ErrConflict)
		var p *omni.Problem
		require.ErrorAs(t, lost, &p)
		require.Equal(t, name+" has this conversation", p.Message)
		require.Equal(t, winner.Tenant.UserID, p.Details["interaction"].(wire.Interaction).Owner.ID)

		now, err := s.Interaction(t.Context(), s.ana, it.ID)
		require.NoError(t, err)
		it, err = s.Release(t.Context(), winner, wire.InteractionAction{InteractionID: it.ID, Version: now.Version})
		require.NoError(t, err)
	}
	require.Len(t, s.pub.of(wire.InteractionAssigned), 40)
}

func TestWhoMayGiveAConversationAway(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	it, err := s.Claim(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	toBen := wire.AssignInteraction{InteractionID: it.ID, Version: it.Version, Owner: wire.Owner{Type: omni.EntityUser, ID: s.ben.Tenant.UserID}}
	_, err = s.Assign(t.Context(), s.ben, toBen)
	require.ErrorIs(t, err, omni.ErrForbidden)
	_, err = s.Release(t.Context(), s.ben, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.ErrorIs(t, err, omni.ErrForbidden)
	toOlga := toBen
	toOlga.Owner.ID = s.outsider.Tenant.UserID
	_, err = s.Assign(t.Context(), s.ana, toOlga)
	require.Equal(t, "owner.id", problemField(err), "she does not see the group")

	it, err = s.Assign(t.Context(), s.ana, toBen)
	require.NoError(t, err)
	require.Equal(t, s.ben.Tenant.UserID, it.Owner.ID)
	boss := s.outsider
	boss.Role = omni.RoleSupervisor
	_, err = s.Release(t.Context(), boss, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
}

func TestResolveAndReopen(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	stale := it.Version
	it, err := s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	require.Equal(t, omni.InteractionResolved, it.State)
	require.NotZero(t, it.ResolvedAt)
	_, err = s.Reopen(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: stale})
	require.ErrorIs(t, err, omni.ErrConflict)
	it, err = s.Reopen(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	require.Equal(t, omni.InteractionOpen, it.State)
	require.Zero(t, it.ResolvedAt)
	require.Len(t, s.pub.of(wire.InteractionResolved), 1)
	require.Len(t, s.pub.of(wire.InteractionReopened), 1)
}

func TestReadIsToldOnceAndOnlyForward(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	require.NoError(t, s.Read(t.Context(), s.ana, wire.ReadMessage{InteractionID: it.ID, Seq: 1}))
	require.NoError(t, s.Read(t.Context(), s.ana, wire.ReadMessage{InteractionID: it.ID, Seq: 1}))
	ev := s.pub.of(wire.InteractionUpdated)
	require.Len(t, ev, 1)
	require.Zero(t, *ev[0].data.(wire.InteractionChange).Unread)
	require.ErrorIs(t, s.Read(t.Context(), s.outsider, wire.ReadMessage{InteractionID: it.ID, Seq: 1}), omni.ErrNotFound)
}

func TestTopicsFollowMembership(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	topics, err := s.Topics(t.Context(), s.ana)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{omni.UserTopic(s.ana.Tenant.UserID), omni.OrgTopic(s.tenant.OrganisationID), omni.GroupTopic(s.group.ID)}, topics)
	topics, err = s.Topics(t.Context(), s.outsider)
	require.NoError(t, err)
	require.NotContains(t, topics, omni.GroupTopic(s.group.ID))
}

// A visitor ends their conversation, whoever changes it at the same time, and writes again.
func TestVisitorEndsTheConversation(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	require.ErrorIs(t, s.VisitorEnd(t.Context(), v), omni.ErrNotFound, "there is none yet")
	write := func(text string) omni.Interaction {
		_, _, err := s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text}})
		require.NoError(t, err)
		it, err := s.VisitorInteraction(t.Context(), v)
		require.NoError(t, err)
		require.Equal(t, omni.InteractionOpen, it.State)
		return it
	}
	it := write("hello")
	var claims sync.WaitGroup
	claims.Go(func() {
		_, _ = s.Claim(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	})
	require.NoError(t, s.VisitorEnd(t.Context(), v))
	claims.Wait()
	require.NoError(t, s.VisitorEnd(t.Context(), v), "ended already")
	it, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionResolved, it.State)
	require.Positive(t, it.ResolvedAt)
	require.Empty(t, it.ResolvedBy, "no user did it")
	told := s.pub.of(wire.InteractionResolved)
	require.Len(t, told, 2, "its home topic and the visitor's, once")
	require.Equal(t, "ended by the visitor", told[0].data.(wire.InteractionChange).Reason)
	require.Equal(t, omni.VisitorTopic(v.ID), told[1].topic)
	require.Empty(t, told[1].data.(wire.InteractionChange).Reason)
	require.Equal(t, it.ID, write("one more thing").ID, "opened again")

	stranger := v
	stranger.ID = omni.NewToken(16)
	require.ErrorIs(t, s.VisitorEnd(t.Context(), stranger), omni.ErrNotFound)
	stranger.ID, stranger.OrganisationID = v.ID, omni.NewID()
	require.Error(t, s.VisitorEnd(t.Context(), stranger), "another organisation's")
	now, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionOpen, now.State)
}

// What a visitor says of themselves is kept beside what agents know, and replaces none of it.
func TestVisitorSaysWhoTheyAre(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	says := func(c wire.UpdateVisitor) (omni.Contact, omni.ContactIdentity) {
		require.NoError(t, s.VisitorUpdate(t.Context(), v, c))
		i, err := s.store.IdentityByAddress(t.Context(), s.tenant, omni.ChannelLiveChat, v.ID)
		require.NoError(t, err)
		n, err := s.store.Contact(t.Context(), s.tenant, i.ContactID)
		require.NoError(t, err)
		return n, i
	}
	told := func() []published { return s.pub.of(wire.ContactUpdated) }

	require.NoError(t, s.VisitorUpdate(t.Context(), v, wire.UpdateVisitor{}))
	require.NoError(t, s.VisitorUpdate(t.Context(), v, wire.UpdateVisitor{Page: "https://shop.example/"}))
	_, err := s.store.IdentityByAddress(t.Context(), s.tenant, omni.ChannelLiveChat, v.ID)
	require.ErrorIs(t, err, omni.ErrNotFound, "who only looks is no contact")
	for field, c := range map[string]wire.UpdateVisitor{
		"email": {Name: "Ana", Email: "ana"}, "phone": {Name: "Ana", Phone: "yes"}, "page": {Name: "Ana", Page: "file:///etc"},
	} {
		var p *omni.Problem
		require.ErrorAs(t, s.VisitorUpdate(t.Context(), v, c), &p)
		require.Contains(t, p.Fields, field)
	}
	require.Empty(t, told())

	all := wire.UpdateVisitor{Name: "Ana\n", Email: "ana@example.com", Phone: "(415) 555-0123", Page: "https://shop.example/cart?secret=1"}
	claims := map[string]string{
		omni.AttributeVisitorEmail: "ana@example.com", omni.AttributeVisitorPhone: "+14155550123", omni.AttributeVisitorPage: "https://shop.example/cart",
	}
	n, i := says(all)
	require.Equal(t, "Ana", n.Name)
	require.Equal(t, claims, n.Attributes)
	require.Equal(t, "Ana", i.Name)
	require.False(t, i.Verified)
	require.Len(t, told(), 1)
	require.Equal(t, omni.OrgTopic(v.OrganisationID), told()[0].topic)
	change := told()[0].data.(wire.ContactChange)
	require.Equal(t, wire.ContactChange{ContactID: n.ID, Version: n.Version, Name: &n.Name, Attributes: &claims}, change)
	again, _ := says(all)
	require.Equal(t, n, again)
	require.Len(t, told(), 1, "nothing new")
	_, _, err = s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}})
	require.NoError(t, err)
	it, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, n.ID, it.ContactID)
	require.Equal(t, "Ana", it.ContactName)

	// An agent knows better, at the same moment as the visitor says something else.
	n.Name, n.Attributes = "Anna Real", map[string]string{"email": "real@example.com"}
	n, err = s.store.UpdateContact(t.Context(), s.tenant, n)
	require.NoError(t, err)
	var agent sync.WaitGroup
	agent.Go(func() {
		n.Attributes = map[string]string{"email": "really@example.com"}
		_, _ = s.store.UpdateContact(t.Context(), s.tenant, n)
	})
	says(wire.UpdateVisitor{Name: "The Boss"})
	agent.Wait()
	n, i = says(wire.UpdateVisitor{Name: "The Boss", Email: "boss@example.com"})
	require.Equal(t, "Anna Real", n.Name)
	require.Equal(t, "The Boss", i.Name)
	require.Equal(t, "The Boss", n.Attributes[omni.AttributeVisitorName])
	require.Equal(t, "boss@example.com", n.Attributes[omni.AttributeVisitorEmail])
	require.Contains(t, []string{"real@example.com", "really@example.com"}, n.Attributes["email"])
	change = told()[len(told())-1].data.(wire.ContactChange)
	require.Nil(t, change.Name)
	require.Empty(t, change.By, "no user did it")
	n, _ = says(wire.UpdateVisitor{Name: "Anna Real"})
	require.NotContains(t, n.Attributes, omni.AttributeVisitorName, "they agree")

	stranger := v
	stranger.OrganisationID = omni.NewID()
	require.Error(t, s.VisitorUpdate(t.Context(), stranger, all), "another organisation's")
}

func TestStaffed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	lead := omni.User{
		ID: omni.NewID(), OrganisationID: s.tenant.OrganisationID, Email: "lead@acme.example", Name: "lead", Role: omni.RoleSupervisor,
		Version: 1, CreatedAt: omni.MillisOf(time.Now()), SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.CreateUser(t.Context(), s.tenant, lead))
	ana := s.ana.Tenant.UserID
	staffed := func(there ...string) bool {
		yes, err := s.Staffed(t.Context(), s.tenant, s.chat.ID, there)
		require.NoError(t, err)
		return yes
	}
	set := func(change func(*omni.DigitalChannelGroup)) {
		g, err := s.store.Group(t.Context(), s.tenant, s.chat.GroupID)
		require.NoError(t, err)
		change(&g)
		_, err = s.store.UpdateGroup(t.Context(), s.tenant, g)
		require.NoError(t, err)
		s.Forget("group", g.ID)
	}
	set(func(g *omni.DigitalChannelGroup) { g.Type, g.UserID, g.MemberIDs = omni.GroupShared, "", []string{ana} })
	require.True(t, staffed(lead.ID, ana))
	require.False(t, staffed(lead.ID), "she leads, and does not answer")
	require.False(t, staffed())
	set(func(g *omni.DigitalChannelGroup) { g.MemberIDs = nil })
	require.False(t, staffed(ana))
	require.True(t, staffed(ana, lead.ID), "nobody else can")
	set(func(g *omni.DigitalChannelGroup) { g.Type, g.UserID = omni.GroupPrivate, ana })
	require.True(t, staffed(ana))
	require.False(t, staffed(lead.ID))
	_, err := s.Staffed(t.Context(), omni.Org(omni.NewID()), s.chat.ID, []string{ana})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestVisitorAndAgentTalk(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	_, err := s.VisitorInteraction(t.Context(), v)
	require.ErrorIs(t, err, omni.ErrNotFound)
	ms, err := s.VisitorMessages(t.Context(), v, store.MessageWindow{})
	require.NoError(t, err)
	require.Empty(t, ms)
	require.NoError(t, s.VisitorTyping(t.Context(), v, wire.TypingCommand{}), "before the first message nobody is told")

	c := wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "is anyone there?"}}
	m, created, err := s.VisitorSend(t.Context(), v, c)
	require.NoError(t, err)
	require.True(t, created)
	again, created, err := s.VisitorSend(t.Context(), v, c)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, m.ID, again.ID)

	it, err := s.VisitorInteraction(t.Context(), v)
	require.NoError(t, err)
	answer := s.send(s.ana, it.ID, "yes!")
	require.Equal(t, omni.StatusSent, answer.Status)
	require.Empty(t, s.carrier.sends(), "no carrier takes part")

	var toVisitor []wire.VisitorMessage
	for _, e := range s.pub.of(wire.MessageCreated) {
		if e.topic == omni.VisitorTopic(v.ID) {
			toVisitor = append(toVisitor, e.data.(wire.VisitorMessage))
		}
	}
	require.Len(t, toVisitor, 2)
	require.Equal(t, c.ClientID, toVisitor[0].ClientID)
	require.Equal(t, "ana", toVisitor[1].SenderName)
	require.Empty(t, toVisitor[1].ClientID)

	require.NoError(t, s.VisitorRead(t.Context(), v, wire.ReadMessage{Seq: 2}))
	require.Equal(t, omni.StatusRead, s.message(answer.ID).Status)
	require.NoError(t, s.VisitorTyping(t.Context(), v, wire.TypingCommand{}))
	require.NoError(t, s.Typing(t.Context(), s.ana, wire.TypingCommand{InteractionID: it.ID}))
	typing := s.pub.of(wire.TypingEvent)
	require.Len(t, typing, 2)
	require.True(t, typing[0].passing)
	require.Equal(t, omni.InteractionTopic(it.ID), typing[0].topic)

	stranger := v
	stranger.ID = omni.NewToken(16)
	_, err = s.VisitorInteraction(t.Context(), stranger)
	require.ErrorIs(t, err, omni.ErrNotFound)
	s.chat.Disabled = true
	_, err = s.store.UpdateChannel(t.Context(), s.tenant, s.chat)
	require.NoError(t, err)
	s.Forget("channel", s.chat.ID)
	_, _, err = s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello?"}})
	require.ErrorIs(t, err, omni.ErrForbidden)
}
