package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// leased is a bus whose leases can be out of reach.
type leased struct {
	*membus.Bus
	away atomic.Bool
	sets atomic.Int64 // leases set or renewed
	last hub.LeaseChange
}

func (l *leased) SetLeases(ctx context.Context, groups []hub.LeaseGroup, ttl time.Duration) ([]hub.LeaseState, error) {
	if l.away.Load() {
		return nil, omni.Problemf(omni.ErrUnavailable, "the bus is away")
	}
	for _, g := range groups {
		for _, c := range g.Set {
			l.sets.Add(1)
			l.last = c
			l.last.Group = g.Group
		}
	}
	return l.Bus.SetLeases(ctx, groups, ttl)
}

func (l *leased) DropLeases(ctx context.Context, drops []hub.LeaseChange) error {
	if l.away.Load() {
		return omni.Problemf(omni.ErrUnavailable, "the bus is away")
	}
	return l.Bus.DropLeases(ctx, drops)
}

// team is some nodes in a bubble, with people.
type team struct {
	t     *testing.T
	first *membus.Bus
	nodes []*hub.Hub
	buses []*leased
}

// inTeam runs a test with n nodes of one bus, in a bubble of time.
func inTeam(t *testing.T, n int, test func(m *team)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &team{t: t, first: membus.New(membus.Options{})}
		for i := range n {
			bus := &leased{Bus: m.first}
			if i > 0 {
				bus.Bus = m.first.Node()
			}
			h, err := hub.New(bus, hub.Options{})
			require.NoError(t, err)
			require.NoError(t, h.Start(t.Context()))
			m.nodes, m.buses = append(m.nodes, h), append(m.buses, bus)
		}
		test(m)
		for i, h := range m.nodes {
			require.NoError(t, h.Shutdown(t.Context()))
			require.NoError(t, m.buses[i].Close())
		}
	})
}

// front does what a server does with the commands that these tests are about.
func front() desk {
	return desk{handle: func(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
		var in struct {
			State         omni.PresenceState
			InteractionID string
			Stop          bool
		}
		if err := json.Unmarshal(cmd.Data, &in); err != nil {
			return nil, err
		}
		topic := omni.InteractionTopic(in.InteractionID)
		switch cmd.Type {
		case wire.CmdPresenceSet:
			return nil, c.SetPresence(ctx, in.State)
		case wire.CmdInteractionOpen:
			if err := c.Join(ctx, topic); err != nil {
				return nil, err
			}
			return nil, c.View(ctx, topic, true)
		case wire.CmdViewing:
			return nil, c.View(ctx, topic, !in.Stop)
		default:
			c.Leave(topic)
			return nil, nil
		}
	}}
}

func person(name string) hub.Principal {
	p := agent(strings.ToLower(name), "org/o1")
	p.Name = name
	return p
}

// join connects somebody to a node.
func (m *team) join(node int, p hub.Principal) *timed {
	h := m.nodes[node]
	c := &timed{Hub: h, raw: dialPipe(m.t, h, front()), answer: true}
	go c.readAll()
	c.send(m.t, connectFrame(p))
	synctest.Wait()
	return c
}

// do sends a command and returns the error of its answer.
func (c *timed) do(t *testing.T, typ string, data any) *wire.Error {
	t.Helper()
	id := time.Now().UnixNano()%1_000_000 + 10
	for slices.ContainsFunc(c.all(), func(f frame) bool { return f.ID == id }) {
		id++
	}
	c.send(t, masked(text, command(id, typ, data)))
	synctest.Wait()
	for _, f := range c.all() {
		if f.ID == id {
			return f.Error
		}
	}
	require.Fail(t, "no answer", typ)
	return nil
}

func (c *timed) all() []frame {
	frames, _, _ := c.seen()
	return slices.Clone(frames)
}

// told is what the client heard of who comes and goes, in words.
func (c *timed) told(t *testing.T) []string {
	t.Helper()
	words := []string{}
	for _, f := range c.all() {
		switch f.Type {
		case wire.PresenceEvent:
			var p wire.Presence
			require.NoError(t, json.Unmarshal(f.Data, &p))
			require.Equal(t, "org/o1", f.Topic)
			require.Equal(t, omni.SenderUser, p.Who.Type)
			require.Equal(t, strings.ToLower(p.Who.Name), p.Who.ID)
			require.Equal(t, p.State == omni.PresenceOffline, p.Until == 0)
			words = append(words, p.Who.Name+" "+string(p.State))
		case wire.ViewingEvent:
			var v wire.Viewing
			require.NoError(t, json.Unmarshal(f.Data, &v))
			require.Equal(t, omni.InteractionTopic(v.InteractionID), f.Topic)
			how := "views"
			if v.Until == 0 {
				how = "left"
			}
			words = append(words, fmt.Sprint(v.Who.Name, " ", how, " ", v.InteractionID))
		}
	}
	return words
}

// present is who a node says is there.
func (m *team) present(node int) []string {
	ps, err := m.nodes[node].Present(m.t.Context(), "o1")
	require.NoError(m.t, err)
	words := []string{}
	for _, p := range ps {
		require.Greater(m.t, p.Until.Time(), time.Now())
		words = append(words, p.Who.Name+" "+string(p.State))
	}
	slices.Sort(words)
	return words
}

func (m *team) viewers(interactionID string) []string {
	vs, _, err := m.nodes[0].Around(m.t.Context(), interactionID)
	require.NoError(m.t, err)
	words := []string{}
	for _, v := range vs {
		words = append(words, v.Who.Name)
	}
	slices.Sort(words)
	return words
}

// A user is there from the first of their connections to a while after the last, on whichever nodes they are.
func TestPresence(t *testing.T) {
	inTeam(t, 2, func(m *team) {
		ben := m.join(1, person("Ben"))
		first := m.join(0, person("Ana"))
		second := m.join(0, person("Ana"))
		third := m.join(1, person("Ana"))
		other := person("Eve")
		other.OrgID, other.Topics = "o2", []string{"org/o2"}
		m.join(0, other)
		m.join(0, hub.Principal{OrgID: "o1", SessionID: "robot", Role: omni.RoleService, Topics: []string{"org/o1"}})
		m.join(0, hub.Principal{OrgID: "o1", VisitorID: "v1", SessionID: "ch1", Role: omni.RoleVisitor, Topics: []string{"visitor/v1"}})
		require.Equal(t, []string{"Ana online", "Ben online"}, m.present(0))
		after(10 * time.Minute)
		require.Equal(t, []string{"Ben online", "Ana online"}, ben.told(t), "renewals are told to nobody")
		require.Equal(t, []string{"Ana online", "Ben online"}, m.present(0))

		_ = first.Close()
		_ = second.Close()
		after(time.Minute)
		require.Equal(t, []string{"Ana online", "Ben online"}, m.present(1), "the third is open")
		_ = third.Close()
		after(3 * time.Second)
		again := m.join(0, person("Ana")) // the page was loaded again
		after(time.Minute)
		require.Len(t, ben.told(t), 2)
		_ = again.Close()
		after(4 * time.Second)
		require.Len(t, ben.told(t), 2)
		after(3 * time.Second)
		require.Equal(t, []string{"Ben online", "Ana online", "Ana offline"}, ben.told(t))
		require.Equal(t, []string{"Ben online"}, m.present(0))
	})
}

func TestPresenceStates(t *testing.T) {
	inTeam(t, 2, func(m *team) {
		ben := m.join(1, person("Ben"))
		ana := m.join(0, person("Ana"))
		elsewhere := m.join(1, person("Ana"))
		require.Nil(t, ana.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}))
		require.Nil(t, ana.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}), "again")
		after(time.Minute)
		require.Equal(t, []string{"Ana busy", "Ben online"}, m.present(0))
		_ = ana.Close()
		after(time.Minute)
		require.Equal(t, []string{"Ana busy", "Ben online"}, m.present(0), "the other node goes on with the state")
		require.Nil(t, elsewhere.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceAway}))
		require.Equal(t, []string{"Ben online", "Ana online", "Ana busy", "Ana away"}, ben.told(t))
		for _, bad := range []omni.PresenceState{"", "offline", "Online", "here now"} {
			e := elsewhere.do(t, wire.CmdPresenceSet, wire.SetPresence{State: bad})
			require.Equal(t, omni.CodeInvalid, e.Code)
			require.Contains(t, e.Fields, "state")
		}
		robot := m.join(0, hub.Principal{OrgID: "o1", SessionID: "robot", Role: omni.RoleService, Topics: []string{"org/o1"}})
		require.Equal(t, omni.CodeForbidden, robot.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}).Code)
		require.Len(t, ben.told(t), 4)
	})
}

// Nobody can say that a node has died. Its users are gone when their leases have ended.
func TestPresenceOfADeadNode(t *testing.T) {
	inTeam(t, 3, func(m *team) {
		ben := m.join(1, person("Ben"))
		robot := m.join(2, hub.Principal{OrgID: "o1", SessionID: "robot", Role: omni.RoleService, Topics: []string{"org/o1"}})
		ana := m.join(0, person("Ana"))
		require.Nil(t, ana.do(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: "i1"}))
		require.Nil(t, ben.do(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: "i1"}))
		m.join(0, person("Kim"))
		m.join(1, person("Kim"))
		after(time.Minute)
		m.buses[0].away.Store(true)
		after(45 * time.Second)
		require.Equal(t, []string{"Ben online", "Kim online"}, m.present(1))
		require.Equal(t, []string{"Ben"}, m.viewers("i1"))
		told := ben.told(t)
		require.Equal(t, []string{"Ben online", "Ana online", "Ben views i1", "Kim online"}, told[:4])
		require.ElementsMatch(t, []string{"Ana offline", "Ana left i1"}, told[4:])
		require.Equal(t, 1, strings.Count(strings.Join(robot.told(t), ","), "Ana offline"))

		m.buses[0].away.Store(false) // it was only cut off
		after(5 * time.Second)
		require.Equal(t, []string{"Ana online", "Ben online", "Kim online"}, m.present(1))
		require.ElementsMatch(t, []string{"Ana online", "Ana views i1"}, ben.told(t)[6:])
	})
}

// A closed laptop says nothing, and its connection stays open for a while.
func TestPresenceNeedsSignsOfLife(t *testing.T) {
	inTeam(t, 1, func(m *team) {
		ben, ana := m.join(0, person("Ben")), m.join(0, person("Ana"))
		after(5 * time.Minute)
		require.Equal(t, []string{"Ben online", "Ana online"}, ben.told(t))
		ana.mu.Lock()
		ana.answer = false
		ana.mu.Unlock()
		after(59 * time.Second)
		require.Equal(t, []string{"Ben online", "Ana online", "Ana offline"}, ben.told(t))
	})
}

// Without the bus for leases sockets stay and commands are answered; when it is back all is as it should be.
func TestPresenceWithoutTheBus(t *testing.T) {
	inTeam(t, 1, func(m *team) {
		ben, ana := m.join(0, person("Ben")), m.join(0, person("Ana"))
		require.Nil(t, ana.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}))
		m.buses[0].away.Store(true)
		require.Equal(t, omni.CodeUnavailable, ana.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceAway}).Code)
		require.Equal(t, omni.CodeUnavailable, ana.do(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: "i1"}).Code)
		require.Nil(t, ana.do(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: "i1"}), "it is open by now")
		kim := m.join(0, person("Kim"))
		_ = kim.Close()
		eve := m.join(0, person("Eve"))
		after(time.Minute)
		require.Empty(t, m.present(0), "all leases have ended")
		require.Equal(t, []string{"Ben online", "Ana online", "Ana busy"}, ben.told(t))
		m.buses[0].away.Store(false)
		after(4 * time.Second)
		require.Equal(t, []string{"Ana busy", "Ben online", "Eve online"}, m.present(0), "what could not be set is not set later")
		require.Equal(t, []string{"Ana"}, m.viewers("i1"))
		require.Equal(t, []string{"Ben online", "Ana online", "Ana busy", "Eve online"}, ben.told(t))
		_, _, code := eve.seen()
		require.Zero(t, code)
	})
}

// A bus that lost all gets it again with the next renewals, states included.
func TestPresenceComesBack(t *testing.T) {
	inTeam(t, 1, func(m *team) {
		ana := m.join(0, person("Ana"))
		require.Nil(t, ana.do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceAway}))
		lost := m.buses[0].last
		lost.Tell = hub.Entry{}
		require.NoError(t, m.first.DropLeases(t.Context(), []hub.LeaseChange{lost}))
		require.Empty(t, m.present(0))
		after(13 * time.Second)
		require.Equal(t, []string{"Ana away"}, m.present(0))
	})
}

func TestViewing(t *testing.T) {
	inTeam(t, 2, func(m *team) {
		open, closeView := wire.CmdInteractionOpen, wire.CmdInteractionCloseView
		i1 := wire.InteractionRef{InteractionID: "i1"}
		visitor := m.join(0, hub.Principal{OrgID: "o1", VisitorID: "v1", SessionID: "ch1", Role: omni.RoleVisitor, Topics: []string{"visitor/v1", "interaction/i1"}})
		ana, ben := m.join(0, person("Ana")), m.join(1, person("Ben"))
		require.Nil(t, ana.do(t, open, i1))
		require.Nil(t, ben.do(t, open, i1))
		require.Nil(t, ben.do(t, open, i1), "twice is once")
		require.Equal(t, []string{"Ana", "Ben"}, m.viewers("i1"))
		tab := m.join(0, person("Ana"))
		require.Nil(t, tab.do(t, open, i1))
		require.Nil(t, tab.do(t, open, wire.InteractionRef{InteractionID: "i2"}))
		require.Equal(t, []string{"Ana"}, m.viewers("i2"))
		require.Nil(t, ana.do(t, closeView, i1))
		after(time.Minute)
		require.Equal(t, []string{"Ana", "Ben"}, m.viewers("i1"), "she has it open in another tab")
		require.Nil(t, tab.do(t, wire.CmdViewing, wire.ViewingCommand{InteractionID: "i1", Stop: true}))
		require.Nil(t, tab.do(t, wire.CmdViewing, wire.ViewingCommand{InteractionID: "i1", Stop: true}))
		require.Equal(t, []string{"Ben"}, m.viewers("i1"))
		require.Nil(t, ben.do(t, closeView, i1))
		require.Nil(t, ben.do(t, open, i1))
		require.Nil(t, tab.do(t, wire.CmdViewing, wire.ViewingCommand{InteractionID: "i1"}))
		_ = tab.Close()
		after(3 * time.Second)
		require.Equal(t, []string{"Ana", "Ben"}, m.viewers("i1"), "perhaps she only loads the page again")
		after(4 * time.Second)
		require.Equal(t, []string{"Ben"}, m.viewers("i1"))

		views := func(c *timed) (words []string) {
			for _, w := range c.told(t) {
				if strings.HasSuffix(w, " i1") {
					words = append(words, w)
				}
			}
			return words
		}
		require.Equal(t, []string{"Ben views i1", "Ana left i1"}, views(ben)[:2])
		require.Equal(t, []string{"Ana views i1", "Ana left i1"}, views(ben)[len(views(ben))-2:])
		require.Equal(t, []string{"Ana views i1", "Ben views i1"}, views(ana), "until she closed it")
		require.Empty(t, visitor.told(t), "who looks at a conversation is not its visitor's business")
		robot := m.join(0, hub.Principal{OrgID: "o1", SessionID: "robot", Role: omni.RoleService, Topics: []string{"org/o1"}})
		require.Nil(t, robot.do(t, open, i1))
		require.Equal(t, []string{"Ben"}, m.viewers("i1"), "a program looks at nothing")
	})
}

// Many users cost the bus few calls, and those are spread.
func TestPresenceOfMany(t *testing.T) {
	inTeam(t, 1, func(m *team) {
		const users = 200
		for i := range users {
			m.join(0, person(fmt.Sprint("U", i)))
		}
		require.Len(t, m.present(0), users)
		m.join(0, person("U0"))
		after(time.Minute)
		before := m.buses[0].sets.Load()
		after(2 * time.Minute)
		each := float64(m.buses[0].sets.Load()-before) / users / 120
		require.InDelta(t, 1.0/11, each, 0.02, "renewals a second and user")
	})
}

// Who types is known to who opens the conversation, until it ends by itself.
func TestTypingIsKnown(t *testing.T) {
	inTeam(t, 2, func(m *team) {
		ben := m.join(1, person("Ben"))
		ref := wire.InteractionRef{InteractionID: "i1"}
		require.Nil(t, ben.do(t, wire.CmdInteractionOpen, ref))
		types := func(until omni.Millis) {
			require.NoError(t, m.nodes[0].Announce(t.Context(), "interaction/i1", wire.TypingEvent, wire.Typing{
				InteractionID: "i1", Who: wire.Person{Type: omni.SenderContact, ID: "c1", Name: "Customer"}, Until: until,
			}))
			synctest.Wait()
		}
		around := func() (untils []omni.Millis) {
			vs, ts, err := m.nodes[1].Around(t.Context(), "i1")
			require.NoError(t, err)
			require.Len(t, vs, 1)
			for _, typing := range ts {
				require.Equal(t, "Customer", typing.Who.Name)
				untils = append(untils, typing.Until)
			}
			return untils
		}
		heard := func() (n int) {
			for _, f := range ben.all() {
				if f.Type == wire.TypingEvent {
					n++
				}
			}
			return n
		}
		until := omni.MillisOf(time.Now().Add(8 * time.Second))
		types(until)
		require.Equal(t, []omni.Millis{until}, around())
		after(3 * time.Second)
		until = omni.MillisOf(time.Now().Add(8 * time.Second))
		types(until)
		require.Equal(t, []omni.Millis{until}, around())
		require.Equal(t, 2, heard(), "each time it is told")
		types(0)
		require.Empty(t, around())
		require.Equal(t, 3, heard())
		types(until)
		after(9 * time.Second)
		require.Empty(t, around())
		after(time.Minute)
		require.Equal(t, 4, heard(), "an end is not told")
		require.Equal(t, []string{"Ben online", "Ben views i1"}, ben.told(t))
		m.buses[0].away.Store(true)
		require.Error(t, m.nodes[0].Announce(t.Context(), "interaction/i1", wire.TypingEvent, wire.Typing{Who: wire.Person{ID: "c1"}, Until: until}))
		m.buses[0].away.Store(false)
	})
}
