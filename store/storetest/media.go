package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// withFiles is a message from the contact of i with files that wait to be fetched.
func (w *world) withFiles(i omni.Interaction, types ...omni.MediaType) omni.ServiceMessage {
	m := w.inbound(i, "")
	var files []omni.MediaReference
	for n, typ := range types {
		files = append(files, omni.MediaReference{
			Carrier: omni.CarrierTest, Type: typ, State: omni.MediaPending,
			External: omni.ExternalRef{URL: fmt.Sprintf("https://files.example/%s/%d", m.ID, n)},
		})
	}
	m.Payload = omni.NewPayload("look", files)
	return m
}

func mediaKeys(items []store.MediaItem) []string {
	return idsOf(items, func(i store.MediaItem) string { return fmt.Sprintf("%s/%d", i.Message.ID, i.Index) })
}

func mediaWaits(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	pending := func(now omni.Millis, limit int, partitions ...int) []string {
		t.Helper()
		if len(partitions) == 0 {
			partitions = allPartitions()
		}
		items, err := s.PendingMedia(ctx, partitions, now, limit)
		require.NoError(t, err)
		return mediaKeys(items)
	}
	next := func() omni.Millis {
		t.Helper()
		at, err := s.NextMedia(ctx, allPartitions())
		require.NoError(t, err)
		return at
	}
	require.Zero(t, next())

	w.append(t, s, w.inbound(w.talk, "no file"))
	done := w.withFiles(w.talk, omni.MediaImage)
	done.Payload.Image.References[0].State = omni.MediaReady
	w.append(t, s, done)
	out := w.withFiles(w.talk, omni.MediaImage)
	out.Direction, out.Status, out.CarrierMessageID = omni.Outbound, omni.StatusQueued, ""
	w.append(t, s, out)
	require.Empty(t, pending(base, 10), "only what came in and is not here yet waits")

	images := w.append(t, s, w.withFiles(w.talk, omni.MediaImage, omni.MediaImage)).Message
	mixed := w.append(t, s, w.withFiles(w.talk, omni.MediaImage, omni.MediaDocument)).Message
	again, err := s.AppendMessage(ctx, w.tenant, images)
	require.NoError(t, err)
	require.False(t, again.Created)
	keys := []string{images.ID + "/0", images.ID + "/1", mixed.ID + "/0", mixed.ID + "/1"}
	require.Equal(t, keys, pending(base, 10), "once, in order")
	require.Equal(t, keys[:3], pending(base, 3))
	require.Empty(t, pending(base, 0))
	require.Equal(t, keys[:2], pending(base, 10, store.MediaPartition(images.ID))[:2])
	require.NotContains(t, pending(base, 10, (store.MediaPartition(images.ID)+1)%store.Partitions), keys[0])
	require.Equal(t, omni.Millis(1), next())

	// One that failed for now keeps its place, and waits.
	ref := images.Payload.Files()[0]
	m, err := s.SetMedia(ctx, w.tenant, images.ID, 0, ref, base+100)
	require.NoError(t, err)
	require.Equal(t, images, m)
	require.Equal(t, keys[1:], pending(base+99, 10))
	items, err := s.PendingMedia(ctx, allPartitions(), base+100, 1)
	require.NoError(t, err)
	require.Equal(t, []store.MediaItem{{Message: images, Index: 0, Attempts: 1, NotBefore: base + 100}}, items)
	require.Equal(t, omni.Millis(1), next())

	// One that is here is part of its message, and nothing else of it changes.
	ready := mixed.Payload.Files()[1]
	ready.ID, ready.State, ready.ContentType, ready.Size, ready.SHA256 = omni.NewID(), omni.MediaReady, "video/mp4", 42, "ab"
	ready.Type = omni.MediaVideo
	m, err = s.SetMedia(ctx, w.tenant, mixed.ID, 1, ready, 0)
	require.NoError(t, err)
	want := mixed
	want.Payload.Media = []omni.MediaMessage{mixed.Payload.Media[0], {Type: omni.MediaVideo, Reference: ready}}
	require.Equal(t, want, m)
	got, err := s.Message(ctx, w.tenant, mixed.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, omni.MediaPending, mixed.Payload.Media[1].Reference.State, "copies")

	failed := images.Payload.Files()[1]
	failed.State, failed.Failure = omni.MediaFailed, "gone"
	m, err = s.SetMedia(ctx, w.tenant, images.ID, 1, failed, 0)
	require.NoError(t, err)
	require.Equal(t, []omni.MediaReference{ref, failed}, m.Payload.Files())
	require.Equal(t, []string{keys[0], keys[2]}, pending(base+100, 10))

	for _, c := range []struct {
		id    string
		index int
		want  error
	}{
		{images.ID, 1, omni.ErrConflict},
		{images.ID, 2, omni.ErrConflict},
		{images.ID, -1, omni.ErrConflict},
		{done.ID, 0, omni.ErrConflict},
		{omni.NewID(), 0, omni.ErrNotFound},
	} {
		for _, r := range []omni.MediaReference{ref, ready} {
			_, err = s.SetMedia(ctx, w.tenant, c.id, c.index, r, base)
			require.ErrorIs(t, err, c.want)
		}
	}
	_, err = s.SetMedia(ctx, w.tenant, mixed.ID, 0, failed, 0)
	require.NoError(t, err)
	require.Equal(t, base+100, next())
}

func oneFetchCounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.withFiles(w.talk, omni.MediaImage, omni.MediaImage)).Message
	_, errs := atOnce(16, func(n int) (omni.ServiceMessage, error) {
		ref := m.Payload.Files()[1]
		ref.State, ref.SHA256 = omni.MediaReady, fmt.Sprint(n)
		return s.SetMedia(ctx, w.tenant, m.ID, 1, ref, 0)
	})
	winner := oneWins(t, errs, omni.ErrConflict)
	got, err := s.Message(ctx, w.tenant, m.ID)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(winner), got.Payload.Files()[1].SHA256)
	require.Equal(t, omni.MediaPending, got.Payload.Files()[0].State)
}
