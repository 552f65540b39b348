package intercept_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/store/intercept"
	"omniservice/store/sqlitestore"
	"omniservice/store/storetest"
)

func TestEveryCallIsIntercepted(t *testing.T) {
	t.Parallel()
	errStopped := errors.New("stopped")
	st, err := sqlitestore.New(t.Context(), sqlitestore.Memory, sqlitestore.Options{})
	require.NoError(t, err)
	var seen string
	s := intercept.New(st, func(_ context.Context, method string, _ func(context.Context) error) error {
		seen = method
		return errStopped
	})
	require.Same(t, st, s.Unwrap())
	storetest.EachCall(t, s, func(call string, err error) {
		require.ErrorIs(t, err, errStopped, "%s goes past the interceptor: run go generate ./store/intercept", call)
		require.Equal(t, call, seen)
	})
	require.NoError(t, s.Close())
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		around := intercept.Deadline(5*time.Second, "Sweep")
		wait := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Hour):
				return nil
			}
		}
		for _, c := range []struct {
			method string
			own    time.Duration // the caller's deadline; 0 none
			want   time.Duration
			err    error
		}{
			{"PutInbox", 0, 5 * time.Second, context.DeadlineExceeded},
			{"PutInbox", time.Second, time.Second, context.DeadlineExceeded},
			{"Sweep", 0, time.Hour, nil},
			{"Sweep", time.Minute, time.Minute, context.DeadlineExceeded},
		} {
			ctx, cancel := t.Context(), func() {}
			if c.own > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.own)
			}
			began := time.Now()
			err := around(ctx, c.method, wait)
			cancel()
			require.ErrorIs(t, err, c.err, fmt.Sprint(c))
			require.Equal(t, c.want, time.Since(began), fmt.Sprint(c))
		}
	})
}
