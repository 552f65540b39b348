package hub_test

import (
	"context"
	"encoding/json"
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

// Visitors hear whether somebody is there: once after they came, and when it changes. It is asked once for all of a channel.
func TestAvailability(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var online, away atomic.Bool
		bus := membus.New(membus.Options{})
		h, err := hub.New(bus, hub.Options{Available: func(_ context.Context, p hub.Principal) (bool, error) {
			asked.Add(1)
			if away.Load() {
				return false, omni.ErrUnavailable
			}
			return p.SessionID == "ch1" && online.Load(), nil
		}})
		require.NoError(t, err)
		require.NoError(t, h.Start(t.Context()))
		m := &team{t: t, nodes: []*hub.Hub{h}}
		visitor := func(id, channel string) *timed {
			return m.join(0, hub.Principal{OrgID: "o1", VisitorID: id, SessionID: channel, Role: omni.RoleVisitor, Topics: []string{"visitor/" + id}})
		}
		heard := func(c *timed) []bool {
			all := []bool{}
			for _, f := range c.all() {
				if f.Type == wire.AvailabilityEvent {
					require.Empty(t, f.Topic)
					require.Zero(t, f.Offset)
					var a wire.Availability
					require.NoError(t, json.Unmarshal(f.Data, &a))
					all = append(all, a.Online)
				}
			}
			return all
		}
		ana := m.join(0, person("Ana"))
		first, second, other := visitor("v1", "ch1"), visitor("v2", "ch1"), visitor("v3", "ch2")
		after(3 * time.Second)
		require.EqualValues(t, 2, asked.Load(), "once for each channel")
		after(time.Minute)
		require.Equal(t, []bool{false}, heard(first))

		online.Store(true)
		after(3 * time.Second)
		later := visitor("v4", "ch1")
		after(3 * time.Second)
		require.Equal(t, []bool{false, true}, heard(first))
		require.Equal(t, []bool{false, true}, heard(second))
		require.Equal(t, []bool{false}, heard(other))
		require.Equal(t, []bool{true}, heard(later))

		away.Store(true)
		online.Store(false)
		after(time.Minute)
		require.Equal(t, []bool{true}, heard(later), "what is not known is not told")
		require.Empty(t, heard(ana))
		require.NoError(t, h.Shutdown(t.Context()))
		require.NoError(t, bus.Close())
	})
}
