package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers/simulate"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// absent shows that a carrier does not have a feature, as its double says.
func (a *act) absent(t *testing.T, feature string, err error) {
	t.Helper()
	require.ErrorIs(t, err, omni.ErrInvalid)
	a.show(feature, "not at this carrier: %v", err)
}

// refused shows that agents are told that a channel does not have a feature.
func (a *act) refused(t *testing.T, feature, command string, data any) {
	t.Helper()
	f := a.ana.Do(t, command, data)
	require.NotNil(t, f.Error, "%s was taken", command)
	require.Equal(t, omni.CodeUnsupported, f.Error.Code, f.Error.Message)
	a.show(feature, "not at this carrier: the agent is told %q", f.Error.Message)
}

// carrierID is a message's id at the carrier.
func (a *act) carrierID(t *testing.T, id string) string {
	t.Helper()
	m, err := a.App.Store().Message(t.Context(), omni.Org(a.Alpha.ID), id)
	require.NoError(t, err)
	require.NotEmpty(t, m.CarrierMessageID)
	return m.CarrierMessageID
}

// answers sends what answers an inbound message, and returns it as the carrier has it. It is sent, and no more is reported of it.
func (a *act) answers(t *testing.T, in wire.Message, c wire.SendMessage) (wire.Message, simulate.Sent) {
	t.Helper()
	before := len(a.Double.Sent())
	c.InteractionID, c.ClientID = in.InteractionID, NewClientID()
	var m wire.Message
	a.ana.Must(t, wire.CmdMessageSend, c, &m)
	Eventually(t, "it is at the carrier", func() bool { return len(a.Double.Sent()) > before })
	sent := a.Double.Sent()
	require.Len(t, sent, before+1, "it went out once")
	require.Equal(t, m.ID, sent[before].Reference)
	require.NoError(t, a.Double.Report(t.Context(), sent[before], simulate.Report{Status: omni.StatusSent})) // some say it in their answer
	a.ana.ExpectStatus(t, m.ID, omni.StatusSent)
	return m, sent[before]
}

// quotes: messages that answer another one, in both directions.
func (a *act) quotes(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("a question"))
	text := a.text("an answer to it")
	m, sent := a.answers(t, in, wire.SendMessage{ReplyTo: in.ID, Payload: wire.SendPayload{Text: text}})
	require.Equal(t, in.ID, a.ana.ExpectText(t, text).ReplyTo)
	if a.able().ReplyTo {
		require.Equal(t, a.carrierID(t, in.ID), sent.ReplyTo)
		a.show("outbound answer to a message", "the API got the carrier's id of their message")
	} else {
		require.Empty(t, sent.ReplyTo)
		a.show("outbound answer to a message", "not at this carrier: sent as a message of its own, agents see what it answers")
	}

	answer := a.Inbound(a.family, a.first, a.text("about that"))
	answer.ReplyTo = sent.ID
	if err := a.Double.Receive(t.Context(), answer); err != nil {
		require.False(t, a.able().ReplyTo)
		a.absent(t, "inbound answer to a message", err)
		return
	}
	require.Equal(t, m.ID, a.ana.ExpectText(t, answer.Text).ReplyTo)
	a.show("inbound answer to a message", "message.created names our message")
}

// reactions: the customer's to ours and the agent's to theirs, and both taken away again.
func (a *act) reactions(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("something to react to"))
	m, sent := a.answers(t, in, wire.SendMessage{Payload: wire.SendPayload{Text: a.text("and an answer")}})

	theirs := a.Inbound(a.family, a.first, "")
	theirs.ReplyTo, theirs.Reaction = sent.ID, "👍"
	for _, step := range []struct {
		feature, emoji string
		act            simulate.Act
	}{{"inbound reaction", "👍", ""}, {"inbound reaction taken away", "", simulate.Unreact}} {
		theirs.Act = step.act
		if err := a.Double.Receive(t.Context(), theirs); err != nil {
			require.False(t, a.able().Reactions)
			a.absent(t, step.feature, err)
			continue
		}
		r := Read[wire.ReactionChange](t, a.ana.Expect(t, wire.MessageReaction, nil))
		require.Equal(t, m.ID, r.MessageID)
		require.Equal(t, omni.SenderContact, r.Reaction.SenderType)
		require.Equal(t, step.emoji, r.Reaction.Emoji)
		a.show(step.feature, "message.reaction %q on the socket", r.Reaction.Emoji)
	}

	react := wire.ReactMessage{MessageID: in.ID, Emoji: "🎉"}
	if !a.able().Reactions {
		a.refused(t, "agent's reaction", wire.CmdMessageReact, react)
		return
	}
	var put wire.ReactionChange
	a.ana.Must(t, wire.CmdMessageReact, react, &put)
	require.Equal(t, "🎉", put.Reaction.Emoji)
	id := a.carrierID(t, in.ID)
	Eventually(t, "the reaction is at the carrier", func() bool {
		return slices.ContainsFunc(a.Double.Sent(), func(s simulate.Sent) bool { return s.ReplyTo == id && s.Reaction == "🎉" })
	})
	a.show("agent's reaction", "the API got it, with the carrier's id of their message")
	react.Emoji = ""
	a.ana.Must(t, wire.CmdMessageReact, react, &put)
	a.marked(t, simulate.MarkUnreact, id)
	a.show("agent's reaction taken away", "the API was told")
}

// marked waits until the carrier was asked to show something about a message.
func (a *act) marked(t *testing.T, kind simulate.MarkKind, messageID string) {
	t.Helper()
	Eventually(t, string(kind)+" is at the carrier", func() bool { return a.marks(kind, messageID) > 0 })
}

// marks counts what the carrier was asked to show; of any message with "".
func (a *act) marks(kind simulate.MarkKind, messageID string) (n int) {
	for _, m := range a.Double.Marks() {
		if m.Kind == kind && (messageID == "" || m.MessageID == messageID) {
			n++
		}
	}
	return n
}

// attention: that we have read, and that we write, where the carrier shows it; else it is told nothing.
func (a *act) attention(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("is anybody there?"))
	id, able := a.carrierID(t, in.ID), a.able()
	read, typed := a.marks(simulate.MarkRead, ""), a.marks(simulate.MarkTyping, "")
	require.Zero(t, a.marks(simulate.MarkRead, id), "nobody has read it")

	a.ana.Must(t, wire.CmdMessageRead, wire.ReadMessage{InteractionID: in.InteractionID, Seq: in.Seq}, nil)
	a.ana.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: in.InteractionID}, nil)
	a.ana.Must(t, wire.CmdTyping, wire.TypingCommand{InteractionID: in.InteractionID}, nil)
	if able.ReadReceipts {
		a.marked(t, simulate.MarkRead, id)
	}
	if able.Typing {
		Eventually(t, "typing is at the carrier", func() bool { return a.marks(simulate.MarkTyping, "") > typed })
	}
	a.answers(t, in, wire.SendMessage{Payload: wire.SendPayload{Text: a.text("I am")}}) // by then the rest has been told too
	if able.ReadReceipts {
		require.Equal(t, 1, a.marks(simulate.MarkRead, id))
		a.show("agent's read mark", "the API got it once, of the newest message")
	} else {
		require.Equal(t, read, a.marks(simulate.MarkRead, ""))
		a.show("agent's read mark", "not at this carrier: the API got %d", a.marks(simulate.MarkRead, "")-read)
	}
	if able.Typing {
		a.show("agent's typing", "the API got it")
	} else {
		require.Equal(t, typed, a.marks(simulate.MarkTyping, ""))
		a.show("agent's typing", "not at this carrier: the API got %d", a.marks(simulate.MarkTyping, "")-typed)
	}
}

// changes: a customer changes what they wrote, and takes it back.
func (a *act) changes(t *testing.T) {
	in := a.conversation(t, a.text("see you on Monday"))
	about := a.Inbound(a.family, a.first, a.text("see you on Tuesday"))
	about.ReplyTo, about.Act = a.carrierID(t, in.ID), simulate.Edit
	if err := a.Double.Receive(t.Context(), about); err != nil {
		a.absent(t, "inbound edit", err)
	} else {
		m := Read[wire.Message](t, a.ana.Expect(t, wire.MessageUpdated, func(f Frame) bool { return Read[wire.Message](t, f).ID == in.ID }))
		require.Equal(t, about.Text, m.Payload.Text)
		require.NotZero(t, m.EditedAt)
		a.show("inbound edit", "message.updated with the new text")
	}
	about.Text, about.Act = "", simulate.Delete
	if err := a.Double.Receive(t.Context(), about); err != nil {
		a.absent(t, "inbound delete", err)
		return
	}
	require.Equal(t, in.ID, Read[wire.MessageDeletion](t, a.ana.Expect(t, wire.MessageDeleted, nil)).MessageID)
	var detail struct{ Message wire.Message }
	a.Ana.Call(t, http.MethodGet, "/api/v1/messages/"+in.ID, nil).JSON(t, &detail)
	require.NotZero(t, detail.Message.DeletedAt)
	require.Empty(t, detail.Message.Payload.Text)
	a.show("inbound delete", "message.deleted, and REST has the text no more")
}

// created waits for an inbound message for which match holds.
func (a *act) created(t *testing.T, match func(wire.Message) bool) wire.Message {
	t.Helper()
	return Read[wire.Message](t, a.ana.Expect(t, wire.MessageCreated, func(f Frame) bool { return match(Read[wire.Message](t, f)) }))
}

// kinds: places and contacts in both directions, and a kind of message that nobody knows.
func (a *act) kinds(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("something else"))
	mine := func(m wire.Message) bool { return m.InteractionID == in.InteractionID && m.ID != in.ID }

	unknown := a.Inbound(a.family, a.first, "")
	unknown.Unknown = "hologram"
	if err := a.Double.Receive(t.Context(), unknown); err != nil {
		a.absent(t, "inbound message of an unknown kind", err)
	} else {
		m := a.created(t, func(m wire.Message) bool { return mine(m) && m.Payload.Type == omni.PayloadUnsupported })
		require.Equal(t, "hologram", m.Payload.Unsupported)
		a.show("inbound message of an unknown kind", "message.created, %s %q", m.Payload.Type, m.Payload.Unsupported)
	}

	at := wire.Location{Latitude: -1.25, Longitude: 36.5, Name: "Clinic", Address: "1 Hill Road"}
	place := a.Inbound(a.family, a.first, "")
	place.Location = (*omni.Location)(&at)
	if err := a.Double.Receive(t.Context(), place); err != nil {
		require.False(t, a.able().Location)
		a.absent(t, "inbound place", err)
	} else {
		m := a.created(t, func(m wire.Message) bool { return mine(m) && m.Payload.Type == omni.PayloadLocation })
		require.Equal(t, [2]float64{at.Latitude, at.Longitude}, [2]float64{m.Payload.Location.Latitude, m.Payload.Location.Longitude})
		require.NotEmpty(t, m.Payload.Text)
		a.show("inbound place", "message.created, %s %q", m.Payload.Type, m.Payload.Text)
	}
	send := wire.SendMessage{InteractionID: in.InteractionID, ClientID: NewClientID(), Payload: wire.SendPayload{Location: &at}}
	if a.able().Location {
		_, sent := a.answers(t, in, send)
		require.NotNil(t, sent.Location)
		require.Equal(t, [2]float64{at.Latitude, at.Longitude}, [2]float64{sent.Location.Latitude, sent.Location.Longitude})
		a.show("outbound place", "the API got %v, %v", sent.Location.Latitude, sent.Location.Longitude)
	} else {
		a.refused(t, "outbound place", wire.CmdMessageSend, send)
	}

	card := wire.ContactCard{Name: "Ann Other", Phones: []string{"+14155550177"}, Emails: []string{"ann@example.test"}}
	passed := a.Inbound(a.family, a.first, "")
	passed.Contacts = []omni.ContactCard{omni.ContactCard(card)}
	if err := a.Double.Receive(t.Context(), passed); err != nil {
		require.False(t, a.able().ContactCards)
		a.absent(t, "inbound contact card", err)
	} else {
		m := a.created(t, func(m wire.Message) bool { return mine(m) && m.Payload.Type == omni.PayloadContacts })
		require.Equal(t, []wire.ContactCard{card}, m.Payload.Contacts)
		a.show("inbound contact card", "message.created, %s %q", m.Payload.Type, m.Payload.Text)
	}
	send.ClientID, send.Payload = NewClientID(), wire.SendPayload{Contacts: []wire.ContactCard{card}}
	if a.able().ContactCards {
		_, sent := a.answers(t, in, send)
		require.Equal(t, passed.Contacts, sent.Contacts)
		a.show("outbound contact card", "the API got name, number and address")
	} else {
		a.refused(t, "outbound contact card", wire.CmdMessageSend, send)
	}
}

// templates: one that the carrier has is listed, filled in and sent.
func (a *act) templates(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("when is it?"))
	send := wire.SendMessage{InteractionID: in.InteractionID, ClientID: NewClientID(), Payload: wire.SendPayload{Template: &wire.SendTemplate{
		Name: "reminder", Language: "en",
		Components: []wire.TemplateComponent{{Type: "body", Parameters: []wire.TemplateParameter{{Type: "text", Text: "Amina"}, {Type: "text", Text: "Monday"}}}},
	}}}
	if !a.able().Templates {
		a.refused(t, "outbound template", wire.CmdMessageSend, send)
		return
	}
	a.Double.SetTemplates([]omni.MessageTemplate{{
		CarrierID: "1400000000000021", Name: "reminder", Language: "en", Category: omni.TemplateUtility, Status: omni.TemplateApproved,
		Quality: omni.QualityGreen, Components: `[{"type":"BODY","text":"Hello {{1}}, see you on {{2}}!"}]`,
	}, {
		CarrierID: "1400000000000022", Name: "way", Language: "en", Category: omni.TemplateUtility, Status: omni.TemplateApproved,
		Quality: omni.QualityGreen, Components: `[{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"This is the way."}]`,
	}})
	synced := a.Alpha.Call(t, http.MethodPost, "/api/v1/templates/sync", map[string]any{"carrierAccountId": a.Account.ID})
	require.Equal(t, http.StatusOK, synced.Status, "%s", synced.Body)
	m, sent := a.answers(t, in, send)
	require.Equal(t, "Hello Amina, see you on Monday!", m.Payload.Text)
	require.Equal(t, "reminder", sent.Template)
	require.Contains(t, string(sent.Raw), `"parameters":[{"text":"Amina","type":"text"},{"text":"Monday","type":"text"}]`)
	a.show("outbound template", "the API got %q with 2 places filled", sent.Template)

	file := a.Upload(t, a.Ana.Token, "map.png", PNG)
	m, sent = a.answers(t, in, wire.SendMessage{Payload: wire.SendPayload{Template: &wire.SendTemplate{
		Name: "way", Language: "en", Components: []wire.TemplateComponent{{Type: "header", Parameters: []wire.TemplateParameter{{Type: "image", FileID: file}}}},
	}}})
	require.Len(t, m.Payload.Files, 1)
	require.Equal(t, file, m.Payload.Files[0].ID)
	require.Len(t, sent.FileIDs, 1)
	f, ok := a.Double.File(sent.FileIDs[0])
	require.True(t, ok)
	require.Equal(t, PNG, string(f.Body))
	a.show("outbound template with an uploaded file", "uploaded to the carrier, %d bytes, in the header of %q", len(f.Body), sent.Template)
}

// steps are the statuses that a carrier tells of a message that arrives and is read, in order.
func (a *act) steps() []omni.Status {
	able := a.able()
	all := []omni.Status{omni.StatusSent}
	if able.DeliveryStatus {
		all = append(all, omni.StatusDelivered)
	}
	if able.ReadStatus {
		all = append(all, omni.StatusRead)
	}
	return all
}

// told: a message goes from one to the next, and each is told as it comes.
func (a *act) told(t *testing.T) {
	a.behave(t, simulate.Behaviour{})
	in := a.conversation(t, a.text("did you get that?"))
	m, sent := a.answers(t, in, wire.SendMessage{Payload: wire.SendPayload{Text: a.text("yes")}})
	steps := a.steps()
	for _, s := range steps[1:] {
		require.NoError(t, a.Double.Report(t.Context(), sent, simulate.Report{Status: s}))
		require.Equal(t, s, a.ana.ExpectStatus(t, m.ID, s).Status)
	}
	var detail struct {
		StatusHistory []struct{ Status omni.Status }
	}
	a.Ana.Call(t, http.MethodGet, "/api/v1/messages/"+m.ID, nil).JSON(t, &detail)
	var history []omni.Status
	for _, h := range detail.StatusHistory {
		history = append(history, h.Status)
	}
	require.Equal(t, steps, history)
	a.show("statuses", "%v, each by message.status on the socket", history)
	if a.last() == omni.StatusRead {
		return
	}
	_, err := a.report(sent, simulate.Report{Status: omni.StatusRead})
	a.absent(t, "status read", err)
}
