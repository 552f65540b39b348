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
