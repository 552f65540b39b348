package pipeline_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/faultstore"
	"omniservice/store/spool"
)

// reacts is a contact's reaction to the message that the carrier knows as replyTo.
func reacts(from, replyTo, emoji string, at omni.Millis) omni.CarrierChannelEvent {
	e := inbound("re-"+omni.NewToken(4), from, "")
	e.Kind, e.ReplyTo, e.Reaction, e.OccurredAt = omni.EventReaction, replyTo, emoji, at
	return e
}

// reactions are those that were published, in order.
func (s *system) reactions() (all []wire.ReactionChange) {
	for _, e := range s.pub.of(wire.MessageReaction) {
		all = append(all, e.data.(wire.ReactionChange))
	}
	return all
}

// received is the message that the carrier knows as id.
func (s *system) received(id string) omni.ServiceMessage {
	s.t.Helper()
	m, err := s.store.MessageByCarrierID(s.t.Context(), s.tenant, s.sms.ID, id)
	require.NoError(s.t, err)
	return m
}

// aside are the webhooks that were set aside, newest first.
func (s *system) aside() []store.SetAside {
	s.t.Helper()
	l, err := s.store.ListAside(s.t.Context(), s.tenant, store.Page{})
	require.NoError(s.t, err)
	return l.Items
}

func TestReactionsAreToldOnce(t *testing.T) {
	t.Parallel()
	const contact = "+14155550123"
	s, it := begun(t)
	m := s.send(s.ana, it.ID, "hi there")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	now := omni.MillisOf(time.Now())
	change := func(emoji string, at omni.Millis) wire.ReactionChange {
		return wire.ReactionChange{MessageID: m.ID, InteractionID: it.ID, Reaction: wire.Reaction{
			SenderType: omni.SenderContact, SenderID: it.IdentityID, Emoji: emoji, At: at,
		}}
	}
	thumb, heart := reacts(contact, "out-"+m.ID, "👍🏿", now-300), reacts(contact, "out-"+m.ID, "👨‍👩‍👧‍👦", now-200)
	byOurID := reacts(contact, "", "", now-100)
	byOurID.ClientReference = m.ID
	own := reacts(contact, "in-1", "🎉", now-50)

	s.accept(thumb, thumb, heart) // the same twice
	s.accept(thumb)               // late
	s.accept(byOurID, byOurID, own)
	s.eventually(func() bool { return len(s.reactions()) == 4 }, "four changes")
	s.accept(heart, inbound("in-2", contact, "after all of them"))
	s.eventually(func() bool { return s.pendingInbox() == 0 && len(s.messages(it.ID)) == 3 }, "nothing left")

	got := s.reactions()
	require.Equal(t, []wire.ReactionChange{change("👍🏿", now-300), change("👨‍👩‍👧‍👦", now-200), change("", now-100)}, got[:3])
	require.Equal(t, s.received("in-1").ID, got[3].MessageID, "a contact may react to what they wrote")
	require.Len(t, got, 4)
	for _, e := range s.pub.of(wire.MessageReaction) {
		require.Equal(t, s.group.HomeTopic(), e.topic)
	}
	stored, err := s.store.Reactions(t.Context(), s.tenant, m.ID, got[3].MessageID)
	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.Equal(t, "🎉", stored[0].Emoji)

	// Where somebody may put several on a message, one that is taken back is not the one that is kept.
	other, kept := reacts(contact, "in-1", "", now-40), reacts(contact, "in-1", "", now-30)
	other.Metadata.Set(carriers.MetadataTaken, "👍🏿")
	kept.Metadata.Set(carriers.MetadataTaken, "🎉")
	s.accept(other)
	s.accept(kept)
	s.eventually(func() bool { return len(s.reactions()) > 4 && s.pendingInbox() == 0 }, "one more change")
	require.Len(t, s.reactions(), 5)
	require.Equal(t, now-30, s.reactions()[4].Reaction.At)

	i, err := s.store.Interaction(t.Context(), s.tenant, it.ID)
	require.NoError(t, err)
	require.EqualValues(t, 3, i.LastSequence, "a reaction is no message")
	require.Empty(t, s.aside())
}

func TestReactionOpensNothing(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	_, err := s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	s.accept(reacts("+14155550123", "in-1", "👍", 0))
	s.eventually(func() bool { return len(s.reactions()) == 1 }, "the reaction")
	require.Empty(t, s.pub.of(wire.InteractionReopened))
	require.Positive(t, s.reactions()[0].Reaction.At, "when it came, if the carrier says nothing")
}

// A carrier's clock that is ahead does not keep later reactions out.
func TestReactionOfTheFuture(t *testing.T) {
	t.Parallel()
	s, _ := begun(t)
	s.accept(reacts("+14155550123", "in-1", "👍", omni.MillisOf(time.Now().Add(time.Hour))))
	s.accept(reacts("+14155550123", "in-1", "👎", 0))
	s.eventually(func() bool { return len(s.reactions()) == 2 }, "both")
	require.Equal(t, "👎", s.reactions()[1].Reaction.Emoji)
}

func TestReactionsThatNothingCanBeMadeOf(t *testing.T) {
	t.Parallel()
	outbound := reacts("+14155550123", "in-1", "👍", 0)
	outbound.Direction = omni.Outbound
	nobodys := reacts("+14155550123", "in-1", "👍", 0)
	nobodys.To = "+15005559999"
	tests := []struct {
		name  string
		event omni.CarrierChannelEvent
		want  store.SetAsideReason
	}{
		{"to nothing", reacts("+14155550123", "", "👍", 0), store.SetAsideUnknown},
		{"no emoji", reacts("+14155550123", "in-1", strings.Repeat("long", 17), 0), store.SetAsideUnknown},
		{"nothing that is seen", reacts("+14155550123", "in-1", "\u202e", 0), store.SetAsideUnknown},
		{"our own", outbound, store.SetAsideUnknown},
		{"to an address of nobody", nobodys, store.SetAsideChannelNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := begun(t)
			s.accept(tt.event)
			s.eventually(func() bool { return s.pendingInbox() == 0 && len(s.aside()) == 1 }, "set aside")
			require.Equal(t, tt.want, s.aside()[0].Reason)
			require.Empty(t, s.reactions())
		})
	}
}

// A reaction that comes before its message, or before the send's own answer, waits; what comes with it does not.
func TestReactionBeforeItsMessage(t *testing.T) {
	t.Parallel()
	const contact = "+14155550123"
	s, it := begun(t)
	s.accept(reacts(contact, "in-3", "👍", 0), inbound("in-2", contact, "with it"))
	s.eventually(func() bool { return len(s.messages(it.ID)) == 2 }, "the message that came with it")
	require.Empty(t, s.reactions())
	s.accept(inbound("in-3", contact, "late"))
	s.eventually(func() bool { return len(s.reactions()) == 1 }, "the reaction, when its message is there")
	require.Equal(t, s.received("in-3").ID, s.reactions()[0].MessageID)

	s.carrier.onSend = func(_ context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
		s.accept(reacts(contact, "out-"+m.ID, "❤️", 0))
		return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
	}
	m := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return len(s.reactions()) == 2 }, "the reaction, when the carrier's id is there")
	require.Equal(t, m.ID, s.reactions()[1].MessageID)
	s.eventually(func() bool { return s.pendingInbox() == 0 }, "an empty inbox")
	require.Empty(t, s.aside())
}

// Nobody reacts to what is not in a conversation of theirs. After a while it is set aside, and can be played again.
func TestSec_ReactionToWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	s := newSystem(t, func(o *pipeline.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	}).run()
	s.accept(inbound("in-1", "+14155550123", "hello"), inbound("in-2", "+14155550999", "another"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "two conversations")
	byID := reacts("+14155550999", "", "👍", 0)
	byID.ClientReference = s.received("in-1").ID
	s.accept(reacts("+14155550999", "in-1", "👍", 0))    // somebody else's message
	s.accept(byID)                                      // the same by our id
	s.accept(reacts("+14155550777", "in-1", "👍", 0))    // of somebody whom we do not know
	s.accept(reacts("+14155550123", "later-1", "👍", 0)) // of none that is there
	s.accept(inbound("in-3", "+14155550123", "goes on"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 3 }, "others go on")
	require.Empty(t, s.aside())

	shift.Store(int64(2 * time.Minute))
	s.Kick()
	s.eventually(func() bool { return s.pendingInbox() == 0 && len(s.aside()) == 4 }, "set aside")
	require.Empty(t, s.reactions())
	again := ""
	for _, a := range s.aside() {
		require.Equal(t, store.SetAsideMessageNotFound, a.Reason)
		require.Equal(t, "reaction", a.Detail)
		if a.Record.Events[0].ReplyTo == "later-1" {
			again = a.Record.ID
		}
	}
	s.accept(inbound("later-1", "+14155550123", "late"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 4 }, "its message")
	_, err := s.store.ReplayAside(t.Context(), s.tenant, again)
	require.NoError(t, err)
	s.Kick()
	s.eventually(func() bool { return len(s.reactions()) == 1 }, "played again")
}

// The store did it and could not say so: it is told, once.
func TestReactionWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	f := newFrail(t, spool.Options{})
	f.run()
	require.NoError(t, f.try(inbound("in-1", "+14155550123", "hello")))
	f.eventually(func() bool { return len(f.texts()) == 1 }, "the message")
	f.fault.Inject(faultstore.Fault{Calls: "SetReaction", Times: 1, After: true})
	require.NoError(t, f.try(reacts("+14155550123", "in-1", "👍", 0), inbound("in-2", "+14155550123", "after")))
	f.eventually(func() bool { return len(f.reactions()) == 1 && len(f.texts()) == 2 && f.pendingInbox() == 0 }, "the reaction")
	require.Len(t, f.reactions(), 1)
}
