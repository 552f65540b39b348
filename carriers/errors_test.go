package carriers_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

func TestWebhookError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  *carriers.WebhookError
		text string
		kind error
	}{
		{"forged", carriers.Unauthenticated(carriers.BadSignature), "bad_signature", omni.ErrUnauthenticated},
		{"unsigned", carriers.Unauthenticated(carriers.MissingSignature), "missing_signature", omni.ErrUnauthenticated},
		{"old", carriers.Unauthenticated(carriers.ExpiredSignature), "expired_signature", omni.ErrUnauthenticated},
		{"unreadable", carriers.Malformed(io.ErrUnexpectedEOF), "malformed_body: unexpected EOF", omni.ErrInvalid},
		{"unreadable, no cause", carriers.Malformed(nil), "malformed_body", omni.ErrInvalid},
		{"field", carriers.Missing("MessageSid"), "missing_field MessageSid", omni.ErrInvalid},
		{
			"another account", &carriers.WebhookError{Name: carriers.ForeignAccount, Field: "AccountSid", Kind: omni.ErrForbidden, Err: errors.New("not ours")},
			"foreign_account AccountSid: not ours", omni.ErrForbidden,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := fmt.Errorf("webhook: %w", tt.err)
			require.EqualError(t, tt.err, tt.text)
			require.ErrorIs(t, err, tt.kind)
			require.Equal(t, omni.CodeOf(tt.kind), omni.CodeOf(err))
			var found *carriers.WebhookError
			require.ErrorAs(t, err, &found)
			require.Same(t, tt.err, found)
			if tt.err.Err != nil {
				require.ErrorIs(t, err, tt.err.Err)
			}
		})
	}
}

// TestWebhookErrorNames: the names are counted and logged; a changed one breaks somebody's alarm.
func TestWebhookErrorNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"missing_signature", "bad_signature", "expired_signature", "missing_credentials", "bad_credentials",
		"malformed_body", "missing_field", "foreign_account", "unknown_status", "unknown_event", "empty",
	}, []string{
		carriers.MissingSignature, carriers.BadSignature, carriers.ExpiredSignature, carriers.MissingCredentials, carriers.BadCredentials,
		carriers.MalformedBody, carriers.MissingField, carriers.ForeignAccount, carriers.UnknownStatus, carriers.UnknownEvent, carriers.Empty,
	})
}

func TestSendError(t *testing.T) {
	t.Parallel()
	for _, r := range omni.Reasons {
		e := &carriers.SendError{Reason: r}
		require.EqualError(t, e, "send: "+string(r))
		require.Equal(t, r.Retryable(), e.Retryable(), "what follows depends on the reason alone")
		e.Code, e.RetryAfter, e.Err = "131047", 60, io.EOF
		require.Equal(t, r.Retryable(), e.Retryable())
		require.EqualError(t, e, "send: "+string(r)+" (code 131047): EOF")
		require.ErrorIs(t, fmt.Errorf("outbox: %w", e), io.EOF)
	}
	require.NoError(t, (&carriers.SendError{Reason: omni.ReasonRejected}).Unwrap())
}
