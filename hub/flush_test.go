package hub_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/omni/wire"
)

// A socket that is full in the middle of a frame gets the rest of it before anything else, once there is room; and what
// it shares a node with is not held up meanwhile.
func TestFullSocketIsWrittenToLater(t *testing.T) {
	t.Parallel()
	const events = 200 // more than the system keeps for a socket
	n := newNode(t, hub.Options{QueueMessages: events + 10, QueueBytes: 64 << 20}, desk{})
	slow := n.dialRaw(t)
	slow.send(t, connectFrame(agent("slow", "org/o1")))
	_, _, err := slow.frame()
	require.NoError(t, err)
	other, _ := n.connect(t, agent("other", "org/o1"))
	long := strings.Repeat("x", 50_000)
	for i := range events {
		_, err := n.Publish(t.Context(), "org/o1", "x", long)
		require.NoError(t, err)
		require.EqualValues(t, i+1, other.next().Offset)
	}
	require.Positive(t, n.Stats().QueueBytes, "the slow one's socket is full")

	require.NoError(t, slow.SetDeadline(time.Now().Add(20*time.Second)))
	for want := int64(1); want <= events; {
		first, payload, err := slow.frame()
		require.NoError(t, err)
		require.EqualValues(t, text, first)
		for line := range bytes.SplitSeq(payload, []byte{'\n'}) {
			var e wire.Event
			require.NoError(t, json.Unmarshal(line, &e))
			require.Equal(t, want, e.Offset)
			want++
		}
	}
	_, err = n.Publish(t.Context(), "org/o1", "x", "last")
	require.NoError(t, err)
	_, payload, err := slow.frame()
	require.NoError(t, err)
	require.Contains(t, string(payload), `"last"`)
}
