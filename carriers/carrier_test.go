package carriers_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

func TestOptionsAreMadeReady(t *testing.T) {
	t.Parallel()
	ready, base, err := carriers.Options{}.Ready("Somebody", "https://api.example.com/v1")
	require.NoError(t, err)
	require.Equal(t, "https://api.example.com/v1", ready.APIBase)
	require.Equal(t, "api.example.com", base.Host)
	require.Same(t, http.DefaultClient, ready.HTTP)
	require.NotNil(t, ready.Now)

	own := &http.Client{}
	ready, base, err = carriers.Options{APIBase: "http://127.0.0.1:9/x", HTTP: own}.Ready("Somebody", "https://api.example.com")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:9/x", ready.APIBase)
	require.Equal(t, "127.0.0.1:9", base.Host)
	require.Same(t, own, ready.HTTP)

	for _, bad := range []string{"not a url", "https://", "http://a b/", "::"} {
		_, _, err = carriers.Options{APIBase: bad}.Ready("Somebody", "https://api.example.com")
		require.ErrorIs(t, err, omni.ErrInvalid, bad)
		require.ErrorContains(t, err, "Somebody", bad)
	}
}

func TestSecretsOfAnAccount(t *testing.T) {
	t.Parallel()
	a := carriers.Account{Credentials: map[string][]omni.Secret{
		"token": {omni.NewSecret("newer"), {}, omni.NewSecret("older")}, "empty": {{}},
	}}
	require.Equal(t, []omni.Secret{omni.NewSecret("newer"), omni.NewSecret("older")}, a.Secrets("token"))
	require.Len(t, a.Credentials["token"], 3, "the account's own list is as it was")
	require.Empty(t, a.Secrets("empty"))
	require.Empty(t, a.Secrets("other"))
}

func TestTaken(t *testing.T) {
	t.Parallel()
	of := func(kinds ...omni.EventKind) (p carriers.Parsed) {
		for _, k := range kinds {
			p.Events = append(p.Events, omni.CarrierChannelEvent{Kind: k})
		}
		return p
	}
	for name, c := range map[string]struct {
		parsed carriers.Parsed
		metric carriers.ResponseMetric
		kind   carriers.MessageType
	}{
		"nothing":  {of(), carriers.Rejected, carriers.TypeUnknown},
		"a status": {of(omni.EventStatus), carriers.ReceivedAndForwarded, carriers.TypeDeliveryStatusNotification},
		"messages": {of(omni.EventMessage, omni.EventStatus), carriers.ReceivedAndForwarded, carriers.TypeMessage},
	} {
		r := carriers.Taken(c.parsed)
		require.Equal(t, carriers.HTTPResponse{Status: http.StatusOK, Metric: c.metric, MessageType: c.kind}, r, name)
	}
}
