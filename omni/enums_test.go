package omni_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// checkEnum holds an enum to its wire values: they are in databases, in carriers' queues and in other people's programs.
func checkEnum[T ~string](t *testing.T, all []T, valid func(T) bool, want string) {
	t.Helper()
	var got []string
	for _, v := range all {
		require.True(t, valid(v), "%T %s", v, v)
		require.False(t, valid(T(strings.ToLower(string(v))+" ")), "%T %s", v, v)
		got = append(got, string(v))
	}
	require.Equal(t, strings.Fields(want), got)
	require.False(t, valid(""))
	require.False(t, valid("nonsense"))
}

func TestEnumsKeepTheirWireValues(t *testing.T) {
	t.Parallel()
	checkEnum(t, omni.ChannelTypes, omni.ChannelType.Valid, "SMS MMS WhatsApp PubNub LiveChat")
	checkEnum(t, omni.CarrierNames, omni.CarrierName.Valid, "Test MessageBird WhatsApp Twilio Bandwidth Inteliquent PubNub")
	checkEnum(t, omni.Directions, omni.Direction.Valid, "INBOUND OUTBOUND")
	checkEnum(t, omni.GroupTypes, omni.GroupType.Valid, "PRIVATE SHARED")
	checkEnum(t, omni.FolderTypes, omni.FolderType.Valid, "DEFAULT TEMPORARY")
	checkEnum(t, omni.SenderTypes, omni.SenderType.Valid, "CONTACT USER")
	checkEnum(t, omni.OrganisationalEntities, omni.OrganisationalEntity.Valid, "User Group")
	checkEnum(t, omni.MediaTypes, omni.MediaType.Valid, "image video audio document")
	checkEnum(t, omni.MediaConvertJobStatuses, omni.MediaConvertJobStatus.Valid, "Complete Failed Incompatible")
	checkEnum(t, omni.Statuses, omni.Status.Valid, "queued unknown sent failed undeliverable delivered read")
	checkEnum(t, omni.Reasons, omni.Reason.Valid,
		"throttled unreachable rejected misconfigured opted_out window_closed malformed unknown")
	checkEnum(t, omni.InteractionStates, omni.InteractionState.Valid, "open snoozed resolved")
	checkEnum(t, omni.Roles, omni.Role.Valid, "admin supervisor agent service visitor")
	checkEnum(t, omni.PresenceStates, omni.PresenceState.Valid, "online away busy offline")
	checkEnum(t, omni.EventKinds, omni.EventKind.Valid,
		"message status reaction template account system edit delete preference error")
	checkEnum(t, omni.PayloadTypes, omni.PayloadType.Valid, "text image media template interactive location contacts unsupported")
	checkEnum(t, omni.MediaStates, omni.MediaState.Valid, "pending ready failed")
	checkEnum(t, omni.WorkflowResults, omni.WorkflowResult.Valid,
		"HTTP_SUCCESS HTTP_NOT_FOUND HTTP_BAD_REQUEST HTTP_INTERNAL_SERVER_ERROR")
	require.Equal(t, []omni.Role{"admin", "supervisor", "agent"}, omni.UserRoles)
}

func TestChannelTypeFamily(t *testing.T) {
	t.Parallel()
	for _, c := range omni.ChannelTypes {
		want := c
		if c == omni.ChannelMMS {
			want = omni.ChannelSMS
		}
		require.Equal(t, want, c.Family())
		require.Equal(t, c.Family(), c.Family().Family(), "a family is its own family")
	}
}

func TestCarrierByPath(t *testing.T) {
	t.Parallel()
	for _, c := range omni.CarrierNames {
		require.Equal(t, strings.ToLower(string(c)), c.Path())
		got, ok := omni.CarrierByPath(c.Path())
		require.True(t, ok)
		require.Equal(t, c, got)
	}
	for _, s := range []string{"", "Twilio", "TWILIO", "twilio ", "unknown", "../twilio"} {
		got, ok := omni.CarrierByPath(s)
		require.False(t, ok, s)
		require.Empty(t, got)
	}
}

func TestStatusRanks(t *testing.T) {
	t.Parallel()
	require.Zero(t, omni.Status("").Rank())
	require.Zero(t, omni.Status("nonsense").Rank())
	for i, s := range omni.Statuses {
		require.Positive(t, s.Rank())
		if i == 0 {
			continue
		}
		before := omni.Statuses[i-1]
		if s == omni.StatusUndeliverable {
			require.Equal(t, before.Rank(), s.Rank(), "the first of failed and undeliverable stays")
			continue
		}
		require.Greater(t, s.Rank(), before.Rank(), "%s after %s", s, before)
	}
	// In words: a delivery beats a failure, a failure beats everything before it, nothing beats read.
	moves := []struct {
		from, to omni.Status
		moves    bool
	}{
		{"", omni.StatusQueued, true},
		{omni.StatusQueued, omni.StatusSent, true},
		{omni.StatusUnknown, omni.StatusSent, true},
		{omni.StatusSent, omni.StatusUnknown, false},
		{omni.StatusSent, omni.StatusFailed, true},
		{omni.StatusFailed, omni.StatusUndeliverable, false},
		{omni.StatusUndeliverable, omni.StatusFailed, false},
		{omni.StatusFailed, omni.StatusDelivered, true},
		{omni.StatusDelivered, omni.StatusFailed, false},
		{omni.StatusDelivered, omni.StatusSent, false},
		{omni.StatusRead, omni.StatusDelivered, false},
		{omni.StatusRead, omni.StatusRead, false},
	}
	for _, m := range moves {
		require.Equal(t, m.moves, m.to.Rank() > m.from.Rank(), "%q to %q", m.from, m.to)
	}
}

func TestReasonRetryable(t *testing.T) {
	t.Parallel()
	for _, r := range omni.Reasons {
		require.Equal(t, r == omni.ReasonThrottled || r == omni.ReasonUnreachable, r.Retryable(), string(r))
	}
	require.False(t, omni.Reason("").Retryable())
}

func TestMediaTypeOf(t *testing.T) {
	t.Parallel()
	tests := map[string]omni.MediaType{
		"image/jpeg": omni.MediaImage, "IMAGE/PNG": omni.MediaImage, " image/webp; q=1": omni.MediaImage,
		"video/mp4": omni.MediaVideo, "video/3gpp": omni.MediaVideo,
		"audio/ogg; codecs=opus": omni.MediaAudio, "audio/amr": omni.MediaAudio,
		"application/pdf": omni.MediaDocument, "text/x-vcard": omni.MediaDocument, "document/x": omni.MediaDocument,
		"": omni.MediaDocument, "/": omni.MediaDocument, "images/jpeg": omni.MediaDocument, "image": omni.MediaImage,
	}
	for in, want := range tests {
		require.Equal(t, want, omni.MediaTypeOf(in), "%q", in)
	}
}
