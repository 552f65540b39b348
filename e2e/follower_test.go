package e2e_test

import (
	"fmt"
	"maps"
	"math"
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
	crossed int  // messages of agents that came after a later one
}

func newFollower(t *testing.T, d *Desk, agent *Agent, at *System) *follower {
	t.Helper()
	w := &follower{agent: agent.On(at), at: at, topic: d.Topic(), read: map[string]string{}, codes: map[int]int{}}
	w.client = w.agent.Connect(t)
	return w
}

// back sees to it that the socket is open, and reports whether it is.
func (f *follower) back(t *testing.T) bool {
	t.Helper()
	if f.client.Open() {
		return true
	}
	if !f.counted {
		f.codes[f.client.CloseCode()]++
		f.counted = true
	}
	c, ok := f.at.Try(t, Dialing{Connect: wire.Connect{Token: f.agent.Token, Client: "e2e/1", Resume: f.client.Positions()}})
	if !ok {
		return false
	}
	if c.Topic(t, f.topic).State != wire.Recovered && !f.reread(t) {
		c.Cut()
		return false
	}
	f.past = append(f.past, f.client)
	f.client, f.counted = c, false
	f.returns++
	return true
}

// reread reads everything again, and reports whether that could be done.
func (f *follower) reread(t *testing.T) bool {
	t.Helper()
	f.resets++
	var its struct{ Items []wire.Interaction }
	a := f.agent.Call(t, http.MethodGet, "/api/v1/interactions?view=all&limit=200", nil)
	if a.Status != http.StatusOK {
		return false
	}
	a.JSON(t, &its)
	for _, it := range its.Items {
		for before := it.LastSeq + 1; before > 1; {
			var ms struct{ Items []wire.Message }
			a := f.agent.Call(t, http.MethodGet, fmt.Sprintf("/api/v1/interactions/%s/messages?limit=200&before=%d", it.ID, before), nil)
			if a.Status != http.StatusOK {
				return false
			}
			if a.JSON(t, &ms); len(ms.Items) == 0 {
				return false
			}
			for _, m := range ms.Items {
				f.read[m.ID] = m.Payload.Text
			}
			before = ms.Items[0].Seq
		}
	}
	return true
}

// known is all messages that the console knows, by id, and how many came by push more than once, or after a later one of the
// same contact. What agents write at two nodes may cross: consoles go by the sequence. How many did is counted apart.
func (f *follower) known(t *testing.T) (texts map[string]string, doubled, disordered int) {
	t.Helper()
	texts = map[string]string{}
	maps.Copy(texts, f.read)
	pushed := map[string]bool{}
	f.crossed = 0
	for _, c := range append(append([]*Client(nil), f.past...), f.client) {
		last := map[string]int64{}
		for _, frame := range c.Events(wire.MessageCreated) {
			m := Read[wire.Message](t, frame)
			line := m.InteractionID + string(m.Direction)
			switch {
			case pushed[m.ID]:
				doubled++
			case m.Seq > last[line]:
			case m.Direction == omni.Inbound:
				disordered++
			default:
				f.crossed++
			}
			pushed[m.ID], last[line], texts[m.ID] = true, m.Seq, m.Payload.Text
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
		last := map[omni.Direction]int{omni.Inbound: math.MinInt, omni.Outbound: math.MinInt}
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
