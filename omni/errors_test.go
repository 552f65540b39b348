package omni_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

var codes = map[omni.Code]error{
	"invalid": omni.ErrInvalid, "unauthenticated": omni.ErrUnauthenticated, "forbidden": omni.ErrForbidden,
	"not_found": omni.ErrNotFound, "conflict": omni.ErrConflict, "rate_limited": omni.ErrRateLimited,
	"unavailable": omni.ErrUnavailable, "unsupported": omni.ErrUnsupported, "window_closed": omni.ErrWindowClosed,
	"opted_out": omni.ErrOptedOut,
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	require.Empty(t, omni.CodeOf(nil))
	for code, kind := range codes {
		require.Equal(t, code, omni.CodeOf(kind))
		require.Equal(t, code, omni.CodeOf(fmt.Errorf("find contact 7: %w", fmt.Errorf("query: %w", kind))))
		require.Equal(t, code, omni.CodeOf(errors.Join(io.EOF, kind)))
		require.Equal(t, code, omni.CodeOf(omni.Problemf(kind, "no")))
		require.Equal(t, code, omni.CodeOf(fmt.Errorf("wrapped: %w", omni.Problemf(kind, "no"))))
		for _, cause := range codes { // what a Problem states is not overruled by its cause
			require.Equal(t, code, omni.CodeOf(&omni.Problem{Kind: kind, Message: "no", Err: fmt.Errorf("x: %w", cause)}))
			require.Equal(t, code, omni.CodeOf(&omni.Problem{Kind: kind, Message: "no", Err: omni.Problemf(cause, "inner")}))
		}
	}
	for _, err := range []error{io.EOF, context.Canceled, errors.New("invalid"), &omni.Problem{Message: "no kind"}} {
		require.Equal(t, omni.CodeInternal, omni.CodeOf(err), err)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	cause := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	p := omni.Problemf(omni.ErrConflict, "%s took it %d s ago", "Ana", 2)
	require.EqualError(t, p, "Ana took it 2 s ago")
	require.ErrorIs(t, p, omni.ErrConflict)
	require.NotErrorIs(t, p, omni.ErrInvalid)

	p.Err = cause
	require.EqualError(t, p, "Ana took it 2 s ago: read: unexpected EOF")
	require.ErrorIs(t, p, omni.ErrConflict)
	require.ErrorIs(t, p, io.ErrUnexpectedEOF)

	var found *omni.Problem
	require.ErrorAs(t, fmt.Errorf("claim: %w", p), &found)
	require.Same(t, p, found)
}
