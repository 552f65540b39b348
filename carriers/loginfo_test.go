package carriers_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

func logged(t *testing.T, l carriers.LogInfo) map[string]any {
	t.Helper()
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("webhook", l.Attr())
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	for _, k := range []string{"time", "level", "msg"} {
		delete(line, k)
	}
	return line
}

func TestLogInfo(t *testing.T) {
	t.Parallel()
	full := carriers.LogInfo{
		Carrier: omni.CarrierTwilio, AccountID: "a", OrgID: "o", ChannelID: "c", MessageID: "m",
		MessageType: carriers.TypeMessage, Metric: carriers.Rejected, Reason: carriers.BadSignature,
	}
	require.Equal(t, map[string]any{
		"carrier": "Twilio", "account_id": "a", "org_id": "o", "channel_id": "c", "message_id": "m",
		"message_type": "Message", "metric": "Rejected", "reason": "bad_signature",
	}, logged(t, full))
	require.Len(t, logged(t, full), reflect.TypeFor[carriers.LogInfo]().NumField(), "every field is logged")

	require.Equal(t, map[string]any{"carrier": "Test", "org_id": "o"}, logged(t, carriers.LogInfo{Carrier: omni.CarrierTest, OrgID: "o"}))
	require.Empty(t, logged(t, carriers.LogInfo{}), "what is empty is left out")
}

// TestLogInfoHasNoRoomForPersonalData: no field is there for a text, an address or a secret.
func TestLogInfoHasNoRoomForPersonalData(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[carriers.LogInfo]()
	forbidden := []string{"address", "body", "email", "from", "name", "number", "password", "payload", "phone", "secret", "signature", "text", "to", "token", "url"}
	for f := range typ.Fields() {
		require.False(t, slices.Contains(forbidden, strings.ToLower(f.Name)), f.Name)
	}
}
