package pipeline_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

func TestNumbersThatAreWrittenInTwoWays(t *testing.T) {
	t.Parallel()
	for number, other := range map[string]string{
		"+5511987654321": "+551187654321", "+551187654321": "+5511987654321",
		"+551133334444":  "", // a landline of São Paulo
		"+5215512345678": "+525512345678", "+525512345678": "+5215512345678",
		"+5491123456789": "+541123456789", "+541123456789": "+5491123456789",
		"+254711222333": "", "+14155550123": "", "+55119876543210": "", "BR.1502576394655843": "", "": "", "5511987654321": "",
	} {
		require.Equal(t, other, pipeline.Variant(number), number)
	}
}

// whatsApp adds a channel on which people are known by more than their number.
func (s *system) whatsApp() omni.DigitalChannel {
	s.t.Helper()
	ch := s.sms
	ch.ID, ch.Name, ch.ChannelType, ch.Address = omni.NewID(), "WhatsApp", omni.ChannelWhatsApp, "+254700100200"
	require.NoError(s.t, s.store.CreateChannel(s.t.Context(), s.tenant, ch))
	return ch
}

// fromWhatsApp is a message of a person: pairs are what is told beside it.
func fromWhatsApp(id, from string, pairs ...string) omni.CarrierChannelEvent {
	e := inbound(id, from, "message "+id)
	e.ChannelType, e.To = omni.ChannelWhatsApp, "+254700100200"
	for n := 0; n < len(pairs); n += 2 {
		e.Metadata.Set(pairs[n], pairs[n+1])
	}
	return e
}

// aboutThem makes a message a line of the carrier about who it is from.
func aboutThem(e omni.CarrierChannelEvent) omni.CarrierChannelEvent {
	e.Kind = omni.EventSystem
	return e
}

// talks gives the conversations that messages are in, by the number of the first message in each.
func (s *system) talks(ch omni.DigitalChannel, ids ...string) []int {
	s.t.Helper()
	var all []int
	first := map[string]int{}
	for n, id := range ids {
		m, err := s.store.MessageByCarrierID(s.t.Context(), s.tenant, ch.ID, id)
		require.NoError(s.t, err, id)
		if _, ok := first[m.InteractionID]; !ok {
			first[m.InteractionID] = n
		}
		all = append(all, first[m.InteractionID])
	}
	return all
}

func TestAPersonHasOneConversationUnderAllTheirNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []omni.CarrierChannelEvent
		want   []int // as talks gives it
	}{
		"a number, and then the user id alone": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "+254711222333", "userId", "KE.1", "parentUserId", "KE.ENT.1"), fromWhatsApp("2", "KE.1"), fromWhatsApp("3", "KE.ENT.1"), fromWhatsApp("4", "KE.2"),
		}, []int{0, 0, 0, 3}},
		"the user id, and then with a number": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "KE.1"), fromWhatsApp("2", "+254711222333", "userId", "KE.1"), fromWhatsApp("3", "+254711222333"),
		}, []int{0, 0, 0}},
		"each was somebody before it was told that they are one": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "KE.1"), fromWhatsApp("2", "+254711222333"), fromWhatsApp("3", "+254711222333", "userId", "KE.1"), fromWhatsApp("4", "KE.1"),
		}, []int{0, 1, 1, 0}},
		"a number in two ways": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "+5511987654321"), fromWhatsApp("2", "+551187654321"), fromWhatsApp("3", "+551187654322"),
		}, []int{0, 0, 2}},
		"a number that changes, and its user id with it": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "+254711222333", "userId", "KE.1"), aboutThem(fromWhatsApp("2", "+254711222333", "newAddress", "+254799888777", "newUserId", "KE.2")),
			fromWhatsApp("3", "KE.2"), fromWhatsApp("4", "+254799888777"),
		}, []int{0, 0, 0, 0}},
		"a word that is no id": {[]omni.CarrierChannelEvent{
			fromWhatsApp("1", "+254711222333", "userId", "+254711222334"), fromWhatsApp("2", "+254711222334"),
		}, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			ch := s.whatsApp()
			s.run()
			var ids []string
			for n, e := range c.events {
				s.accept(e)
				s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == n+1 }, e.CarrierMessageID)
				ids = append(ids, e.CarrierMessageID)
			}
			require.Equal(t, c.want, s.talks(ch, ids...))
		})
	}
}

// Somebody who is written to at a number finds the conversation again from the number that WhatsApp knows, and so does an agent
// who writes it as WhatsApp does; what was given is what is dialled.
func TestAnswersFromTheNumberThatTheCarrierKnows(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ch := s.whatsApp()
	s.carrier.onSend = func(_ context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
		return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent, RecipientAliases: []string{"+390612345678", "IT.1"}}, nil
	}
	s.run()
	write := func(to string) omni.ServiceMessage {
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: ch.ID, To: to, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "ciao"}})
		require.NoError(t, err)
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
		return m
	}
	m := write("+39 06 1234 5670")
	s.accept(fromWhatsApp("in-1", "+390612345678"))
	s.accept(fromWhatsApp("in-2", "IT.1"))
	s.accept(fromWhatsApp("in-3", "+390612345679"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 4 }, "answers")
	require.Equal(t, []int{0, 0, 0, 3}, s.talks(ch, "out-"+m.ID, "in-1", "in-2", "in-3"))
	for _, to := range []string{"+390612345678", "IT.1"} {
		again := write(to)
		require.Equal(t, m.InteractionID, again.InteractionID)
		require.Equal(t, "+390612345670", again.Publish.Target.Address)
	}
	id, err := s.store.Identity(t.Context(), s.tenant, m.Publish.Target.IdentityID)
	require.NoError(t, err)
	kinds := map[string]omni.AliasKind{}
	for _, a := range id.Aliases {
		kinds[a.Address] = a.Kind
	}
	require.Equal(t, map[string]omni.AliasKind{"+390612345678": omni.AliasVariant, "IT.1": omni.AliasUserID}, kinds)

	// Who has an address already keeps it: nobody is taken for another.
	other := write("+390612345679")
	require.NotEqual(t, m.InteractionID, other.InteractionID)
	require.Equal(t, omni.StatusSent, s.message(other.ID).Status)
}

// Another user id beside a number changes nothing of how somebody is written to.
func TestAUserIDChanges(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ch := s.whatsApp()
	s.run()
	s.accept(fromWhatsApp("1", "+254711222333", "userId", "KE.1"))
	s.accept(fromWhatsApp("2", "KE.9"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "messages")
	for n, from := range []string{"+254711222333", "KE.1", "KE.9"} {
		e := fromWhatsApp("sys-"+from, from, "newAddress", []string{"KE.2", "KE.3", "KE.10"}[n], "systemType", "user_changed_user_id")
		e.Kind = omni.EventSystem
		s.accept(e)
		s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 3+n }, "a line")
	}
	s.accept(fromWhatsApp("3", "KE.3"))
	s.accept(fromWhatsApp("4", "KE.10"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 7 }, "messages after")
	require.Equal(t, []int{0, 1, 0, 1}, s.talks(ch, "1", "2", "3", "4"))
	id, err := s.store.IdentityByAddress(t.Context(), s.tenant, omni.ChannelWhatsApp, "KE.3")
	require.NoError(t, err)
	require.Equal(t, "+254711222333", id.Address)
	id, err = s.store.IdentityByAddress(t.Context(), s.tenant, omni.ChannelWhatsApp, "KE.9")
	require.NoError(t, err)
	require.Equal(t, "KE.10", id.Address, "there is nothing else to write to")
}
