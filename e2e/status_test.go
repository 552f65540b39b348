package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// Statuses come doubled, shuffled, with some left out, and before the send's own answer.
func TestR22_StatusesOutOfOrder(t *testing.T) {
	t.Parallel()
	const messages = 60
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)
	it := d.Conversation(t, ana, Phone(1), "hello")

	rng := rand.New(rand.NewPCG(22, 22))
	var mu sync.Mutex
	early, delivered := 0, map[string]bool{}
	report := func(m Sent, statuses []string) {
		for _, s := range statuses {
			if code, err := m.Report(s); err != nil || code != http.StatusOK {
				t.Errorf("status %s: %d %v", s, code, err)
			}
		}
	}
	var later []func()
	d.Twilio.BeforeAnswer(func(m Sent) {
		mu.Lock()
		statuses := []string{"sending", "sent", "delivered"}
		if rng.IntN(10) == 0 {
			statuses = slices.Delete(statuses, 2, 3)
		}
		if rng.IntN(10) < 3 {
			statuses = append(statuses, statuses...)
		}
		if rng.IntN(10) < 3 {
			rng.Shuffle(len(statuses), func(i, j int) { statuses[i], statuses[j] = statuses[j], statuses[i] })
		}
		delivered[m.Body] = slices.Contains(statuses, "delivered")
		cut := 0
		if rng.IntN(10) < 5 {
			cut = 1 + rng.IntN(len(statuses))
			early++
		}
		later = append(later, func() { report(m, statuses[cut:]) })
		mu.Unlock()
		report(m, statuses[:cut])
	})
	ids := map[string]string{}
	for i := range messages {
		text := fmt.Sprintf("answer %d", i)
		ids[text] = d.Alpha.Send(t, it.ID, text).ID
	}
	d.Twilio.Await(t, messages)
	d.Drained(t)
	each(messages, 4, func(i int) { later[i]() })
	d.Drained(t)
	d.Account.Receive(t, Phone(1), Number, "the end")
	ana.ExpectText(t, "the end")

	backward, again, final := 0, 0, map[omni.Status]int{}
	rank := map[string]int{}
	for _, f := range ana.Events(wire.MessageStatus) {
		s := Read[wire.StatusChange](t, f)
		switch r := s.Status.Rank(); {
		case r < rank[s.MessageID]:
			backward++
		case r == rank[s.MessageID]:
			again++
		}
		rank[s.MessageID] = s.Status.Rank()
	}
	for _, m := range d.Alpha.Messages(t, it.ID) {
		if m.Direction == omni.Inbound {
			continue
		}
		want := omni.StatusSent
		if delivered[m.Payload.Text] {
			want = omni.StatusDelivered
		}
		require.Equal(t, want, m.Status, "%s", m.Payload.Text)
		require.Equal(t, want.Rank(), rank[ids[m.Payload.Text]], "agents heard the last status of %s", m.Payload.Text)
		final[m.Status]++
	}
	require.Len(t, d.Twilio.Sent(), messages, "each went out once")
	require.Zero(t, backward, "moves backward")
	t.Logf("R22: %d messages, %d with a status before the answer: %v; moves backward %d, told again %d",
		messages, early, final, backward, again)
}

// Statuses of messages that are not this account's are acknowledged and change nothing.
func TestR23_StatusOfNobodysMessage(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)
	it := d.Conversation(t, ana, Phone(1), "hello")
	m := d.Alpha.Send(t, it.ID, "answer")
	sent := d.Twilio.Await(t, 1)
	d.Drained(t)

	foreign := d.Beta.TwilioAccount(t, "Beta's")
	foreign.Channel(t, omni.ChannelSMS, Number, d.Beta.Group(t, "Beta's"))
	query := sent.Callback[strings.IndexByte(sent.Callback, '?'):]
	tests := []struct {
		name   string
		report func() (int, error)
	}{
		{"an id that nobody sent", func() (int, error) {
			return Sent{SID: NewSID(), Account: d.Account, From: Number, To: Phone(1), Callback: d.Account.WebhookURL}.Report("delivered")
		}},
		{"of a message of ours that is not there", func() (int, error) {
			return Sent{SID: NewSID(), Account: d.Account, From: Number, To: Phone(1), Callback: d.Account.WebhookURL + "?message=" + omni.NewID()}.Report("delivered")
		}},
		{"of another organisation's message, by the carrier's id", func() (int, error) {
			return Sent{SID: sent.SID, Account: foreign, From: Number, To: Phone(1), Callback: foreign.WebhookURL}.Report("delivered")
		}},
		{"of another organisation's message, by our id", func() (int, error) {
			return Sent{SID: sent.SID, Account: foreign, From: Number, To: Phone(1), Callback: foreign.WebhookURL + query}.Report("delivered")
		}},
		{"of our message by our id, with another carrier id", func() (int, error) {
			return Sent{SID: NewSID(), Account: d.Account, From: Number, To: Phone(1), Callback: sent.Callback}.Report("delivered")
		}},
	}
	for _, tt := range tests {
		code, err := tt.report()
		require.NoError(t, err, tt.name)
		require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, code, tt.name)
		d.Drained(t)
		require.Equal(t, omni.StatusQueued, d.Alpha.Messages(t, it.ID)[1].Status, tt.name)
	}
	// The message's own status still gets through, and was not blocked by any of these.
	code, err := sent.Report("delivered")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	ana.ExpectStatus(t, m.ID, omni.StatusDelivered)
	require.Len(t, ana.Events(wire.MessageStatus), 1)
}

// What the carrier refuses is told with its reason; an opt-out is remembered.
func TestR21_RefusedByTheCarrier(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)
	it := d.Conversation(t, ana, Phone(1), "hello")
	d.Twilio.Answer(func(Sent) Reply { return Reply{Status: http.StatusBadRequest, Code: 21610} })

	m := d.Alpha.Send(t, it.ID, "answer")
	s := ana.ExpectStatus(t, m.ID, omni.StatusFailed)
	require.Equal(t, omni.ReasonOptedOut, s.Reason)
	require.Equal(t, "21610", s.ErrorCode)
	require.NotEmpty(t, s.ErrorText)
	ana.Expect(t, wire.ConsentChanged, nil)
	d.Drained(t)
	require.Len(t, d.Twilio.Sent(), 1, "tried once")

	a := d.Alpha.Call(t, http.MethodPost, "/api/v1/interactions/"+it.ID+"/messages",
		map[string]any{"clientId": NewClientID(), "payload": map[string]any{"text": "again"}})
	require.Equal(t, omni.CodeOptedOut, a.Problem(t).Code)
	require.Len(t, d.Twilio.Sent(), 1)
}
