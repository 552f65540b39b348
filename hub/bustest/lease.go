package bustest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/omni"
)

// short is a lease's time where a test waits for its end.
const short = 50 * time.Millisecond

func tell(what string) hub.Entry {
	e := entry(what)
	e.Type = "lease"
	return e
}

// set makes or renews one lease, and returns the member's value.
func (p *probe) set(ttl time.Duration, c hub.LeaseChange) string {
	p.t.Helper()
	states, err := p.SetLeases(p.t.Context(), []hub.LeaseGroup{{Group: c.Group, Set: []hub.LeaseChange{c}}}, ttl)
	require.NoError(p.t, err)
	require.Len(p.t, states, 1)
	require.Len(p.t, states[0].Values, 1)
	return states[0].Values[0]
}

func (p *probe) drop(cs ...hub.LeaseChange) {
	p.t.Helper()
	require.NoError(p.t, p.DropLeases(p.t.Context(), cs))
}

// members are those of the group and their values.
func (p *probe) members(group string) map[string]string {
	p.t.Helper()
	ls, err := p.Leases(p.t.Context(), group)
	require.NoError(p.t, err)
	m := map[string]string{}
	for _, l := range ls {
		require.Equal(p.t, group, l.Group)
		require.NotContains(p.t, m, l.Member)
		require.NotZero(p.t, l.Ends)
		m[l.Member] = l.Value
	}
	return m
}

// ended are the members of which nobody has told that they have ended.
func (p *probe) ended(group string) []string {
	p.t.Helper()
	states, err := p.SetLeases(p.t.Context(), []hub.LeaseGroup{{Group: group}}, time.Minute)
	require.NoError(p.t, err)
	require.Len(p.t, states, 1)
	require.Empty(p.t, states[0].Values)
	var names []string
	for _, l := range states[0].Ended {
		require.Equal(p.t, group, l.Group)
		names = append(names, l.Member+"="+l.Value)
	}
	slices.Sort(names)
	return names
}

// told waits until n changes of the group were told, and returns all.
func (p *probe) told(group string, n int) []string {
	p.t.Helper()
	var all []string
	for _, e := range p.await(group, n) {
		require.Equal(p.t, "lease", e.Type)
		require.Zero(p.t, e.Offset)
		var what string
		require.NoError(p.t, json.Unmarshal(e.Data, &what))
		all = append(all, what)
	}
	return all
}

func testLeases(t *testing.T, newBus func(Limits) *probe) {
	p, group, other := newBus(Limits{}), fresh(), fresh()
	p.subscribe(group)
	p.subscribe(other)
	require.Empty(t, p.members(group))
	begin := time.Now()
	ana := hub.LeaseChange{Group: group, Member: "ana", Holder: "n1", Value: "online Ana\nä \x00", Tell: tell("ana comes")}
	require.Equal(t, ana.Value, p.set(time.Minute, ana))
	require.Equal(t, map[string]string{"ana": ana.Value}, p.members(group))
	require.Empty(t, p.members(other))
	ls, err := p.Leases(t.Context(), group)
	require.NoError(t, err)
	require.WithinDuration(t, begin.Add(time.Minute), ls[0].Ends.Time(), 10*time.Second)

	ana.Tell = tell("never told")
	require.Equal(t, ana.Value, p.set(time.Minute, ana), "renewed")
	keep := ana
	keep.Value, keep.Keep = "another", true
	require.Equal(t, ana.Value, p.set(time.Minute, keep), "a value that is there stays")
	ana.Value, ana.Tell = "busy", tell("ana is busy")
	require.Equal(t, "busy", p.set(time.Minute, ana))
	ben := hub.LeaseChange{Group: group, Member: "ben", Holder: "n1", Value: "", Keep: true, Tell: tell("ben comes")}
	require.Empty(t, p.set(time.Minute, ben), "and where none is there")
	silent := hub.LeaseChange{Group: other, Member: "ana", Holder: "n1", Value: "x"}
	p.set(time.Minute, silent)
	require.Equal(t, map[string]string{"ana": "busy", "ben": ""}, p.members(group))
	require.Equal(t, map[string]string{"ana": "x"}, p.members(other))

	ana.Tell = tell("ana goes")
	p.drop(ana, silent, hub.LeaseChange{Group: group, Member: "eve", Holder: "n1", Tell: tell("never told")})
	p.drop(ana)
	p.drop()
	require.Equal(t, map[string]string{"ben": ""}, p.members(group))
	ana.Tell = tell("ana is back")
	p.set(time.Minute, ana)
	require.Equal(t, []string{"ana comes", "ana is busy", "ben comes", "ana goes", "ana is back"}, p.told(group, 5))
	es, _ := p.delivered(other)
	require.Empty(t, es)
	require.Zero(t, p.position(group).Offset, "nothing of it is kept")
}

func testHolders(t *testing.T, newBus func(Limits) *probe) {
	p, group := newBus(Limits{}), fresh()
	p.subscribe(group)
	at := func(holder, value, what string) hub.LeaseChange {
		return hub.LeaseChange{Group: group, Member: "ana", Holder: holder, Value: value, Keep: value == "", Tell: tell(what)}
	}
	require.Equal(t, "online", p.set(time.Minute, at("n1", "online", "comes")))
	require.Equal(t, "online", p.set(time.Minute, at("n2", "", "never told")))
	require.Equal(t, "busy", p.set(time.Minute, at("n2", "busy", "is busy")))
	require.Equal(t, "busy", p.set(time.Minute, at("n1", "", "never told")), "the value is the member's, not the holder's")
	p.drop(at("n1", "", "never told"))
	p.drop(at("n1", "", "never told"))
	p.drop(at("n3", "", "never told"))
	p.drop(at("", "", "never told"))
	require.Equal(t, map[string]string{"ana": "busy"}, p.members(group))
	p.drop(at("n2", "", "goes"))
	require.Empty(t, p.members(group))
	require.Equal(t, []string{"comes", "is busy", "goes"}, p.told(group, 3))
}

func testLeasesEnd(t *testing.T, newBus func(Limits) *probe) {
	p, group := newBus(Limits{}), fresh()
	p.subscribe(group)
	p.set(short, hub.LeaseChange{Group: group, Member: "ana", Holder: "n1", Value: "a", Tell: tell("ana comes")})
	p.set(short, hub.LeaseChange{Group: group, Member: "ben", Holder: "n1", Value: "b", Tell: tell("ben comes")})
	p.set(time.Minute, hub.LeaseChange{Group: group, Member: "ben", Holder: "n2", Keep: true})
	p.set(short, hub.LeaseChange{Group: group, Member: "eve", Holder: "n1", Value: "e", Tell: tell("eve comes")})
	require.Eventually(t, func() bool { return len(p.members(group)) == 1 }, patience, 5*time.Millisecond)
	require.Equal(t, map[string]string{"ben": "b"}, p.members(group), "who has another holder stays")
	require.Equal(t, []string{"ana=a", "eve=e"}, p.ended(group))
	require.Equal(t, []string{"ana=a", "eve=e"}, p.ended(group), "until somebody tells it")
	require.Equal(t, "a", p.set(time.Minute, hub.LeaseChange{Group: group, Member: "ana", Holder: "n3", Value: "z", Keep: true, Tell: tell("never told")}),
		"nobody was told that she was away")
	over := func(member string) hub.LeaseChange {
		return hub.LeaseChange{Group: group, Member: member, Tell: tell(member + " goes")}
	}
	p.drop(over("ana"), over("ben"), over("eve"))
	require.Equal(t, map[string]string{"ana": "a", "ben": "b"}, p.members(group), "who is there does not go")
	require.Empty(t, p.ended(group))
	p.set(time.Minute, hub.LeaseChange{Group: group, Member: "eve", Holder: "n1", Value: "new", Keep: true, Tell: tell("eve is back")})
	require.Equal(t, []string{"ana comes", "ben comes", "eve comes", "eve goes", "eve is back"}, p.told(group, 5))
	require.Equal(t, "new", p.members(group)["eve"], "what was known of her is gone")
}

// testRenewed renews a short lease for long.
func testRenewed(t *testing.T, newBus func(Limits) *probe) {
	p, group := newBus(Limits{}), fresh()
	c := hub.LeaseChange{Group: group, Member: "ana", Holder: "n1", Tell: tell("comes")}
	p.subscribe(group)
	for range 10 {
		p.set(2*time.Second, c)
		<-time.After(short)
		require.Len(t, p.members(group), 1)
	}
	require.Equal(t, []string{"comes"}, p.told(group, 1))
}

func testNoLease(t *testing.T, newBus func(Limits) *probe) {
	p, group := newBus(Limits{}), fresh()
	p.subscribe(group)
	good := hub.LeaseChange{Group: group, Member: "ana", Holder: "n1", Tell: tell("never told")}
	for name, spoil := range map[string]func(*hub.LeaseChange){
		"no member":   func(c *hub.LeaseChange) { c.Member = "" },
		"two members": func(c *hub.LeaseChange) { c.Member = "ana ben" },
		"no holder":   func(c *hub.LeaseChange) { c.Holder = "" },
		"two holders": func(c *hub.LeaseChange) { c.Holder = "n1\nn2" },
		"two types":   func(c *hub.LeaseChange) { c.Tell.Type = "a b" },
	} {
		bad := good
		spoil(&bad)
		_, err := p.SetLeases(t.Context(), []hub.LeaseGroup{{Group: group, Set: []hub.LeaseChange{good, bad}}}, time.Minute)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		if bad.Holder != "" {
			require.ErrorIs(t, p.DropLeases(t.Context(), []hub.LeaseChange{bad}), omni.ErrInvalid, name)
		}
	}
	require.Empty(t, p.members(group), "nothing is done by half")
	states, err := p.SetLeases(t.Context(), nil, time.Minute)
	require.NoError(t, err)
	require.Empty(t, states)
	require.NoError(t, p.Close())
	_, err = p.SetLeases(t.Context(), []hub.LeaseGroup{{Group: group, Set: []hub.LeaseChange{good}}}, time.Minute)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.ErrorIs(t, p.DropLeases(t.Context(), []hub.LeaseChange{good}), omni.ErrUnavailable)
	_, err = p.Leases(t.Context(), group)
	require.ErrorIs(t, err, omni.ErrUnavailable)
}

// testManyLeases is a node that renews those of all its users. Of very many in one group not each is told to each.
func testManyLeases(t *testing.T, newBus func(Limits) *probe) {
	p := newBus(Limits{})
	const most = 1000
	var groups []hub.LeaseGroup
	for size := most; size > 0; size /= 3 {
		g := hub.LeaseGroup{Group: fresh()}
		p.subscribe(g.Group)
		for i := range size {
			g.Set = append(g.Set, hub.LeaseChange{Member: fmt.Sprint("u", i), Holder: "n1", Value: fmt.Sprint(size, " ", i), Tell: tell("comes")})
		}
		groups = append(groups, g)
	}
	for range 2 {
		states, err := p.SetLeases(t.Context(), groups, time.Minute)
		require.NoError(t, err)
		require.Len(t, states, len(groups))
		for i, g := range groups {
			want := map[string]string{}
			for j, c := range g.Set {
				require.Equal(t, c.Value, states[i].Values[j])
				want[c.Member] = c.Value
			}
			require.Empty(t, states[i].Ended)
			require.True(t, maps.Equal(want, p.members(g.Group)))
			p.await(g.Group, min(len(g.Set), hub.MostTold))
		}
	}
	var drops []hub.LeaseChange
	for _, g := range groups {
		for _, c := range g.Set {
			drops = append(drops, hub.LeaseChange{Group: g.Group, Member: c.Member, Holder: "n1", Tell: tell("goes")})
		}
	}
	p.drop(drops...)
	for _, g := range groups {
		require.Empty(t, p.members(g.Group))
		p.await(g.Group, 2*min(len(g.Set), hub.MostTold))
	}
}

// testNodesLeases has members come, change and go at all nodes at once: who comes and goes is told in this order, once
// each, and what was told last is so.
func testNodesLeases(t *testing.T, newNode func() *probe) {
	nodes := []*probe{newNode(), newNode(), newNode()}
	group := fresh()
	nodes[0].subscribe(group)
	const members, rounds = 5, 20
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i, n := range nodes {
		for m := range members {
			wg.Go(func() {
				for range rounds {
					member := fmt.Sprint("u", m)
					c := hub.LeaseChange{Group: group, Member: member, Holder: fmt.Sprint("n", i), Tell: tell(member + " comes")}
					if _, err := n.SetLeases(t.Context(), []hub.LeaseGroup{{Group: group, Set: []hub.LeaseChange{c}}}, time.Minute); err != nil {
						failed.Add(1)
					}
					c.Tell = tell(member + " goes")
					if n.DropLeases(t.Context(), []hub.LeaseChange{c}) != nil {
						failed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	require.Zero(t, failed.Load())
	require.Empty(t, nodes[1].members(group))
	nodes[2].set(time.Minute, hub.LeaseChange{Group: group, Member: "last", Holder: "n", Tell: tell("last comes")})
	require.Eventually(t, func() bool {
		es, _ := nodes[0].delivered(group)
		return len(es) > 0 && strings.Contains(string(es[len(es)-1].Data), "last")
	}, patience, time.Millisecond)
	es, _ := nodes[0].delivered(group)
	there := map[string]bool{}
	for _, e := range es {
		var what string
		require.NoError(t, json.Unmarshal(e.Data, &what))
		member, how, _ := strings.Cut(what, " ")
		require.NotEqual(t, how == "comes", there[member], "%s twice: %v", what, es)
		there[member] = how == "comes"
	}
	for m := range members {
		require.False(t, there[fmt.Sprint("u", m)], "the last word of each is that it went")
	}
}

// testNodesEnd has a node vanish: of the others one tells it.
func testNodesEnd(t *testing.T, newNode func() *probe) {
	dead, a, b := newNode(), newNode(), newNode()
	group := fresh()
	a.subscribe(group)
	dead.set(short, hub.LeaseChange{Group: group, Member: "ana", Holder: "dead", Tell: tell("ana comes")})
	dead.set(short, hub.LeaseChange{Group: group, Member: "ben", Holder: "dead", Tell: tell("ben comes")})
	a.set(time.Minute, hub.LeaseChange{Group: group, Member: "ben", Holder: "a", Tell: tell("never told")})
	require.NoError(t, dead.Close())
	var wg sync.WaitGroup
	for _, n := range []*probe{a, b, a, b} {
		wg.Go(func() {
			for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
				ls, err := n.Leases(t.Context(), group) // first: what has ended by now is what SetLeases is to give
				if err != nil {
					return
				}
				states, err := n.SetLeases(t.Context(), []hub.LeaseGroup{{Group: group}}, time.Minute)
				if err != nil {
					return
				}
				for _, l := range states[0].Ended {
					_ = n.DropLeases(t.Context(), []hub.LeaseChange{{Group: group, Member: l.Member, Tell: tell(l.Member + " goes")}})
				}
				if len(ls) == 1 && len(states[0].Ended) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[string]string{"ben": ""}, b.members(group))
	b.set(time.Minute, hub.LeaseChange{Group: group, Member: "eve", Holder: "b", Tell: tell("eve comes")})
	require.Equal(t, []string{"ana comes", "ben comes", "ana goes", "eve comes"}, a.told(group, 4))
}
