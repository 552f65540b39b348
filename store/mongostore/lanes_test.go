package mongostore

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestLanesLetOneThroughAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lanes
		var order []int
		leave, err := l.enter(t.Context(), "a")
		require.NoError(t, err)
		var wg sync.WaitGroup
		for n := range 5 {
			wg.Go(func() {
				leave, err := l.enter(t.Context(), "a")
				require.NoError(t, err)
				order = append(order, n)
				leave()
			})
			synctest.Wait()
		}
		other, err := l.enter(t.Context(), "b")
		require.NoError(t, err, "keys are apart")
		other()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, err := l.enter(ctx, "a")
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Empty(t, order)
		leave()
		wg.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		require.Empty(t, l.m, "nothing is kept")
	})
}

func TestStampsGrow(t *testing.T) {
	t.Parallel()
	var s stamps
	var mu sync.Mutex
	var all []int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				first := s.take(0, 3)
				mu.Lock()
				all = append(all, first, first+1, first+2)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 2400, "each once")
	require.Equal(t, int64(math.MaxInt64-9), s.next(math.MaxInt64-10), "after one of a node whose clock is ahead")
}
