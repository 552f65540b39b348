package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestR2_SameWebhookTwiceAtOnce(t *testing.T) {
	t.Parallel()
	const messages, contacts = 500, 10
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)

	each(messages, 8, func(i int) {
		form := d.Account.SMS(NewSID(), Phone(i%contacts), Number, fmt.Sprintf("message %d", i))
		atOnce(2, func(int) {
			status, err := d.Account.Post(form)
			if err != nil || status != http.StatusOK {
				t.Errorf("message %d: %d %v", i, status, err)
			}
		})
	})
	ana.Until(t, wire.MessageCreated, messages)
	d.Drained(t)
	d.Account.Receive(t, Phone(0), Number, "the end")
	ana.ExpectText(t, "the end")

	pushed := map[string]int{}
	for _, f := range ana.Events(wire.MessageCreated) {
		pushed[Read[wire.Message](t, f).Payload.Text]++
	}
	rows := map[string]int{}
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	require.Len(t, its, contacts)
	for _, it := range its {
		for n, m := range d.Alpha.Messages(t, it.ID) {
			require.Equal(t, int64(n+1), m.Seq, "sequences have no gaps")
			rows[m.Payload.Text]++
		}
	}
	require.Len(t, rows, messages+1)
	require.Len(t, pushed, messages+1)
	for text := range rows {
		require.Equal(t, 1, rows[text], "rows of %q", text)
		require.Equal(t, 1, pushed[text], "pushes of %q", text)
	}
	require.Empty(t, ana.Gaps())
	require.Zero(t, ana.Repeated())
	t.Logf("R2: %d messages, each posted twice at once: %d rows, %d pushes", messages, len(rows)-1, len(pushed)-1)
}

// atOnce calls do n times at the same instant and waits.
func atOnce(n int, do func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { <-start; do(i) })
	}
	close(start)
	wg.Wait()
}

func TestR3_SameWebhookLater(t *testing.T) {
	t.Parallel()
	const messages = 20
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)
	var sids []string
	post := func(i int) {
		status, err := d.Account.Post(d.Account.SMS(sids[i], Phone(i%4), Number, fmt.Sprintf("message %d", i)))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
	}
	for i := range messages {
		sids = append(sids, NewSID())
		post(i)
	}
	ana.Until(t, wire.MessageCreated, messages)
	for _, later := range []time.Duration{time.Minute, time.Hour, 25 * time.Hour} {
		d.Advance(later)
		for i := range messages {
			post(i)
		}
		d.Drained(t)
	}
	rows := 0
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	require.Len(t, its, 4)
	for _, it := range its {
		rows += len(d.Alpha.Messages(t, it.ID))
	}
	require.Equal(t, messages, rows)
}

func TestR4_TwoFirstMessagesAtOnce(t *testing.T) {
	t.Parallel()
	const contacts = 200
	d := NewDesk(t, Start(t, Options{}))
	ana := d.Ana.Connect(t)
	each(contacts, 4, func(i int) {
		atOnce(2, func(k int) {
			status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i), Number, fmt.Sprintf("word %d of %d", k, i)))
			if err != nil || status != http.StatusOK {
				t.Errorf("contact %d: %d %v", i, status, err)
			}
		})
	})
	ana.Until(t, wire.MessageCreated, 2*contacts)
	d.Drained(t)
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	people := d.Alpha.Contacts(t)
	require.Len(t, its, contacts)
	require.Len(t, people, contacts)
	require.Len(t, ana.Events(wire.InteractionCreated), contacts)
	require.Len(t, ana.Events(wire.MessageCreated), 2*contacts)
	for _, it := range its {
		require.Equal(t, int64(2), it.LastSeq)
	}
	t.Logf("R4: two first messages of %d contacts: %d contacts, %d open conversations", contacts, len(people), len(its))
}

// A long text comes in parts, out of order and some of them twice; another sender uses the same reference.
func TestR24_PartsOfALongText(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	acc := d.Alpha.TestAccount(t, "Test")
	const number = "+15005550009"
	acc.Channel(t, omni.ChannelSMS, number, d.Group)
	ana := d.Ana.Connect(t)

	one := []string{"first of one, ", "second of one, ", "third of one"}
	two := []string{"first of two, ", "second of two, ", "third of two"}
	for _, p := range []struct {
		from  string
		texts []string
		i     int
	}{{Phone(1), one, 2}, {Phone(2), two, 0}, {Phone(1), one, 0}, {Phone(1), one, 2}, {Phone(2), two, 2}, {Phone(1), one, 1}, {Phone(2), two, 1}, {Phone(2), two, 1}} {
		acc.Play(t, Event{
			Kind: "message", ID: omni.NewToken(8), From: p.from, To: number, Text: p.texts[p.i],
			Fragment: &Part{Reference: "7", Index: p.i + 1, Total: 3},
		})
	}
	require.Equal(t, 3, ana.ExpectText(t, "first of one, second of one, third of one").Segments)
	ana.ExpectText(t, "first of two, second of two, third of two")

	// One part never comes: after a minute the others are shown, and it is said what is missing.
	acc.Play(t, Event{
		Kind: "message", ID: omni.NewToken(8), From: Phone(3), To: number, Text: "the beginning",
		Fragment: &Part{Reference: "8", Index: 1, Total: 2},
	})
	d.Advance(2 * time.Minute)
	ana.ExpectText(t, "the beginning [part 2 of 2 is missing] ")
	d.Drained(t)
	require.Len(t, ana.Events(wire.MessageCreated), 3)
}
