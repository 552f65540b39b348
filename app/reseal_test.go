package app

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
)

const nextKey = "63626160001122334455667788990a0b0c0d0e0f101112131415161718191a1b"

// One start with the new key before the old one, and the old one is not needed any more.
func TestSec_K1_CredentialsAreSealedAnew(t *testing.T) {
	ctx := t.Context()
	cfg := good(t)
	with := func(key string) *Config {
		c := cfg
		c.SecretKey = omni.NewSecret(key)
		require.NoError(t, c.Validate())
		return &c
	}
	old, err := with(goodKey).keyring()
	require.NoError(t, err)
	lost, err := with(strings.Repeat("ab12", 16)).keyring()
	require.NoError(t, err)
	next, err := with(nextKey).keyring()
	require.NoError(t, err)

	st, err := OpenStore(ctx, cfg)
	require.NoError(t, err)
	made, err := CreateUser(ctx, st, NewUser{Organisation: "Acme", Email: "ana@acme.example", Role: omni.RoleAdmin}, time.Now())
	require.NoError(t, err)
	org := omni.Org(made.OrganisationID)
	account := func(name string) omni.CarrierAccount {
		return omni.CarrierAccount{
			ID: omni.NewID(), Tenant: org, PublicID: omni.NewToken(16), Carrier: omni.CarrierTest, Name: name, Config: map[string]string{},
			Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
		}
	}
	kept, gone := account("kept"), account("gone")
	current, err := pipeline.SealCredential(old, kept, "secret", "the current one")
	require.NoError(t, err)
	previous, err := pipeline.SealCredential(old, kept, "secret", "the one before")
	require.NoError(t, err)
	previous.ValidUntil = omni.MillisOf(time.Now().Add(time.Hour))
	kept.Credentials = map[string][]omni.SealedSecret{"secret": {current, previous}}
	unknown, err := pipeline.SealCredential(lost, gone, "secret", "of a key that nobody has")
	require.NoError(t, err)
	gone.Credentials = map[string][]omni.SealedSecret{"secret": {unknown}}
	require.NoError(t, st.CreateCarrierAccount(ctx, org, kept))
	require.NoError(t, st.CreateCarrierAccount(ctx, org, gone))
	require.NoError(t, st.Close())

	read := func(s store.Store, id string) omni.CarrierAccount {
		a, err := s.CarrierAccount(ctx, org, id)
		require.NoError(t, err)
		return a
	}
	for range 2 { // the second time there is nothing to do
		t.Run("start", func(t *testing.T) {
			a, _ := start(t, *with(nextKey + "," + goodKey))
			fresh := read(a.Store(), kept.ID)
			require.EqualValues(t, 2, fresh.Version)
			require.Len(t, fresh.Credentials["secret"], 2)
			for _, s := range fresh.Credentials["secret"] {
				require.Equal(t, next.CurrentID(), s.KeyID)
			}
			require.Equal(t, previous.ValidUntil, fresh.Credentials["secret"][1].ValidUntil)
			secret, err := pipeline.OpenCredential(next, fresh, "secret")
			require.NoError(t, err, "the new key alone opens it")
			require.Equal(t, "the current one", secret.Reveal())
			require.Equal(t, gone.Credentials, read(a.Store(), gone.ID).Credentials, "what cannot be opened stays, and stops nothing")
		})
	}
}

// Secrets come from the environment or from files: what a flag holds, every user of the machine can read.
func TestSec_K1_NoSecretIsAFlag(t *testing.T) {
	t.Parallel()
	secrets := 0
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Type != reflect.TypeFor[omni.Secret]() {
			for _, word := range []string{"Key", "Secret", "Password", "Token"} {
				require.NotContains(t, f.Name, word, "a secret is an omni.Secret")
			}
			continue
		}
		secrets++
		require.Equal(t, "-", f.Tag.Get("kong"), f.Name)
		require.Empty(t, f.Tag.Get("name"), f.Name)
	}
	require.Equal(t, 3, secrets)
}
