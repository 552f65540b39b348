package faultstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/faultstore"
	"omniservice/store/sqlitestore"
	"omniservice/store/storetest"
)

// inner counts writes and answers at once: it needs no goroutine, and so runs inside synctest.
type inner struct {
	store.Store

	puts, pings int
}

func (s *inner) PutInbox(context.Context, ...store.InboxRecord) error { s.puts++; return nil }
func (s *inner) Ping(context.Context) error                           { s.pings++; return nil }

func TestFaults(t *testing.T) {
	t.Parallel()
	errOwn := errors.New("own")
	for name, c := range map[string]struct {
		fault faultstore.Fault
		errs  []error // of five calls of PutInbox, each with two seconds
		puts  int     // that happened
		took  time.Duration
	}{
		"away":             {faultstore.Fault{}, []error{faultstore.ErrInjected, faultstore.ErrInjected, faultstore.ErrInjected, faultstore.ErrInjected, faultstore.ErrInjected}, 0, 0},
		"another call":     {faultstore.Fault{Calls: "Ping"}, make([]error, 5), 5, 0},
		"pattern":          {faultstore.Fault{Calls: "Put*", Times: 2}, []error{omni.ErrUnavailable, omni.ErrUnavailable, nil, nil, nil}, 3, 0},
		"the second":       {faultstore.Fault{From: 2, Times: 1, Err: errOwn}, []error{nil, errOwn, nil, nil, nil}, 4, 0},
		"from the fourth":  {faultstore.Fault{From: 4}, []error{nil, nil, nil, faultstore.ErrInjected, faultstore.ErrInjected}, 3, 0},
		"after the write":  {faultstore.Fault{After: true, Times: 1}, []error{faultstore.ErrInjected, nil, nil, nil, nil}, 5, 0},
		"late":             {faultstore.Fault{Delay: time.Second}, make([]error, 5), 5, 5 * time.Second},
		"late and failing": {faultstore.Fault{Delay: time.Second, Err: errOwn, Times: 1}, []error{errOwn, nil, nil, nil, nil}, 4, time.Second},
		"too late":         {faultstore.Fault{Delay: time.Minute, Times: 1}, []error{context.DeadlineExceeded, nil, nil, nil, nil}, 4, 2 * time.Second},
		"stuck":            {faultstore.Fault{Hang: true, Times: 2}, []error{context.DeadlineExceeded, context.DeadlineExceeded, nil, nil, nil}, 3, 4 * time.Second},
		"stuck after":      {faultstore.Fault{Hang: true, After: true, Times: 1}, []error{context.DeadlineExceeded, nil, nil, nil, nil}, 5, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in := &inner{}
				s := faultstore.New(in, 1)
				remove := s.Inject(c.fault)
				began := time.Now()
				for i, want := range c.errs {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					err := s.PutInbox(ctx, store.InboxRecord{})
					cancel()
					require.ErrorIs(t, err, want, "call %d", i+1)
				}
				require.Equal(t, c.took, time.Since(began))
				require.Equal(t, c.puts, in.puts)
				require.Equal(t, 5, s.Calls("PutInbox"))
				remove()
				require.NoError(t, s.PutInbox(t.Context()))
			})
		})
	}
}

func TestChancesFollowTheSeed(t *testing.T) {
	t.Parallel()
	outcomes := func(seed uint64) (failed []bool) {
		s := faultstore.New(&inner{}, seed)
		s.Inject(faultstore.Fault{Probability: 0.3})
		for range 1000 {
			failed = append(failed, s.Ping(t.Context()) != nil)
		}
		return failed
	}
	n := 0
	for _, f := range outcomes(1) {
		if f {
			n++
		}
	}
	require.InDelta(t, 300, n, 60)
	seven := outcomes(7)
	require.Equal(t, seven, outcomes(7))
	require.NotEqual(t, seven, outcomes(8))
}

// The oldest fault that matches acts; what is taken away acts no more.
func TestSeveralFaults(t *testing.T) {
	t.Parallel()
	errFirst, errSecond := errors.New("first"), errors.New("second")
	s := faultstore.New(&inner{}, 1)
	first := s.Inject(faultstore.Fault{Calls: "Ping", Err: errFirst})
	s.Inject(faultstore.Fault{Err: errSecond})
	require.ErrorIs(t, s.Ping(t.Context()), errFirst)
	require.ErrorIs(t, s.PutInbox(t.Context()), errSecond)
	first()
	require.ErrorIs(t, s.Ping(t.Context()), errSecond)
	require.Equal(t, 3, s.Calls("*"))
	require.Panics(t, func() { s.Inject(faultstore.Fault{Calls: "["}) })
}

// Whatever the contract asks for can be made to fail.
func TestEveryCallCanFail(t *testing.T) {
	t.Parallel()
	st, err := sqlitestore.New(t.Context(), sqlitestore.Memory, sqlitestore.Options{})
	require.NoError(t, err)
	s := faultstore.New(st, 1)
	s.Away()
	storetest.EachCall(t, s, func(call string, err error) {
		require.ErrorIs(t, err, faultstore.ErrInjected, call)
		require.Equal(t, 1, s.Calls(call))
	})
	require.NoError(t, s.Close())
}
