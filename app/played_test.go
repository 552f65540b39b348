package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers/carriertest"
	"omniservice/omni"
)

func TestEveryProviderCanBePlayed(t *testing.T) {
	t.Parallel()
	a := &App{}
	reg, err := a.providers()
	require.NoError(t, err)
	defer a.test.Close()
	var registered, played []omni.CarrierName
	for _, p := range reg.Providers() {
		if p.Name() != omni.CarrierTest {
			registered = append(registered, p.Name())
		}
	}
	for _, p := range PlayedProviders() {
		played = append(played, p.Provider.Name())
		_, _, err := p.Account(func(string) string { return "" })
		require.NoError(t, err, p.Provider.Name())
		found, err := PlayedProvider(p.Provider.Name().Path())
		require.NoError(t, err)
		require.Equal(t, p.Player, found.Player)
	}
	require.Equal(t, registered, played)
	_, err = PlayedProvider("pigeon")
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestPlayersKeepToTheirCarriers(t *testing.T) {
	t.Parallel()
	for _, p := range PlayedProviders() {
		t.Run(string(p.Provider.Name()), func(t *testing.T) {
			t.Parallel()
			carriertest.RunPlayer(t, p.Provider, p.Player)
		})
	}
}

func TestAccountOfTheEnvironment(t *testing.T) {
	t.Parallel()
	p, err := PlayedProvider("twilio")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	env := map[string]string{"OMNI_TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef", "OMNI_TWILIO_AUTH_TOKEN_FILE": file}
	a, given, err := p.Account(func(name string) string { return env[name] })
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"accountSid": true, "authToken": true}, given)
	require.Equal(t, env["OMNI_TWILIO_ACCOUNT_SID"], a.Config["accountSid"])
	require.Equal(t, "from a file", a.Credential("authToken").Reveal())
	require.NotEqual(t, a.Config, p.Player.Account().Config, "the player's own is as it was")

	env["OMNI_TWILIO_ACCOUNT_SID"] = "me"
	_, _, err = p.Account(func(name string) string { return env[name] })
	require.ErrorIs(t, err, omni.ErrInvalid)
	env["OMNI_TWILIO_AUTH_TOKEN"] = "and here"
	_, _, err = p.Account(func(name string) string { return env[name] })
	require.ErrorContains(t, err, "OMNI_TWILIO_AUTH_TOKEN")
}
