package sqlitestore

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// TestFilesOfOlderMessagesAreFetchedToo takes a database back to before files were fetched, and runs the migration again.
func TestFilesOfOlderMessagesAreFetchedToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "omni.db")
	s := open(t, path)
	tenant := omni.Org(omni.NewID())
	i, _, err := s.OpenInteraction(t.Context(), tenant, omni.Interaction{
		ID: omni.NewID(), Tenant: tenant, IdentityID: omni.NewID(), DigitalChannelID: omni.NewID(), State: omni.InteractionOpen,
	}, 0)
	require.NoError(t, err)
	send := func(d omni.Direction, files ...omni.MediaReference) omni.ServiceMessage {
		a, err := s.AppendMessage(t.Context(), tenant, omni.ServiceMessage{
			ID: omni.NewID(), Tenant: tenant, InteractionID: i.ID, Direction: d, Payload: omni.NewPayload("words", files),
			Channel: omni.ReceivedChannel{DigitalChannelID: i.DigitalChannelID, ChannelType: omni.ChannelMMS},
		})
		require.NoError(t, err)
		return a.Message
	}
	image := omni.MediaReference{Type: omni.MediaImage, State: omni.MediaPending}
	film := omni.MediaReference{Type: omni.MediaVideo, State: omni.MediaPending}
	ready := omni.MediaReference{Type: omni.MediaImage, State: omni.MediaReady}
	send(omni.Inbound)
	images := send(omni.Inbound, ready, image)
	mixed := send(omni.Inbound, film, ready)
	send(omni.Outbound, image)

	steps, err := migrations()
	require.NoError(t, err)
	c := <-s.writer
	_, err = c.sql.ExecContext(t.Context(), "DROP TABLE pending_media")
	require.NoError(t, err)
	_, err = c.sql.ExecContext(t.Context(), steps[1].sql)
	require.NoError(t, err)
	s.writer <- c

	all := make([]int, store.Partitions)
	for n := range all {
		all[n] = n
	}
	items, err := s.PendingMedia(t.Context(), all, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []store.MediaItem{{Message: images, Index: 1}, {Message: mixed, Index: 0}}, items)
}
