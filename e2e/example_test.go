package e2e_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/docs/examples/follow"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni/wire"
)

// The program of docs/realtime.md hears of a message, and ends where coming back is of no use.
func TestExampleFollows(t *testing.T) {
	t.Parallel()
	sys := Start(t, Options{})
	d := NewDesk(t, sys)
	w := d.Alpha.Widget(t, d.Group)
	ctx, cancel := context.WithCancel(t.Context())
	events, reloads := make(chan follow.Event, 100), make(chan struct{}, 10)
	c := &follow.Client{
		URL: sys.URL, Key: d.Alpha.Key, Handle: func(e follow.Event) { events <- e },
		Changed: func(follow.Changes) {},
		Reload:  func(context.Context) error { reloads <- struct{}{}; return nil },
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	deadline := time.After(Patience)
	select {
	case <-reloads: // it has a place to go on from, and its topics
	case <-deadline:
		require.Fail(t, "it did not connect")
	}
	visitor := w.Visit(t, "").Connect(t)
	visitor.Must(t, wire.CmdMessageSend, wire.SendMessage{ClientID: NewClientID(), Payload: wire.SendPayload{Text: "hello"}}, nil)
	for heard := false; !heard; {
		select {
		case e := <-events:
			var m wire.Message
			heard = e.Type == wire.MessageCreated && json.Unmarshal(e.Data, &m) == nil && m.Payload.Text == "hello"
		case <-deadline:
			require.Fail(t, "it did not hear of the message")
		}
	}
	cancel()
	require.ErrorIs(t, <-ran, context.Canceled)

	wrong := &follow.Client{URL: sys.URL, Key: "omni_wrong", Handle: func(follow.Event) {}}
	err := wrong.Run(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, context.Canceled)
	require.Contains(t, err.Error(), "unauthenticated")
}
