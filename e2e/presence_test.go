package e2e_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/internal/testenv"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// twin runs the real binary with a copy of the system's data as another node on its Redis. The two stores part from then
// on: it is for what goes over the bus alone, and can be killed.
func twin(t *testing.T, s *System, redis string) *System {
	t.Helper()
	s.Stop(t)
	p := StartProcess(t, Options{RedisURL: redis, Before: func(dir string) {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.CopyFS(dir, os.DirFS(s.DataDir)))
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				return os.Chmod(path, 0o700)
			default:
				return os.Chmod(path, 0o600)
			}
		}))
	}})
	s.Boot(t, nil)
	return p
}

// present is who an agent's node says is there; nil if it cannot say.
func present(t *testing.T, a *Agent) map[string]omni.PresenceState {
	t.Helper()
	answer := a.Call(t, http.MethodGet, "/api/v1/presence", nil)
	if answer.Status == http.StatusServiceUnavailable {
		return nil
	}
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	var list struct{ Items []wire.Presence }
	answer.JSON(t, &list)
	there := map[string]omni.PresenceState{}
	for _, p := range list.Items {
		there[p.Who.ID] = p.State
	}
	return there
}

// Who is at one node, and has a conversation open there, is seen at another. When their node is killed nobody says so,
// and they are gone when their leases have ended.
func TestPresenceOverNodes(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL()}))
	it := d.Conversation(t, d.Ana.Connect(t), Phone(0), "hello")
	d.Drained(t)
	node := twin(t, d.System, redis.URL())

	ben := d.Ben.Connect(t)
	ben.Must(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceAway}, nil)
	ana := d.Ana.On(node).Connect(t)
	is := func(state omni.PresenceState) func(Frame) bool {
		return func(f Frame) bool {
			p := Read[wire.Presence](t, f)
			return p.Who.ID == d.Ana.ID && p.State == state
		}
	}
	require.Eventually(t, func() bool { return present(t, d.Ben)[d.Ana.ID] == omni.PresenceOnline }, Patience, 50*time.Millisecond)
	ana.Must(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}, nil)
	ben.Expect(t, wire.PresenceEvent, is(omni.PresenceBusy))
	require.Equal(t, map[string]omni.PresenceState{d.Ana.ID: omni.PresenceBusy, d.Ben.ID: omni.PresenceAway}, present(t, d.Ben))
	visitor := d.Alpha.Widget(t, d.Group).Visit(t, "").Connect(t)
	staffed := func(f Frame) bool { return Read[wire.Availability](t, f).Online }
	require.True(t, staffed(visitor.Expect(t, wire.AvailabilityEvent, nil)), "Ana is there, at the other node")

	var opened wire.InteractionOpened
	ana.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: it.ID}, &opened)
	require.Empty(t, opened.Viewers)
	ben.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: it.ID}, &opened)
	require.Len(t, opened.Viewers, 1)
	require.Equal(t, "Ana", opened.Viewers[0].Who.Name)
	ana.Expect(t, wire.ViewingEvent, func(f Frame) bool { return Read[wire.Viewing](t, f).Who.ID == d.Ben.ID })

	node.Kill(t)
	killed := time.Now()
	require.NotEmpty(t, present(t, d.Ben)[d.Ana.ID], "nobody knows yet")
	const within = 45 * time.Second // 30 s of the lease, and at most 12 s until somebody looks
	gone := func(typ string, that func(Frame) bool) func() bool {
		return func() bool { return slices.ContainsFunc(ben.Events(typ), that) }
	}
	require.Eventually(t, gone(wire.PresenceEvent, is(omni.PresenceOffline)), within, 50*time.Millisecond)
	require.Eventually(t, gone(wire.ViewingEvent, func(f Frame) bool {
		v := Read[wire.Viewing](t, f)
		return v.Who.ID == d.Ana.ID && v.Until == 0
	}), within-time.Since(killed), 50*time.Millisecond)
	t.Logf("a killed node's agent was gone for others after %v", time.Since(killed).Round(time.Second))
	require.Equal(t, map[string]omni.PresenceState{d.Ben.ID: omni.PresenceAway}, present(t, d.Ben))
	require.False(t, staffed(visitor.Expect(t, wire.AvailabilityEvent, nil)), "Ben is away")
	ben.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: it.ID}, &opened)
	require.True(t, ben.Open())
}

// While Redis answers nothing sockets stay and commands are answered: a conversation opens, states cannot be set. After
// its return everybody is where they were.
func TestPresenceWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL()}))
	other := d.Node(t)
	ana, ben := d.Ana.Connect(t), d.Ben.On(other).Connect(t)
	it := d.Conversation(t, ana, Phone(0), "hello")
	ref := wire.InteractionRef{InteractionID: it.ID}
	ana.Must(t, wire.CmdInteractionOpen, ref, nil)
	ben.Must(t, wire.CmdInteractionOpen, ref, nil)
	ben.Must(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceAway}, nil)

	redis.Pause()
	begin := time.Now()
	require.Equal(t, omni.CodeUnavailable, ana.Do(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceBusy}).Error.Code)
	var opened wire.InteractionOpened
	ana.Must(t, wire.CmdInteractionOpen, ref, &opened)
	require.Empty(t, opened.Viewers)
	require.Equal(t, http.StatusServiceUnavailable, d.Ben.On(other).Call(t, http.MethodGet, "/api/v1/presence", nil).Status)
	t.Logf("all answered after %v without Redis", time.Since(begin).Round(time.Millisecond))
	require.Less(t, time.Since(begin), 15*time.Second)
	redis.Resume()
	begin = time.Now()

	require.Eventually(t, func() bool { // Redis has read what it did not answer: Ana may be busy now
		there := present(t, d.Ana)
		return there[d.Ben.ID] == omni.PresenceAway && there[d.Ana.ID] != ""
	}, Patience, 200*time.Millisecond, "everybody is where they were")
	t.Logf("all there %v after its return", time.Since(begin).Round(time.Millisecond))
	ana.Must(t, wire.CmdPresenceSet, wire.SetPresence{State: omni.PresenceOnline}, nil)
	require.Equal(t, map[string]omni.PresenceState{d.Ana.ID: omni.PresenceOnline, d.Ben.ID: omni.PresenceAway}, present(t, d.Ana))
	ana.Must(t, wire.CmdInteractionOpen, ref, &opened)
	require.Len(t, opened.Viewers, 1)
	require.Equal(t, d.Ben.ID, opened.Viewers[0].Who.ID)
	require.True(t, ana.Open())
	require.True(t, ben.Open())
}
