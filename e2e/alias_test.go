package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers/simulate"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// WhatsApp knows many numbers of Brazil without their ninth digit: whoever is written to with it answers from there, in the same
// conversation, and is written to as before.
func TestANumberThatWhatsAppWritesOtherwise(t *testing.T) {
	t.Parallel()
	const dialled, known = "+5511987654321", "+551187654321"
	played := app.PlayedProviders()
	p := played[slices.IndexFunc(played, func(p app.Played) bool { return p.Provider.Name() == omni.CarrierWhatsApp })]
	s := Play(t, p, Options{RetryBase: 20 * time.Millisecond}, simulate.Options{Seed: 18})
	require.NoError(t, s.Double.SetBehaviour(simulate.Behaviour{Reports: simulate.AllRead()}))
	ana := s.Ana.Connect(t)
	write := func(from, text string) wire.Message {
		in := s.Inbound(omni.ChannelWhatsApp, 0, text)
		in.From = from
		require.NoError(t, s.Double.Receive(t.Context(), in))
		return ana.ExpectText(t, text)
	}
	first := write(dialled, "oi")
	for n, text := range []string{"one", "two"} {
		var out wire.Message
		ana.Must(t, wire.CmdMessageSend, wire.SendMessage{
			InteractionID: first.InteractionID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: text},
		}, &out)
		ana.ExpectStatus(t, out.ID, omni.StatusRead)
		require.Equal(t, dialled, s.Double.Sent()[n].To)
		require.Equal(t, first.InteractionID, write(known, "answer to "+text).InteractionID)
	}
}
