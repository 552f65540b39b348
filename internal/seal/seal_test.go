package seal

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func ring(t *testing.T, current string, ids ...string) *Keyring {
	t.Helper()
	keys := map[string][]byte{}
	for _, id := range ids {
		keys[id] = bytes.Repeat([]byte(id[:1]), KeySize)
	}
	k, err := New(current, keys)
	require.NoError(t, err)
	return k
}

func TestSec_K1_SealedValueOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	k := ring(t, "a", "a")
	id, nonce, ct, err := k.Seal([]byte("token"), []byte("org-1/account-1"))
	require.NoError(t, err)
	require.NotContains(t, string(ct), "token")

	got, err := k.Open(id, nonce, ct, []byte("org-1/account-1"))
	require.NoError(t, err)
	require.Equal(t, "token", string(got))

	_, err = k.Open(id, nonce, ct, []byte("org-1/account-2"))
	require.ErrorIs(t, err, ErrOpen)
	for i := range ct {
		bad := bytes.Clone(ct)
		bad[i] ^= 1
		_, err = k.Open(id, nonce, bad, []byte("org-1/account-1"))
		require.ErrorIs(t, err, ErrOpen)
	}
	_, err = k.Open(id, nonce[:3], ct, nil)
	require.ErrorIs(t, err, ErrOpen)
	_, err = k.Open("zz", nonce, ct, nil)
	require.ErrorIs(t, err, ErrOpen)
}

func TestSec_K1_OldKeysOpenAfterRotation(t *testing.T) {
	t.Parallel()
	old := ring(t, "a", "a")
	id, nonce, ct, err := old.Seal([]byte("token"), nil)
	require.NoError(t, err)

	both := ring(t, "b", "a", "b")
	got, err := both.Open(id, nonce, ct, nil)
	require.NoError(t, err)
	require.Equal(t, "token", string(got))
	id, _, _, err = both.Seal([]byte("token"), nil)
	require.NoError(t, err)
	require.Equal(t, "b", id)
}

func TestDeriveGivesAKeyPerPurposeAndMasterKey(t *testing.T) {
	t.Parallel()
	k := ring(t, "b", "a", "b")
	jwt, err := k.Derive("access token")
	require.NoError(t, err)
	require.Len(t, jwt, 2)
	require.Equal(t, "b", jwt[0].ID)
	require.NotEqual(t, jwt[0].Key, jwt[1].Key)
	visitor, err := k.Derive("visitor token")
	require.NoError(t, err)
	require.NotEqual(t, jwt[0].Key, visitor[0].Key)
}

func TestNewRefusesBadKeys(t *testing.T) {
	t.Parallel()
	_, err := New("a", map[string][]byte{"a": []byte("short")})
	require.ErrorContains(t, err, `"a" has 5 bytes`)
	_, err = New("b", map[string][]byte{"a": make([]byte, KeySize)})
	require.ErrorContains(t, err, `no master key "b"`)
}
