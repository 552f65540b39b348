package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// courtesies are what a fake carrier was asked for beside sends.
type courtesies struct {
	mu      sync.Mutex
	did     []string
	answers []error // to reactions, in order; then success
}

func (c *courtesies) do(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did = append(c.did, what)
}

func (c *courtesies) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.did...)
}

// React implements carriers.Reactor.
func (c *fakeCarrier) React(_ context.Context, p omni.PublishChannel, id, emoji string) error {
	o := &c.f.courtesies
	o.do("react " + p.Target.Address + " " + id + " " + emoji)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.answers) == 0 {
		return nil
	}
	err := o.answers[0]
	o.answers = o.answers[1:]
	return err
}

// MarkRead implements carriers.ReadMarker.
func (c *fakeCarrier) MarkRead(_ context.Context, p omni.PublishChannel, id string) error {
	c.f.courtesies.do("read " + p.Target.Address + " " + id)
	return nil
}

// Type implements carriers.Typer.
func (c *fakeCarrier) Type(_ context.Context, p omni.PublishChannel, id string) error {
	c.f.courtesies.do("typing " + p.Target.Address + " " + id)
	return &carriers.SendError{Reason: omni.ReasonUnreachable}
}

func (*fakeCarrier) TypeEvery() time.Duration { return time.Hour }

func TestAgentsReact(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	m := s.received("in-1")
	react := func(id, emoji string) error {
		_, err := s.React(t.Context(), s.ana, wire.ReactMessage{MessageID: id, Emoji: emoji})
		return err
	}
	require.ErrorIs(t, react(m.ID, "👍"), omni.ErrUnsupported)
	s.capable(func(c *omni.Capabilities) { c.Reactions = true })
	o := &s.carrier.courtesies
	require.NoError(t, react(m.ID, "👍"))
	require.NoError(t, react(m.ID, "👍"), "the same again")
	s.eventually(func() bool { return len(o.all()) == 1 }, "at the carrier")
	require.Equal(t, []string{"react +14155550123 in-1 👍"}, o.all())
	told := s.reactions()
	require.Len(t, told, 1)
	require.Equal(t, omni.SenderUser, told[0].Reaction.SenderType)
	require.Equal(t, s.ana.Tenant.UserID, told[0].Reaction.SenderID)

	require.NoError(t, react(m.ID, ""))
	s.eventually(func() bool { return len(o.all()) == 2 }, "taken away")
	require.Equal(t, "react +14155550123 in-1 ", o.all()[1])

	// Tried again where that may help; taken back where it does not.
	o.mu.Lock()
	o.answers = []error{&carriers.SendError{Reason: omni.ReasonThrottled}, &carriers.SendError{Reason: omni.ReasonRejected}}
	o.mu.Unlock()
	require.NoError(t, react(m.ID, "❤️"))
	s.eventually(func() bool { return len(s.reactions()) == 4 }, "it is taken back")
	require.Len(t, o.all(), 4)
	require.Empty(t, s.reactions()[3].Reaction.Emoji)
	left, err := s.store.Reactions(t.Context(), s.tenant, m.ID)
	require.NoError(t, err)
	require.Empty(t, left)

	o.mu.Lock()
	for range 9 {
		o.answers = append(o.answers, &carriers.SendError{Reason: omni.ReasonUnreachable})
	}
	o.mu.Unlock()
	require.NoError(t, react(m.ID, "🎉"))
	s.eventually(func() bool { return len(o.all()) == 8 }, "four tries")
	o.mu.Lock()
	o.answers = nil
	o.mu.Unlock()

	out := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(out.ID).Status == omni.StatusSent }, "sent")
	require.NoError(t, react(out.ID, "🙏"))
	s.eventually(func() bool { return len(o.all()) == 9 }, "to a message of ours")
	require.Equal(t, "react +14155550123 out-"+out.ID+" 🙏", o.all()[8])

	require.Equal(t, "emoji", problemField(react(m.ID, "\u202e")))
	require.ErrorIs(t, react(omni.NewID(), "👍"), omni.ErrNotFound)
	_, err = s.React(t.Context(), s.outsider, wire.ReactMessage{MessageID: m.ID, Emoji: "👍"})
	require.ErrorIs(t, err, omni.ErrNotFound)
	s.capable(func(c *omni.Capabilities) { c.WindowHours = 24 })
	require.NoError(t, react(m.ID, "👏"))
	s.accept(about(omni.EventDelete, "in-1", "", 0))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageDeleted)) == 1 }, "taken back by the contact")
	require.ErrorIs(t, react(m.ID, "👍"), omni.ErrConflict)
}

func TestContactsSeeWhatIsReadAndThatSomebodyWrites(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	o := &s.carrier.courtesies
	typing := func() {
		require.NoError(t, s.Typing(t.Context(), s.ana, wire.TypingCommand{InteractionID: it.ID}))
		require.NoError(t, s.Typing(t.Context(), s.ana, wire.TypingCommand{InteractionID: it.ID, Stop: true}))
	}
	read := func(seq int64) {
		require.NoError(t, s.Read(t.Context(), s.ana, wire.ReadMessage{InteractionID: it.ID, Seq: seq}))
	}
	typing()
	read(1)
	s.accept(inbound("in-2", "+14155550123", "two"), inbound("in-3", "+14155550123", "three"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 3 }, "more messages")
	require.Empty(t, o.all(), "the channel can do neither")

	s.capable(func(c *omni.Capabilities) { c.ReadReceipts, c.Typing = true, true })
	typing()
	s.eventually(func() bool { return len(o.all()) == 1 }, "typing")
	require.Equal(t, "typing +14155550123 in-3", o.all()[0])
	typing()
	read(2)
	s.eventually(func() bool { return len(o.all()) == 2 }, "read")
	require.Equal(t, "read +14155550123 in-2", o.all()[1])
	read(2)
	own := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(own.ID).Status == omni.StatusSent }, "sent")
	read(4)
	s.eventually(func() bool { return len(o.all()) == 3 }, "read, up to the newest")
	require.Equal(t, "read +14155550123 in-3", o.all()[2])
}
