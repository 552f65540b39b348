package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

func pageOf(n int) store.Page { return store.Page{Limit: n} }

// keeper is a carrier that keeps what was written.
type keeper struct {
	*fake

	mu     sync.Mutex
	kept   map[string][]omni.CarrierChannelEvent
	asked  []string
	since  map[string]omni.Millis
	answer func(address string) error
}

func (k *keeper) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	c, err := k.fake.Open(a, o)
	if err != nil {
		return nil, err
	}
	return &keepingCarrier{Carrier: c, k: k}, nil
}

func (k *keeper) addresses() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(slices.Values(k.asked))
}

type keepingCarrier struct {
	carriers.Carrier

	k *keeper
}

func (c *keepingCarrier) Missed(_ context.Context, address string, since omni.Millis) ([]omni.CarrierChannelEvent, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.k.asked = append(c.k.asked, address)
	c.k.since[address] = since
	if c.k.answer != nil {
		if err := c.k.answer(address); err != nil {
			return nil, err
		}
	}
	return slices.Clone(c.k.kept[address]), nil
}

// keeping is a system whose carrier keeps what was written.
func keeping(t *testing.T) (*system, *keeper) {
	t.Helper()
	s := newSystem(t)
	k := &keeper{fake: s.carrier, kept: map[string][]omni.CarrierChannelEvent{}, since: map[string]omni.Millis{}}
	var err error
	s.reg, err = carriers.NewRegistry(k)
	require.NoError(t, err)
	s.Pipeline, err = pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	return s, k
}

// restart is a new process after the one before has ended.
func (s *system) restart() {
	s.t.Helper()
	s.stop()
	var err error
	s.Pipeline, err = pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(s.t, err)
	s.run()
}

func TestWhatCameInWhileNobodyRanIsFound(t *testing.T) {
	t.Parallel()
	s, k := keeping(t)
	s.run()
	s.channelAt("support-*")
	s.channelAt("desk")
	s.accept(wrote("1", "user-1", "support-1", "a"), wrote("1", "user-2", "desk", "b"), wrote("2", "user-3", "desk", "c"), wrote("1", "user-4", "support-4", "d"))
	s.eventually(func() bool { return s.created() == 4 }, "the first messages")
	var ended omni.Interaction
	for _, it := range s.interactions() {
		if it.ContactAddress == "user-4" {
			ended = it
		}
	}
	_, err := s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: ended.ID, Version: ended.Version})
	require.NoError(t, err)

	k.mu.Lock()
	k.kept["support-1"] = []omni.CarrierChannelEvent{wrote("1", "user-1", "support-1", "a"), wrote("2", "user-1", "support-1", "missed"), wrote("3", "user-1", "support-1", "too")}
	k.kept["desk"] = []omni.CarrierChannelEvent{wrote("1", "user-2", "desk", "b"), wrote("2", "user-3", "desk", "c")}
	k.mu.Unlock()
	s.restart()
	s.eventually(func() bool { return s.created() == 6 }, "what was missed")
	s.eventually(func() bool { return len(k.addresses()) == 2 }, "every open conversation's address once")
	require.Equal(t, []string{"desk", "support-1"}, k.addresses())
	var texts []string
	for _, it := range s.interactions() {
		for _, m := range s.messages(it.ID) {
			if m.From.Address == "user-1" {
				texts = append(texts, m.Payload.TextBody())
				require.WithinDuration(t, time.UnixMilli(int64(m.ReceivedAt)), time.UnixMilli(int64(k.since["support-1"])), 10*time.Minute)
			}
		}
	}
	slices.Sort(texts)
	require.Equal(t, []string{"a", "missed", "too"}, texts)
	open, err := s.store.Interaction(t.Context(), s.tenant, ended.ID)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionResolved, open.State)

	s.restart()
	s.eventually(func() bool { return len(k.addresses()) == 4 }, "asked again")
	require.Equal(t, 6, s.created(), "the same again changes nothing")
}

func TestCatchUpOnDemand(t *testing.T) {
	t.Parallel()
	s, k := keeping(t)
	s.run()
	s.channelAt("support-*")
	s.accept(wrote("1", "user-1", "support-1", "a"))
	s.eventually(func() bool { return s.created() == 1 }, "the first message")
	k.mu.Lock()
	k.kept["support-1"] = []omni.CarrierChannelEvent{wrote("2", "user-1", "support-1", "missed")}
	k.mu.Unlock()
	require.NoError(t, s.CatchUp(t.Context(), s.tenant, s.account.ID))
	s.eventually(func() bool { return s.created() == 2 }, "what was missed")

	require.ErrorIs(t, s.CatchUp(t.Context(), s.tenant, omni.NewID()), omni.ErrNotFound)
	require.ErrorIs(t, s.CatchUp(t.Context(), omni.Org(omni.NewID()), s.account.ID), omni.ErrNotFound, "another organisation's")
	other := newSystem(t)
	require.ErrorIs(t, other.CatchUp(t.Context(), other.tenant, other.account.ID), omni.ErrUnsupported)
}

// Of several nodes one asks.
func TestCatchUpIsOneNodesWork(t *testing.T) {
	t.Parallel()
	s, k := keeping(t)
	s.channelAt("support-*")
	l, err := s.store.AcquireLock(t.Context(), "catch-up/"+s.account.ID, "another node", omni.MillisOf(time.Now()), time.Minute)
	require.NoError(t, err)
	s.run()
	s.accept(wrote("1", "user-1", "support-1", "a"))
	s.eventually(func() bool { return s.created() == 1 }, "the first message")
	require.NoError(t, s.CatchUp(t.Context(), s.tenant, s.account.ID))
	require.NoError(t, s.store.ReleaseLock(t.Context(), l))
	s.eventually(func() bool {
		require.NoError(t, s.CatchUp(t.Context(), s.tenant, s.account.ID))
		return len(k.addresses()) > 0
	}, "asked once the other has ended")
}

// A carrier that refuses is not asked for every conversation.
func TestCatchUpEndsWhereACarrierRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"not allowed": {&carriers.SendError{Reason: omni.ReasonMisconfigured, Code: "403"}, 1},
		"faults":      {errors.New("fault"), 3},
		"nothing":     {nil, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, k := keeping(t)
			s.run()
			s.channelAt("support-*")
			for i := range 6 {
				s.accept(wrote("1", fmt.Sprintf("user-%d", i), fmt.Sprintf("support-%d", i), "a"))
			}
			s.eventually(func() bool { return s.created() == 6 }, "six conversations")
			k.mu.Lock()
			k.answer = func(string) error { return c.err }
			k.mu.Unlock()
			s.restart()
			s.eventually(func() bool { return len(k.addresses()) == c.want }, "asked")
			s.stop()
			require.Len(t, k.addresses(), c.want)
		})
	}
}
