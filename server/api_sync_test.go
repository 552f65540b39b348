package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/store"
)

func (s *system) sync(token, since string, limit int) server.SyncBody {
	s.t.Helper()
	r := s.call(http.MethodGet, fmt.Sprintf("/api/v1/sync?limit=%d&since=%s", limit, url.QueryEscape(since)), token, nil)
	require.Equal(s.t, http.StatusOK, r.StatusCode, r.body)
	var b server.SyncBody
	r.into(s.t, &b)
	return b
}

func TestSync(t *testing.T) {
	t.Parallel()
	s := start(t)
	begin := s.sync(s.a.agentToken, "", 50)
	require.Equal(t, wire.Reset, begin.State)
	require.NotEmpty(t, begin.Topics)
	require.NotEmpty(t, begin.Next)

	var ids []string
	for range 5 {
		ids = append(ids, s.visitorWrites(s.a, "hello").ID)
	}
	s.visitorWrites(s.b, "not theirs")
	got := map[string]wire.Message{}
	talks := map[string]wire.Interaction{}
	next := begin.Next
	for more := true; more; {
		b := s.sync(s.a.agentToken, next, 2)
		require.Equal(t, wire.Recovered, b.State)
		require.LessOrEqual(t, len(b.Interactions)+len(b.Messages), 2)
		for _, m := range b.Messages {
			got[m.ID] = m
		}
		for _, i := range b.Interactions {
			talks[i.ID] = i
		}
		next, more = b.Next, b.More
	}
	require.Len(t, got, 5)
	for _, id := range ids {
		require.Contains(t, got, id)
		require.Contains(t, talks, got[id].InteractionID)
	}
	b := s.sync(s.a.agentToken, next, 50)
	require.Empty(t, b.Messages)
	require.Empty(t, b.Interactions)
	require.False(t, b.More)

	// A moment. The store began empty, so all there is can be told.
	b = s.sync(s.a.agentToken, "1", 200)
	require.Equal(t, wire.Recovered, b.State)
	require.Len(t, b.Messages, 5)

	// Somebody else's place.
	r := s.call(http.MethodGet, "/api/v1/sync?since="+url.QueryEscape(next), s.b.agentToken, nil)
	require.Equal(t, http.StatusBadRequest, r.StatusCode, r.body)
	require.Equal(t, "invalid", r.code(t))
	for _, bad := range []string{"0", "-1", "yesterday", "99999999999999999999"} {
		r := s.call(http.MethodGet, "/api/v1/sync?since="+bad, s.a.agentToken, nil)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, r.StatusCode, bad)
		require.Equal(t, "invalid", r.code(t))
	}

	// Who sees other groups than before is told to read again; who sees none is told nothing.
	r = s.call(http.MethodPatch, "/api/v1/groups/"+s.a.group.ID, s.a.adminToken, map[string]any{"memberIds": []string{}}, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	b = s.sync(s.a.agentToken, next, 50)
	require.Equal(t, wire.Reset, b.State)
	b = s.sync(s.a.agentToken, "1", 50)
	require.Empty(t, b.Messages)
	require.Empty(t, b.Interactions)
}

// meanwhile is a store in which something happens right before changes are read.
type meanwhile struct {
	store.Store

	do func()
}

func (m *meanwhile) ChangedSince(ctx context.Context, t omni.Tenant, q store.ChangeQuery) (store.Changed, error) {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Store.ChangedSince(ctx, t, q)
}

// TestSyncIsAtLeastAsNewAsItsTopics: what comes while an answer is made may be in it and be told as an event as well, never
// neither.
func TestSyncIsAtLeastAsNewAsItsTopics(t *testing.T) {
	t.Parallel()
	var m *meanwhile
	s := start(t, func(d *server.Deps, _ *server.Options) {
		m = &meanwhile{Store: d.Store}
		d.Store = m
	})
	begin := s.sync(s.a.agentToken, "", 50)
	topic := omni.GroupTopic(s.a.group.ID)
	offset := func(b server.SyncBody) int64 {
		at := slices.IndexFunc(b.Topics, func(p wire.TopicPosition) bool { return p.Topic == topic })
		require.GreaterOrEqual(t, at, 0)
		return b.Topics[at].Offset
	}
	var id string
	m.do = func() { id = s.visitorWrites(s.a, "in between").ID }
	b := s.sync(s.a.agentToken, begin.Next, 50)
	require.Equal(t, offset(begin), offset(b), "positions are read before the data")
	require.True(t, slices.ContainsFunc(b.Messages, func(m wire.Message) bool { return m.ID == id }))
}
