package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// A socket that was cut comes back with what it knows, and gets exactly what it missed.
func TestCutSocketMissesNothing(t *testing.T) {
	t.Parallel()
	const missed = 200
	d := NewDesk(t, Start(t, Options{}))
	ana, ben := d.Ana.Connect(t), d.Ben.Connect(t)
	for i := range 10 {
		d.Account.Receive(t, Phone(i), Number, fmt.Sprintf("before %d", i))
	}
	ana.Until(t, wire.MessageCreated, 10)
	ana.Cut()
	positions := ana.Positions()

	each(missed, 4, func(i int) { d.Account.Receive(t, Phone(i%10), Number, fmt.Sprintf("missed %d", i)) })
	ben.Until(t, wire.MessageCreated, 10+missed)

	again := d.Ana.Connect(t, positions...)
	require.Equal(t, wire.Recovered, again.Topic(t, d.Topic()).State)
	d.Account.Receive(t, Phone(0), Number, "after")
	again.ExpectText(t, "after")
	got := map[string]int{}
	for _, f := range again.Events(wire.MessageCreated) {
		got[Read[wire.Message](t, f).Payload.Text]++
	}
	require.Len(t, got, missed+1, "what was missed, and what came after")
	for i := range missed {
		require.Equal(t, 1, got[fmt.Sprintf("missed %d", i)])
	}
	require.Empty(t, again.Gaps())
	require.Zero(t, again.Repeated(), "nothing comes twice")
}

// Who missed more than is kept hears so, reads again by REST, and misses nothing either.
func TestMoreMissedThanIsKept(t *testing.T) {
	t.Parallel()
	const contacts, missed = 20, 1100
	d := NewDesk(t, Start(t, Options{}))
	ana, ben := d.Ana.Connect(t), d.Ben.Connect(t)
	d.Account.Receive(t, Phone(0), Number, "before")
	ana.ExpectText(t, "before")
	ana.Cut()
	positions := ana.Positions()

	each(missed, 16, func(i int) { d.Account.Receive(t, Phone(i%contacts), Number, fmt.Sprintf("missed %d", i)) })
	ben.Until(t, wire.MessageCreated, 1+missed)

	again := d.Ana.Connect(t, positions...)
	state := again.Topic(t, d.Topic())
	require.Equal(t, wire.Reset, state.State)
	seen := Refetch(t, d.Ana)
	require.Len(t, seen.Texts, 1+missed)
	for i := range missed {
		require.Contains(t, seen.Texts, fmt.Sprintf("missed %d", i))
	}
	for _, p := range seen.Topics {
		if p.Topic == d.Topic() {
			require.Equal(t, state.Epoch, p.Epoch)
			require.GreaterOrEqual(t, p.Offset, state.Offset, "the lists say up to which event they are true")
		}
	}
	d.Account.Receive(t, Phone(0), Number, "after")
	again.ExpectText(t, "after")
	require.Empty(t, again.Gaps())
}

// A ticket opens one socket, and the socket of a session that ends is closed.
func TestTicketsAndTheEndOfASession(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	var ticket struct{ Ticket string }
	d.Ana.Call(t, http.MethodPost, "/api/v1/realtime/tickets", map[string]any{}).JSON(t, &ticket)
	first := d.Dial(t, Dialing{Connect: wire.Connect{Ticket: ticket.Ticket}})
	require.Equal(t, d.Ana.ID, first.Connected.UserID)

	second, _, err := d.Open(t, Dialing{})
	require.NoError(t, err)
	second.Start(t, wire.CmdConnect, wire.Connect{Ticket: ticket.Ticket})
	require.EqualValues(t, 4401, second.Closed(t).Code)

	var ana struct{ Version int64 }
	d.Alpha.Call(t, http.MethodGet, "/api/v1/users/"+d.Ana.ID, nil).JSON(t, &ana)
	a := d.Alpha.Call(t, http.MethodPatch, "/api/v1/users/"+d.Ana.ID, map[string]any{"disabled": true}, "If-Match", fmt.Sprintf(`"%d"`, ana.Version))
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	require.Contains(t, []int{4401, 4403}, int(first.Closed(t).Code), "an agent who was removed is out")
	require.Equal(t, http.StatusUnauthorized, d.Ana.Call(t, http.MethodGet, "/api/v1/me", nil).Status)
	require.Equal(t, omni.CodeUnauthenticated, d.Ana.Call(t, http.MethodGet, "/api/v1/me", nil).Problem(t).Code)
}
