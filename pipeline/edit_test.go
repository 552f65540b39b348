package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

func about(kind omni.EventKind, replyTo, text string, at omni.Millis) omni.CarrierChannelEvent {
	e := inbound("ev-"+omni.NewToken(4), "+14155550123", text)
	e.Kind, e.ReplyTo, e.OccurredAt = kind, replyTo, at
	return e
}

func TestContactsChangeWhatTheyWrote(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	now := omni.MillisOf(time.Now())
	m := s.received("in-1")
	edit := about(omni.EventEdit, "in-1", "hello there", now-2000)
	s.accept(edit)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageUpdated)) == 1 }, "the new text")
	told := s.pub.of(wire.MessageUpdated)[0]
	require.Equal(t, omni.GroupTopic(s.group.ID), told.topic)
	require.Equal(t, "hello there", told.data.(wire.Message).Payload.Text)
	require.Equal(t, now-2000, told.data.(wire.Message).EditedAt)
	require.Equal(t, []omni.MessageEdit{{At: m.ReceivedAt, Text: "hello"}}, s.message(m.ID).Edits)
	s.accept(edit) // delivered again
	s.accept(about(omni.EventEdit, "in-1", "older", now-3000))

	// What comes before its message waits for it; what is not theirs changes nothing.
	s.accept(about(omni.EventEdit, "in-2", "two, better", now))
	foreign := about(omni.EventDelete, "in-1", "", now)
	foreign.From = "+14155550999"
	s.accept(foreign)
	out := s.send(s.ana, it.ID, "ours")
	s.eventually(func() bool { return s.message(out.ID).Status == omni.StatusSent }, "sent")
	s.accept(about(omni.EventEdit, "out-"+out.ID, "not theirs", now))
	s.eventually(func() bool { return len(s.aside()) == 1 }, "what nobody may change")
	s.accept(inbound("in-2", "+14155550123", "two"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageUpdated)) == 2 }, "the edit that was early")
	require.Equal(t, "two, better", s.received("in-2").Payload.TextBody())

	s.accept(about(omni.EventDelete, "in-1", "", now))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageDeleted)) == 1 }, "taken back")
	require.Equal(t, wire.MessageDeletion{MessageID: m.ID, InteractionID: it.ID, At: s.message(m.ID).DeletedAt}, s.pub.of(wire.MessageDeleted)[0].data)
	require.Empty(t, wire.NewMessage(s.message(m.ID)).Payload.Text)
	require.Equal(t, "ours", s.message(out.ID).Payload.TextBody())
	require.Len(t, s.pub.of(wire.MessageUpdated), 2)
	after := s.interactions()[0]
	require.Equal(t, 2, after.Unread, "nobody has to read it again")
}

func TestAContactsNumberChanges(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	e := about(omni.EventSystem, "", "User Ana changed from 14155550123 to 14155550777", 0)
	e.Metadata = omni.Metadata{"newAddress": "+14155550777", "systemType": "user_changed_number"}
	s.accept(e)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 }, "a line in the conversation")
	line := s.received(e.CarrierMessageID)
	require.Equal(t, it.ID, line.InteractionID)
	require.Equal(t, "user_changed_number", line.Metadata["system"])
	require.Equal(t, it.LastInboundAt, s.interactions()[0].LastInboundAt, "nobody wrote that")
	s.accept(inbound("in-2", "+14155550777", "me again"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 3 }, "from the new number")
	require.Equal(t, it.ContactID, s.received("in-2").ContactID)
	require.Equal(t, it.ID, s.received("in-2").InteractionID)
	id, err := s.store.Identity(t.Context(), s.tenant, it.IdentityID)
	require.NoError(t, err)
	require.Equal(t, "+14155550777", id.Address)

	// Somebody else has the number: nobody is taken for another.
	s.accept(inbound("in-3", "+14155550999", "another"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 4 }, "another contact")
	e = about(omni.EventSystem, "", "", 0)
	e.From, e.Metadata = "+14155550777", omni.Metadata{"newAddress": "+14155550999"}
	s.accept(e)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 5 }, "the line")
	require.Equal(t, "The contact's number changed.", s.received(e.CarrierMessageID).Payload.TextBody())
	require.NotEqual(t, it.ContactID, s.received("in-3").ContactID)
	require.Empty(t, s.aside())
}

func TestWhatWasWrittenOnThePhoneIsOurs(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	echo := inbound("wamid-9", "+15005550006", "written on the phone")
	echo.Direction, echo.To = omni.Outbound, "+14155550123"
	s.accept(echo, echo)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 2 && s.pendingInbox() == 0 }, "our message")
	m := s.received("wamid-9")
	require.NoError(t, m.Validate())
	require.Equal(t, it.ID, m.InteractionID)
	require.Equal(t, omni.Outbound, m.Direction)
	require.Equal(t, omni.StatusSent, m.Status)
	require.Equal(t, "+14155550123", m.To.Address)
	require.Equal(t, "+15005550006", m.From.Address)
	require.Equal(t, 1, s.interactions()[0].Unread)
	st := statusOf(m, omni.StatusDelivered)
	st.CarrierMessageID = "wamid-9"
	s.accept(st)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusDelivered }, "its status")

	stop := inbound("wamid-10", "+15005550006", "STOP")
	stop.Direction, stop.To = omni.Outbound, "+14155550123"
	own := s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(own.ID).Status == omni.StatusSent }, "sent")
	back := inbound("other-id", "+15005550006", "hi")
	back.Direction, back.To, back.ClientReference = omni.Outbound, "+14155550123", own.ID
	unknown := stop
	unknown.From, unknown.CarrierMessageID = "+15005559999", "wamid-11"
	s.accept(stop, back, unknown)
	s.eventually(func() bool { return s.pendingInbox() == 0 && len(s.aside()) == 1 }, "all of them")
	require.Empty(t, s.pub.of(wire.ConsentChanged), "our words are nobody's consent")
	require.Len(t, s.messages(it.ID), 4, "what we sent ourselves is not there twice")
	require.Equal(t, store.SetAsideChannelNotFound, s.aside()[0].Reason)
	require.Len(t, s.carrier.sends(), 1)
}
