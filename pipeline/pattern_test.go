package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

// channelAt adds a PubNub channel with an address, or a pattern.
func (s *system) channelAt(address string) omni.DigitalChannel {
	s.t.Helper()
	ch := s.sms
	ch.ID, ch.Name, ch.ChannelType, ch.Address = omni.NewID(), address, omni.ChannelPubNub, address
	ch.Capabilities = omni.Capabilities{MaxTextLength: 30_000}
	require.NoError(s.t, ch.Validate())
	require.NoError(s.t, s.store.CreateChannel(s.t.Context(), s.tenant, ch))
	s.Forget("channel", ch.ID)
	return ch
}

func wrote(id, from, to, text string) omni.CarrierChannelEvent {
	e := inbound(to+":"+id, from, text)
	e.ChannelType, e.To = omni.ChannelPubNub, to
	return e
}

func (s *system) created() int { return len(s.pub.of(wire.MessageCreated)) }

func TestThePatternThatFitsBestTakesAMessage(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	all, gold, one := s.channelAt("support-*"), s.channelAt("support-gold-*"), s.channelAt("support-7")
	for i, c := range []struct {
		to string
		ch omni.DigitalChannel
	}{{"support-1042", all}, {"support-gold-1", gold}, {"support-7", one}, {"support-77", all}, {"support-", all}} {
		s.accept(wrote("17636301301200001", "user-"+c.to, c.to, "a"))
		s.eventually(func() bool { return s.created() == i+1 }, c.to)
		m := s.pub.of(wire.MessageCreated)[i].data.(wire.Message)
		stored := s.message(m.ID)
		require.Equal(t, c.ch.ID, stored.Channel.DigitalChannelID, c.to)
		require.Equal(t, c.to, stored.Channel.Address)
		require.Equal(t, c.to, stored.To.Address)
		require.NoError(t, stored.Validate())
	}
	s.accept(wrote("17636301301200001", "user-x", "sales-1", "a"))
	s.eventually(func() bool {
		l, err := s.store.ListAside(t.Context(), s.tenant, pageOf(10))
		require.NoError(t, err)
		return len(l.Items) == 1
	}, "what fits nothing is set aside")
}

// An answer goes to where the contact wrote last, whatever was restarted in between.
func TestAnswersGoWhereTheContactWroteLast(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	ch := s.channelAt("support-*")
	s.accept(wrote("17636301301200001", "user-77", "support-1", "one"))
	s.eventually(func() bool { return s.created() == 1 }, "the first message")
	it := s.interactions()[0]
	require.Equal(t, ch.ID, it.DigitalChannelID)
	sent := func(m omni.ServiceMessage) omni.ServiceMessage {
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
		return s.message(m.ID)
	}
	m := sent(s.send(s.ana, it.ID, "answer"))
	require.Equal(t, "support-1", m.Publish.Sender)
	require.Equal(t, "support-1", m.From.Address)
	require.Equal(t, "user-77", m.To.Address)

	s.accept(wrote("17636301301200002", "user-77", "support-2", "two"))
	s.eventually(func() bool { return len(s.messages(it.ID)) == 3 }, "the second message")
	require.Len(t, s.interactions(), 1, "one contact on one channel of ours is one conversation")

	s.stop()
	p, err := pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	s.Pipeline = p
	s.run()
	require.Equal(t, "support-2", sent(s.send(s.ana, it.ID, "answer")).Publish.Sender)
	require.Equal(t, "support-2", sent(s.send(s.ana, it.ID, "and more")).Publish.Sender, "also after our own")

	_, _, err = s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: ch.ID, To: "user-8", ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "x"}})
	require.ErrorIs(t, err, omni.ErrInvalid)
	require.Equal(t, "channelId", problemField(err), "which of the many would it be")
	require.Len(t, s.interactions(), 1)
}

// From and to of a PubNub status are who writes on the channel, and the channel.
func TestAStatusFindsItsMessageByTheChannel(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	s.channelAt("support-*")
	s.accept(wrote("17636301301200001", "user-77", "support-1", "one"))
	s.eventually(func() bool { return s.created() == 1 }, "the first message")
	m := s.send(s.ana, s.interactions()[0].ID, "answer")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	for _, status := range []omni.Status{omni.StatusRead, omni.StatusDelivered} {
		e := statusOf(m, status)
		e.ChannelType, e.From, e.To = omni.ChannelPubNub, "omni-gateway", "support-1"
		s.accept(e)
	}
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusRead }, "read")

	reaction := wrote("1", "user-77", "support-1", "")
	reaction.Kind, reaction.ReplyTo, reaction.Reaction = omni.EventReaction, "out-"+m.ID, "❤️"
	s.accept(reaction)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageReaction)) == 1 }, "the reaction")
}
