package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

func TestLabelsByREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	const labels = "/api/v1/labels"
	require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, labels, s.a.agentToken, `{"name":"VIP"}`).StatusCode)
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodPost, labels, s.a.adminToken, `{"name":"VIP","colour":"red"}`).StatusCode)
	made := s.call(http.MethodPost, labels, s.a.adminToken, `{"name":"VIP","colour":"#1a73e8"}`)
	require.Equal(t, http.StatusCreated, made.StatusCode, made.body)
	var label server.LabelBody
	made.into(t, &label)
	var change wire.SettingsChange
	require.NoError(t, json.Unmarshal(k.event(wire.SettingsChanged).Data, &change))
	require.Equal(t, wire.SettingsChange{Kind: "label", ID: label.ID}, change)
	require.Equal(t, http.StatusConflict, s.call(http.MethodPost, labels, s.a.adminToken, `{"name":"vip"}`).StatusCode, "its name is another's")
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, labels, s.a.adminToken, `{"name":"Spam"}`).StatusCode)

	one := labels + "/" + label.ID
	require.Equal(t, http.StatusPreconditionRequired, s.call(http.MethodPatch, one, s.a.adminToken, `{"name":"x"}`).StatusCode)
	require.Equal(t, http.StatusConflict, s.call(http.MethodPatch, one, s.a.adminToken, `{"name":"SPAM"}`, "If-Match", made.Header.Get("ETag")).StatusCode)
	changed := s.call(http.MethodPatch, one, s.a.adminToken, `{"name":"Vip"}`, "If-Match", made.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, changed.StatusCode, changed.body)
	require.Equal(t, http.StatusPreconditionFailed, s.call(http.MethodPatch, one, s.a.adminToken, `{"name":"x"}`, "If-Match", made.Header.Get("ETag")).StatusCode)

	var list struct{ Items []server.LabelBody }
	s.call(http.MethodGet, labels, s.a.agentToken, nil).into(t, &list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "Vip", list.Items[1].Name)
	require.Equal(t, http.StatusNoContent, s.call(http.MethodDelete, one, s.a.adminToken, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodDelete, one, s.a.adminToken, nil).StatusCode)
}

// TestInteractionsAreOrganised: what the commands do REST does too, by the same rules.
func TestInteractionsAreOrganised(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := s.ids(s.a)
	path := "/api/v1/interactions/" + ids["interaction"]
	other := s.a.group
	other.ID, other.Name = omni.NewID(), "Billing"
	require.NoError(t, s.store.CreateGroup(t.Context(), omni.Org(s.a.org.ID), other))
	s.pipe.Forget("group", other.ID)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})

	interaction := func(f frame) (i wire.Interaction) {
		t.Helper()
		require.Equal(t, "ok", f.Type, "%+v", f.Error)
		require.NoError(t, json.Unmarshal(f.Data, &i))
		return i
	}
	change := func(typ string) (c wire.InteractionChange) {
		t.Helper()
		require.NoError(t, json.Unmarshal(k.event(typ).Data, &c))
		return c
	}
	label := wire.LabelInteraction{InteractionID: ids["interaction"], Version: 1, LabelIDs: []string{ids["label"]}}
	i := interaction(k.command(wire.CmdInteractionLabel, label))
	require.Equal(t, label.LabelIDs, i.LabelIDs)
	require.Equal(t, label.LabelIDs, *change(wire.InteractionUpdated).LabelIDs)
	stale := s.call(http.MethodPost, path+"/label", s.a.adminToken, map[string]any{"version": 1, "labelIds": []string{}})
	require.Equal(t, http.StatusConflict, stale.StatusCode)
	require.Contains(t, stale.body, s.a.agent.Name)
	r := s.call(http.MethodPost, path+"/label", s.a.adminToken, map[string]any{"version": i.Version, "labelIds": []string{}})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)

	until := omni.MillisOf(s.clock.Now().Add(time.Hour))
	i = interaction(k.command(wire.CmdInteractionSnooze, wire.SnoozeInteraction{InteractionID: i.ID, Version: i.Version + 1, Until: until}))
	require.Equal(t, until, i.SnoozedUntil)
	require.Equal(t, omni.InteractionSnoozed, *change(wire.InteractionSnoozed).State)
	r = s.call(http.MethodPost, path+"/snooze", s.a.adminToken, map[string]any{"version": i.Version, "until": 1})
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	r = s.call(http.MethodPost, path+"/snooze", s.a.adminToken, map[string]any{"version": i.Version, "until": until + 1})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)

	i = interaction(k.command(wire.CmdInteractionMove, wire.MoveInteraction{InteractionID: i.ID, Version: i.Version + 1, GroupID: other.ID}))
	require.Equal(t, other.ID, i.GroupID)
	require.Equal(t, other.ID, *change(wire.InteractionMoved).GroupID)
	r = s.call(http.MethodPost, path+"/move", s.a.agentToken, map[string]any{"version": i.Version, "groupId": s.a.group.ID})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.NotEmpty(t, r.Header.Get("ETag"))
}

// TestNotesAndDrafts: what an agent writes for colleagues and for later, by socket and by REST.
func TestNotesAndDrafts(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := s.ids(s.a)
	path := "/api/v1/interactions/" + ids["interaction"]
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	boss, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.adminToken})

	add := wire.AddNote{InteractionID: ids["interaction"], ClientID: omni.NewID(), Body: "call back", Mentions: []string{s.a.admin.ID}}
	f := k.command(wire.CmdNoteAdd, add)
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var n, told wire.Note
	require.NoError(t, json.Unmarshal(f.Data, &n))
	require.Equal(t, s.a.agent.ID, n.UserID)
	first, second := boss.event(wire.NoteCreated), boss.event(wire.NoteCreated)
	require.ElementsMatch(t, []string{omni.GroupTopic(s.a.group.ID), omni.UserTopic(s.a.admin.ID)}, []string{first.Topic, second.Topic})
	require.NoError(t, json.Unmarshal(second.Data, &told))
	require.Equal(t, n, told)
	again := s.call(http.MethodPost, path+"/notes", s.a.agentToken, map[string]any{"clientId": add.ClientID, "body": add.Body})
	require.Equal(t, http.StatusOK, again.StatusCode, again.body)
	r := s.call(http.MethodPost, path+"/notes", s.a.adminToken, map[string]any{"clientId": omni.NewID(), "body": "done"})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var notes struct{ Items []wire.Note }
	s.call(http.MethodGet, path+"/notes", s.a.agentToken, nil).into(t, &notes)
	require.Len(t, notes.Items, 2)
	require.Equal(t, "done", notes.Items[0].Body)

	other, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	f = k.command(wire.CmdDraftSave, wire.SaveDraft{InteractionID: ids["interaction"], Tab: omni.DraftReply, Text: "Hel"})
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var d wire.Draft
	require.NoError(t, json.Unmarshal(other.event(wire.DraftUpdated).Data, &d))
	require.Equal(t, "Hel", d.Text)
	r = s.call(http.MethodPut, path+"/drafts", s.a.agentToken, map[string]any{"tab": "reply", "text": "Hello", "version": 0})
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, r.body, `"text":"Hel"`)
	r = s.call(http.MethodPut, path+"/drafts", s.a.agentToken, map[string]any{"tab": "reply", "text": "Hello", "version": d.Version})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	for _, from := range []string{path + "/drafts", "/api/v1/drafts"} {
		var drafts struct{ Items []wire.Draft }
		s.call(http.MethodGet, from, s.a.agentToken, nil).into(t, &drafts)
		require.Len(t, drafts.Items, 1, from)
		require.Equal(t, "Hello", drafts.Items[0].Text)
		s.call(http.MethodGet, from, s.a.adminToken, nil).into(t, &drafts)
		require.Empty(t, drafts.Items, "they are their writer's alone")
	}
}

func TestAChangedContactIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := s.ids(s.a)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	r := s.call(http.MethodPatch, "/api/v1/contacts/"+ids["contact"], s.a.adminToken, `{"name":"Ana Ruiz","labels":[]}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	e := k.event(wire.ContactUpdated)
	require.Equal(t, omni.OrgTopic(s.a.org.ID), e.Topic)
	require.JSONEq(t, `{"contactId":"`+ids["contact"]+`","version":2,"name":"Ana Ruiz","labels":[],"by":"`+s.a.admin.ID+`"}`, string(e.Data))
	r = s.call(http.MethodPatch, "/api/v1/contacts/"+ids["contact"], s.a.adminToken, `{"name":"x"}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusPreconditionFailed, r.StatusCode)
}
