package pipeline_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

func TestNotes(t *testing.T) {
	t.Parallel()
	s := newSystem(t).run()
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	m, _, err := s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}})
	require.NoError(t, err)

	c := wire.AddNote{
		InteractionID: m.InteractionID, ClientID: omni.NewID(), Body: "wants a call, @ben",
		Mentions: []string{s.ben.Tenant.UserID, s.ben.Tenant.UserID},
	}
	n, created, err := s.AddNote(t.Context(), s.ana, c)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, s.ana.Tenant.UserID, n.Tenant.UserID)
	require.Equal(t, []string{s.ben.Tenant.UserID}, n.Mentions)
	again, created, err := s.AddNote(t.Context(), s.ana, c)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, n.ID, again.ID)
	events := s.pub.of(wire.NoteCreated)
	require.Len(t, events, 2)
	require.Equal(t, omni.GroupTopic(s.group.ID), events[0].topic)
	require.Equal(t, omni.UserTopic(s.ben.Tenant.UserID), events[1].topic, "whom it calls; and the visitor is told nothing")
	require.Equal(t, wire.NewNote(n), events[0].data)

	for field, change := range map[string]func(*wire.AddNote){
		"clientId":  func(c *wire.AddNote) { c.ClientID = "x" },
		"body":      func(c *wire.AddNote) { c.Body = " \n" },
		"body ":     func(c *wire.AddNote) { c.Body = "a\x00b" },
		"body  ":    func(c *wire.AddNote) { c.Body = strings.Repeat("x", omni.MaxText+1) },
		"mentions":  func(c *wire.AddNote) { c.Mentions = []string{s.outsider.Tenant.UserID} },
		"mentions ": func(c *wire.AddNote) { c.Mentions = []string{"$ne"} },
	} {
		wrong := c
		wrong.ClientID = omni.NewID()
		change(&wrong)
		_, _, err := s.AddNote(t.Context(), s.ana, wrong)
		require.Equal(t, strings.TrimSpace(field), problemField(err), field)
	}
	_, _, err = s.AddNote(t.Context(), s.ben, c)
	require.Equal(t, "clientId", problemField(err), "it is Ana's")
	_, _, err = s.AddNote(t.Context(), s.outsider, c)
	require.ErrorIs(t, err, omni.ErrNotFound)

	_, _, err = s.AddNote(t.Context(), s.ben, wire.AddNote{InteractionID: m.InteractionID, ClientID: omni.NewID(), Body: "done"})
	require.NoError(t, err)
	l, err := s.Notes(t.Context(), s.ana, m.InteractionID, store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 2)
	require.Equal(t, "done", l.Items[0].Body, "newest first")
	_, err = s.Notes(t.Context(), s.outsider, m.InteractionID, store.Page{})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestDraftsOfTwoDevices(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	save := func(tab omni.DraftTab, version int64, text string) (omni.Draft, error) {
		return s.SaveDraft(t.Context(), s.ana, wire.SaveDraft{InteractionID: it.ID, Tab: tab, Text: text, Version: version})
	}
	first, err := save(omni.DraftReply, 0, "Hel")
	require.NoError(t, err)
	require.EqualValues(t, 1, first.Version)
	second, err := save(omni.DraftReply, 1, "Hello")
	require.NoError(t, err)
	require.EqualValues(t, 2, second.Version)
	same, err := save(omni.DraftReply, 1, "Hello")
	require.NoError(t, err)
	require.Equal(t, second, same, "an answer that was lost")
	_, err = save(omni.DraftReply, 1, "Help")
	require.ErrorIs(t, err, omni.ErrConflict, "a device that has not seen it")
	var p *omni.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, wire.NewDraft(second), p.Details["draft"])
	_, err = save(omni.DraftNote, 0, "an angry one")
	require.NoError(t, err, "the tabs are apart")
	_, err = save(omni.DraftReply, 2, "")
	require.NoError(t, err)
	_, err = save(omni.DraftReply, 2, "Hello")
	require.ErrorIs(t, err, omni.ErrConflict, "what was sent does not come back")

	events := s.pub.of(wire.DraftUpdated)
	require.Len(t, events, 4)
	for _, e := range events {
		require.Equal(t, omni.UserTopic(s.ana.Tenant.UserID), e.topic, "hers alone")
	}
	require.Equal(t, wire.NewDraft(second), events[1].data)
	all, err := s.Drafts(t.Context(), s.ana, it.ID)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Empty(t, all[0].Text)
	require.EqualValues(t, 3, all[0].Version)
	require.Equal(t, "an angry one", all[1].Text)
	theirs, err := s.Drafts(t.Context(), s.ben, it.ID)
	require.NoError(t, err)
	require.Empty(t, theirs)

	for field, c := range map[string]wire.SaveDraft{
		"tab":     {InteractionID: it.ID, Tab: "both"},
		"text":    {InteractionID: it.ID, Tab: omni.DraftReply, Text: "a\x00b"},
		"replyTo": {InteractionID: it.ID, Tab: omni.DraftReply, ReplyTo: omni.NewID()},
	} {
		_, err := s.SaveDraft(t.Context(), s.ana, c)
		require.Equal(t, field, problemField(err))
	}
	_, err = s.SaveDraft(t.Context(), s.outsider, wire.SaveDraft{InteractionID: it.ID, Tab: omni.DraftReply})
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = s.Drafts(t.Context(), s.outsider, it.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestOfTwoDevicesAtOnceOneSaves(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	version := int64(0)
	for range 20 {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, text := range []string{omni.NewID(), omni.NewID()} {
			wg.Go(func() {
				_, errs[i] = s.SaveDraft(t.Context(), s.ana, wire.SaveDraft{InteractionID: it.ID, Tab: omni.DraftReply, Text: text, Version: version})
			})
		}
		wg.Wait()
		if errs[0] != nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], omni.ErrConflict)
		version++
	}
}
