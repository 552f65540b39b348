package pipeline_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestPlacesAndContactsArriveAsSuch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(e *omni.CarrierChannelEvent)
		typ    omni.PayloadType
		text   string
	}{
		"a place": {func(e *omni.CarrierChannelEvent) {
			e.Location = &omni.Location{Latitude: -1.2921, Longitude: 36.8219, Name: "Office\x00", Address: "Kimathi Street"}
		}, omni.PayloadLocation, "Office, Kimathi Street"},
		"a place without a name": {func(e *omni.CarrierChannelEvent) {
			e.Location = &omni.Location{Latitude: -1.2921, Longitude: 36.8219}
		}, omni.PayloadLocation, "-1.292100, 36.821900"},
		"a place in the carrier's words": {func(e *omni.CarrierChannelEvent) {
			e.Text, e.Location = "here I am", &omni.Location{Latitude: 1, Longitude: 2}
		}, omni.PayloadLocation, "here I am"},
		"contacts": {func(e *omni.CarrierChannelEvent) {
			e.Contacts = []omni.ContactCard{
				{Name: "Ana\nB", Phones: []string{"+254711222333"}, Emails: []string{"ana@example.com"}}, {Name: "Ben", Organisation: "Acme"},
			}
		}, omni.PayloadContacts, "Ana B: +254711222333, ana@example.com\nBen"},
		"a picture with its name": {func(e *omni.CarrierChannelEvent) {
			e.Text = "look"
			e.Media = []omni.MediaReference{{
				Type: omni.MediaImage, ContentType: "image/png", FileName: "a.png", State: omni.MediaPending,
				External: omni.ExternalRef{URL: "https://files.example.test/a.png"},
			}}
		}, omni.PayloadImage, "look"},
		"something else": {func(e *omni.CarrierChannelEvent) { e.Unsupported = "poll" }, omni.PayloadUnsupported, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t).run()
			e := inbound("in-1", "+14155550123", "")
			c.change(&e)
			e.Metadata.Set("adId", "120210000000000001")
			s.accept(e)
			s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the message")
			told := s.pub.of(wire.MessageCreated)[0].data.(wire.Message)
			kept := s.message(told.ID)
			require.NoError(t, kept.Validate())
			require.Equal(t, c.typ, kept.Payload.Type)
			require.Equal(t, c.text, kept.Payload.TextBody())
			require.Equal(t, e.Location, kept.Payload.Location)
			require.Equal(t, e.Contacts, kept.Payload.Contacts)
			require.Equal(t, omni.Metadata{"adId": "120210000000000001"}, kept.Metadata)
			require.Equal(t, kept.Metadata, told.Metadata)
			require.Equal(t, c.typ, told.Payload.Type)
			require.Equal(t, e.Location != nil, told.Payload.Location != nil)
			require.Len(t, told.Payload.Contacts, len(e.Contacts))
			if told.Payload.Location != nil {
				require.NotContains(t, told.Payload.Location.Name, "\x00")
			}
			if len(e.Media) > 0 {
				require.Equal(t, "a.png", told.Payload.Files[0].Name)
			}
			require.Equal(t, strings.Split(c.text, "\n")[0], strings.Split(s.interactions()[0].LastPreview, " Ben")[0], "lists show it")
		})
	}
}

// capable changes what the SMS channel can carry.
func (s *system) capable(change func(c *omni.Capabilities)) {
	s.t.Helper()
	ch, err := s.store.Channel(s.t.Context(), s.tenant, s.sms.ID)
	require.NoError(s.t, err)
	change(&ch.Capabilities)
	_, err = s.store.UpdateChannel(s.t.Context(), s.tenant, ch)
	require.NoError(s.t, err)
	s.Forget("channel", ch.ID)
}

func TestAnAnswerNamesWhatItAnswersWhereTheCarrierShowsIt(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	first := s.received("in-1")
	answer := func(to string) string {
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{
			InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "yes"}, ReplyTo: to,
		})
		require.NoError(t, err)
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
		require.Equal(t, to, s.message(m.ID).ReplyTo)
		all := s.carrier.sends()
		return all[len(all)-1].Publish.ReplyTo
	}
	require.Empty(t, answer(first.ID), "the channel shows no such thing")
	s.capable(func(c *omni.Capabilities) { c.ReplyTo = true })
	require.Equal(t, "in-1", answer(first.ID))
	require.Empty(t, answer(""))
	for _, m := range s.messages(it.ID) {
		if m.Direction == omni.Outbound {
			require.Equal(t, "out-"+m.ID, answer(m.ID), "a message of ours")
			break
		}
	}

	s.accept(fragmentOf("7", 1, "one "), fragmentOf("7", 2, "two "), fragmentOf("7", 3, "three"))
	var whole omni.ServiceMessage
	s.eventually(func() bool {
		for _, m := range s.messages(it.ID) {
			if m.Payload.TextBody() == "one two three" {
				whole = m
			}
		}
		return whole.ID != ""
	}, "the whole text")
	require.Empty(t, answer(whole.ID), "the carrier does not know it as one")

	// A message that the carrier answered under its own id, as a reply to ours.
	e := inbound("in-9", "+14155550123", "fine")
	e.ReplyTo = "out-" + s.carrier.sends()[0].ID
	told := len(s.pub.of(wire.MessageCreated))
	s.accept(e)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == told+1 }, "the reply")
	require.Equal(t, s.carrier.sends()[0].ID, s.received("in-9").ReplyTo)
}
