package carriers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

type provider struct{ name omni.CarrierName }

func (p provider) Name() omni.CarrierName   { return p.name }
func (p provider) Fields() []carriers.Field { return nil }
func (p provider) MaxBody() int64           { return 1 << 20 }
func (p provider) Open(carriers.Account, carriers.Options) (carriers.Carrier, error) {
	return nil, omni.Problemf(omni.ErrInvalid, "cannot be opened")
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, err := carriers.NewRegistry(provider{omni.CarrierWhatsApp}, provider{omni.CarrierTwilio}, provider{omni.CarrierTest})
	require.NoError(t, err)

	p, err := r.Provider(omni.CarrierTwilio)
	require.NoError(t, err)
	require.Equal(t, omni.CarrierTwilio, p.Name())

	for _, name := range []omni.CarrierName{omni.CarrierBandwidth, "", "twilio", "nonsense"} {
		p, err := r.Provider(name)
		require.ErrorIs(t, err, omni.ErrNotFound, name)
		require.Nil(t, p)
	}

	var names []omni.CarrierName
	for _, p := range r.Providers() {
		names = append(names, p.Name())
	}
	require.Equal(t, []omni.CarrierName{omni.CarrierTest, omni.CarrierWhatsApp, omni.CarrierTwilio}, names,
		"in the order of omni.CarrierNames, however they were registered")
}

func TestRegistryRefusesTwoOfAName(t *testing.T) {
	t.Parallel()
	r, err := carriers.NewRegistry(provider{omni.CarrierTwilio}, provider{omni.CarrierTest}, provider{omni.CarrierTwilio})
	require.ErrorIs(t, err, omni.ErrConflict)
	require.ErrorContains(t, err, "Twilio")
	require.Nil(t, r)
}

func TestEmptyRegistry(t *testing.T) {
	t.Parallel()
	r, err := carriers.NewRegistry()
	require.NoError(t, err)
	require.Empty(t, r.Providers())
}

func TestAccountCredential(t *testing.T) {
	t.Parallel()
	a := carriers.Account{Credentials: map[string][]omni.Secret{
		"authToken": {omni.NewSecret("newest"), omni.NewSecret("older")}, "none": {},
	}}
	require.Equal(t, "newest", a.Credential("authToken").Reveal())
	require.True(t, a.Credential("none").IsZero())
	require.True(t, a.Credential("other").IsZero())
	require.True(t, carriers.Account{}.Credential("authToken").IsZero())
}

func TestEnumsKeepTheirWireValues(t *testing.T) {
	t.Parallel()
	require.Equal(t, []carriers.ResponseMetric{
		"ReceivedAndForwarded", "FragmentReceived", "DuplicateFragment", "Rejected", "DiscardDigitalChannelNotFound",
	}, carriers.ResponseMetrics)
	for _, m := range carriers.ResponseMetrics {
		require.True(t, m.Valid())
	}
	require.Equal(t, []carriers.MessageType{"Unknown", "Message", "DeliveryStatusNotification"}, carriers.MessageTypes)
	for _, m := range carriers.MessageTypes {
		require.True(t, m.Valid())
	}
	for _, bad := range []string{"", "rejected", "Rejected ", "message"} {
		require.False(t, carriers.ResponseMetric(bad).Valid())
		require.False(t, carriers.MessageType(bad).Valid())
	}
}

type wordy struct{ provider }

func (wordy) Explain(code string) (meaning, advice string, ok bool) {
	switch code {
	case "1":
		return "It is late.", "Come back tomorrow.", true
	case "2":
		return "It is full.", "", true
	}
	return "", "", false
}

func TestCodesInWords(t *testing.T) {
	t.Parallel()
	r, err := carriers.NewRegistry(wordy{provider{omni.CarrierWhatsApp}}, provider{omni.CarrierTwilio})
	require.NoError(t, err)
	require.Equal(t, "It is late. Come back tomorrow.", r.Explain(omni.CarrierWhatsApp, "1"))
	require.Equal(t, "It is full.", r.Explain(omni.CarrierWhatsApp, "2"))
	for _, code := range []string{"", "3"} {
		require.Empty(t, r.Explain(omni.CarrierWhatsApp, code))
	}
	require.Empty(t, r.Explain(omni.CarrierTwilio, "1"), "which has no words")
	require.Empty(t, r.Explain(omni.CarrierBandwidth, "1"), "which is not here")
}
