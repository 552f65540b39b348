package e2e_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// follower is an agent's console that comes back by itself, whatever happens to its socket, and reads again when it is told
// to reset.
type follower struct {
	agent *Agent
	at    *System
	topic string

	client  *Client
	past    []*Client
	read    map[string]string // id of a message -> text, from reading again
	codes   map[int]int       // codes that the server closed with; 0: cut
	resets  int
	returns int
	counted bool // the end of client has been counted
}

func follow(t *testing.T, d *Desk, agent *Agent, at *System) *follower {
	t.Helper()
	w := &follower{agent: agent.On(at), at: at, topic: d.Topic(), read: map[string]string{}, codes: map[int]int{}}
	w.client = w.agent.Connect(t)
	return w
}

// back sees to it that the socket is open, and reports whether it is.
func (w *follower) back(t *testing.T) bool {
	t.Helper()
	if w.client.Open() {
		return true
	}
	if !w.counted {
		w.codes[w.client.CloseCode()]++
		w.counted = true
	}
	c, ok := w.at.Try(t, Dialing{Connect: wire.Connect{Token: w.agent.Token, Client: "e2e/1", Resume: w.client.Positions()}})
	if !ok {
		return false
	}
	if c.Topic(t, w.topic).State != wire.Recovered && !w.reread(t) {
		c.Cut()
		return false
	}
	w.past = append(w.past, w.client)
	w.client, w.counted = c, false
	w.returns++
	return true
}

// reread reads everything again, and reports whether that could be done.
func (w *follower) reread(t *testing.T) bool {
	t.Helper()
	w.resets++
	var its struct{ Items []wire.Interaction }
	a := w.agent.Call(t, http.MethodGet, "/api/v1/interactions?view=all&limit=200", nil)
	if a.Status != http.StatusOK {
		return false
	}
	a.JSON(t, &its)
	for _, it := range its.Items {
		for before := it.LastSeq + 1; before > 1; {
			var ms struct{ Items []wire.Message }
			a := w.agent.Call(t, http.MethodGet, fmt.Sprintf("/api/v1/interactions/%s/messages?limit=200&before=%d", it.ID, before), nil)
			if a.Status != http.StatusOK {
				return false
			}
			if a.JSON(t, &ms); len(ms.Items) == 0 {
				return false
			}
			for _, m := range ms.Items {
				w.read[m.ID] = m.Payload.Text
			}
			before = ms.Items[0].Seq
		}
	}
	return true
}

// known is all messages that the console knows, by id, and how many came by push more than once or out of order.
func (w *follower) known(t *testing.T) (texts map[string]string, doubled, disordered int) {
	t.Helper()
	texts = map[string]string{}
	for id, text := range w.read {
		texts[id] = text
	}
	pushed := map[string]bool{}
	for _, c := range append(append([]*Client(nil), w.past...), w.client) {
		last := map[string]int64{}
		for _, f := range c.Events(wire.MessageCreated) {
			m := Read[wire.Message](t, f)
			switch {
			case pushed[m.ID]:
				doubled++
			case m.Seq <= last[m.InteractionID]:
				disordered++
			}
			pushed[m.ID], last[m.InteractionID], texts[m.ID] = true, m.Seq, m.Payload.Text
		}
		if len(c.Gaps()) > 0 {
			disordered++
		}
	}
	return texts, doubled, disordered
}

// followers are several of them.
type followers []*follower

// back reports whether all are connected.
func (ws followers) back(t *testing.T) bool {
	t.Helper()
	all := true
	for _, w := range ws {
		all = w.back(t) && all
	}
	return all
}

// know waits until each knows so many messages, and returns what they missed, what came twice to one that was never reset,
// and what came out of order.
func (ws followers) know(t *testing.T, want map[string]bool) (missed, twice, disordered int) {
	t.Helper()
	end := time.Now().Add(Patience)
	for _, w := range ws {
		for {
			w.back(t)
			texts, doubled, wrong := w.known(t)
			have := map[string]int{}
			for _, text := range texts {
				have[text]++
			}
			lacks := 0
			for text := range want {
				if have[text] == 0 {
					lacks++
				}
			}
			if lacks == 0 || time.Now().After(end) {
				for _, n := range have {
					twice += n - 1
				}
				if w.resets == 0 {
					twice += doubled
				}
				missed, disordered = missed+lacks, disordered+wrong
				break
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	return missed, twice, disordered
}

func (ws followers) codes() map[int]int {
	all := map[int]int{}
	for _, w := range ws {
		for code, n := range w.codes {
			all[code] += n
		}
	}
	return all
}

func (ws followers) resets() (n int) {
	for _, w := range ws {
		n += w.resets
	}
	return n
}

// checkStored checks the store: each wanted text once, sequences without gaps, and the messages of a contact in the order in
// which they were written (the number after the last space).
func checkStored(t *testing.T, d *Desk, want map[string]bool) (lost, twice, disordered int) {
	t.Helper()
	rows := map[string]int{}
	for _, it := range d.Alpha.Interactions(t, omni.InteractionOpen) {
		last := map[omni.Direction]int{omni.Inbound: -1, omni.Outbound: -1}
		for n, m := range d.Alpha.Messages(t, it.ID) {
			require.Equal(t, int64(n+1), m.Seq, "sequences have no gaps")
			rows[m.Payload.Text]++
			number := numberOf(t, m.Payload.Text)
			if number <= last[m.Direction] {
				disordered++
			}
			last[m.Direction] = number
		}
	}
	for text := range want {
		switch {
		case rows[text] == 0:
			lost++
		case rows[text] > 1:
			twice++
		}
	}
	return lost, twice, disordered
}

// taken are the texts of the webhooks that were answered well.
func taken(all []posted) map[string]bool {
	want := map[string]bool{}
	for _, p := range all {
		if p.status/100 == 2 {
			want[p.text] = true
		}
	}
	return want
}

// numberOf is the number at the end of a text.
func numberOf(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text[strings.LastIndexByte(text, ' ')+1:])
	require.NoError(t, err)
	return n
}

// atFront is the desk behind a balancer.
func atFront(d *Desk, front *System) *Desk {
	there := *d
	there.System, there.Account = front, d.Account.On(front)
	there.Ana, there.Ben = d.Ana.On(front), d.Ben.On(front)
	return &there
}
