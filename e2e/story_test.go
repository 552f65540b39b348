package e2e_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// A customer writes an SMS, an agent sees it, takes it and answers, and sees how far the answer has come.
func TestStoryOfAnSMS(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	ana, ben := d.Ana.Connect(t), d.Ben.Connect(t)

	d.Account.Receive(t, Phone(1), Number, "Hello, is anyone there?")
	it := Read[wire.Interaction](t, ana.Expect(t, wire.InteractionCreated, nil))
	require.Equal(t, Phone(1), it.ContactAddress)
	require.Equal(t, wire.Owner{Type: omni.EntityGroup, ID: d.Group}, it.Owner)
	require.Equal(t, "Hello, is anyone there?", it.LastPreview)
	require.Equal(t, 1, it.Unread)
	in := ana.ExpectText(t, "Hello, is anyone there?")
	require.Equal(t, it.ID, in.InteractionID)
	require.Equal(t, int64(1), in.Seq)
	require.Equal(t, omni.Inbound, in.Direction)
	require.Equal(t, omni.ChannelSMS, in.ChannelType)
	ben.ExpectText(t, "Hello, is anyone there?")

	var opened wire.InteractionOpened
	ana.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: it.ID}, &opened)
	require.Equal(t, omni.InteractionTopic(it.ID), opened.Topic)
	ana.Must(t, wire.CmdInteractionClaim, wire.InteractionAction{InteractionID: it.ID, Version: opened.Interaction.Version}, &it)
	require.Equal(t, wire.Owner{Type: omni.EntityUser, ID: d.Ana.ID}, it.Owner)
	taken := Read[wire.InteractionChange](t, ben.Expect(t, wire.InteractionAssigned, nil))
	require.Equal(t, d.Ana.ID, taken.By)
	require.Equal(t, it.Version, taken.Version)
	ana.Must(t, wire.CmdMessageRead, wire.ReadMessage{InteractionID: it.ID, Seq: 1}, nil)
	read := Read[wire.InteractionChange](t, ben.Expect(t, wire.InteractionUpdated, nil))
	require.Equal(t, 0, *read.Unread)

	send := wire.SendMessage{InteractionID: it.ID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: "Yes: how can I help?"}}
	var out wire.Message
	ana.Must(t, wire.CmdMessageSend, send, &out)
	require.Equal(t, omni.StatusQueued, out.Status)
	require.Equal(t, int64(2), out.Seq)
	require.Equal(t, d.Ana.ID, out.UserID)
	require.Equal(t, send.ClientID, out.ClientID)
	require.Equal(t, out.ID, ben.ExpectText(t, "Yes: how can I help?").ID)

	sent := d.Twilio.Await(t, 1)
	require.Equal(t, Number, sent.From)
	require.Equal(t, Phone(1), sent.To)
	require.Equal(t, "Yes: how can I help?", sent.Body)
	require.Contains(t, sent.Callback, d.Account.WebhookURL+"?")

	for _, status := range []omni.Status{omni.StatusSent, omni.StatusDelivered} {
		code, err := sent.Report(string(status))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code)
		ana.ExpectStatus(t, out.ID, status)
		ben.ExpectStatus(t, out.ID, status)
	}

	// The same command again, as after a lost answer, is the same message.
	var again wire.Message
	ana.Must(t, wire.CmdMessageSend, send, &again)
	require.Equal(t, out.ID, again.ID)
	require.Equal(t, omni.StatusDelivered, again.Status)

	var detail struct {
		Message       wire.Message
		StatusHistory []struct{ Status omni.Status }
	}
	d.Ana.Call(t, http.MethodGet, "/api/v1/messages/"+out.ID, nil).JSON(t, &detail)
	require.Equal(t, omni.StatusDelivered, detail.Message.Status)
	var history []omni.Status
	for _, h := range detail.StatusHistory {
		history = append(history, h.Status)
	}
	require.Subset(t, history, []omni.Status{omni.StatusSent, omni.StatusDelivered})

	// Resolving, and what the customer writes then.
	ana.Must(t, wire.CmdInteractionResolve, wire.InteractionAction{InteractionID: it.ID, Version: it.Version}, &it)
	require.Equal(t, omni.InteractionResolved, it.State)
	ben.Expect(t, wire.InteractionResolved, nil)
	d.Account.Receive(t, Phone(1), Number, "One more thing")
	ben.Expect(t, wire.InteractionReopened, nil)
	require.Equal(t, it.ID, ben.ExpectText(t, "One more thing").InteractionID)

	require.Equal(t, []string{"Hello, is anyone there?", "Yes: how can I help?", "One more thing"}, texts(d.Alpha.Messages(t, it.ID)))
	d.Drained(t)
	require.Len(t, d.Twilio.Sent(), 1, "the answer went out once")
	require.Empty(t, d.Twilio.Refused())
	require.Empty(t, ana.Gaps())
	require.Empty(t, ben.Gaps())
}

func texts(ms []wire.Message) []string {
	var all []string
	for _, m := range ms {
		all = append(all, m.Payload.Text)
	}
	return all
}

// Two agents claim at the same instant, on sockets and by REST: one has it, the other hears who.
func TestClaimRaceHasOneWinner(t *testing.T) {
	t.Parallel()
	const rounds, onSockets = 50, 30 // a socket takes 40 commands at once, then 20 a second
	d := NewDesk(t, Start(t, Options{}))
	ana, ben := d.Ana.Connect(t), d.Ben.Connect(t)
	wins := map[string]int{}
	for round := range rounds {
		it := d.Conversation(t, ana, Phone(round), "first")
		action := wire.InteractionAction{InteractionID: it.ID, Version: it.Version}
		outcomes := make([]claim, 2)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i, who := range []struct {
			agent  *Agent
			client *Client
		}{{d.Ana, ana}, {d.Ben, ben}} {
			wg.Go(func() {
				<-start
				if round < onSockets {
					outcomes[i] = claimOnSocket(t, who.client, action)
				} else {
					outcomes[i] = claimByREST(t, who.agent, action)
				}
			})
		}
		close(start)
		wg.Wait()
		winner, loser := d.Ana, outcomes[1]
		if !outcomes[0].ok {
			winner, loser = d.Ben, outcomes[0]
		}
		require.NotEqual(t, outcomes[0].ok, outcomes[1].ok, "round %d: exactly one wins", round)
		require.Equal(t, omni.CodeConflict, loser.code)
		require.Equal(t, wire.Person{ID: winner.ID, Name: winner.Name}, loser.by)
		require.Equal(t, winner.ID, loser.now.Owner.ID, "the loser gets the conversation as it is now")
		wins[winner.Name]++

		var now wire.Interaction
		d.Alpha.Call(t, http.MethodGet, "/api/v1/interactions/"+it.ID, nil).JSON(t, &now)
		require.Equal(t, wire.Owner{Type: omni.EntityUser, ID: winner.ID}, now.Owner)
	}
	require.Len(t, ana.Until(t, wire.InteractionAssigned, rounds), rounds, "one change a round is told")
	t.Logf("of %d rounds: %v", rounds, wins)
}

type claim struct {
	ok   bool
	code omni.Code
	by   wire.Person
	now  wire.Interaction
}

func claimOnSocket(t *testing.T, c *Client, a wire.InteractionAction) claim {
	f := c.Do(t, wire.CmdInteractionClaim, a)
	if f.Type == "ok" {
		return claim{ok: true}
	}
	out := claim{code: f.Error.Code}
	remarshal(t, f.Error.Details["by"], &out.by)
	remarshal(t, f.Error.Details["interaction"], &out.now)
	return out
}

func claimByREST(t *testing.T, a *Agent, action wire.InteractionAction) claim {
	res := a.Call(t, http.MethodPost, "/api/v1/interactions/"+action.InteractionID+"/claim", map[string]any{"version": action.Version})
	if res.Status == http.StatusOK {
		return claim{ok: true}
	}
	require.Equal(t, http.StatusConflict, res.Status)
	p := res.Problem(t)
	return claim{code: p.Code, by: p.Details.By, now: p.Details.Interaction}
}
