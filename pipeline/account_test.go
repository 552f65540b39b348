package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
)

// A sealed credential opens as what it was sealed as, and nowhere else.
func TestSec_K1_ACredentialOpensInItsAccountOnly(t *testing.T) {
	t.Parallel()
	keys, err := seal.New("k1", map[string][]byte{"k1": []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	own := omni.CarrierAccount{ID: omni.NewID(), Tenant: omni.Org(omni.NewID())}
	sealed, err := pipeline.SealCredential(keys, own, "authToken", "canary")
	require.NoError(t, err)
	require.NotContains(t, string(sealed.Ciphertext), "canary")
	in := func(a omni.CarrierAccount, name string) error {
		a.Credentials = map[string][]omni.SealedSecret{name: {sealed}}
		_, err := pipeline.OpenCredential(keys, a, name)
		if err == nil {
			_, _, err = pipeline.ResealCredentials(keys, a)
		}
		return err
	}
	require.NoError(t, in(own, "authToken"))
	sibling, foreign := own, own
	sibling.ID = omni.NewID()
	foreign.Tenant = omni.Org(omni.NewID())
	require.ErrorIs(t, in(own, "apiKeySecret"), seal.ErrOpen)
	require.ErrorIs(t, in(sibling, "authToken"), seal.ErrOpen)
	require.ErrorIs(t, in(foreign, "authToken"), seal.ErrOpen)
}
