package carriertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

// Reasons is a provider's table of codes without its words.
func Reasons[K comparable](table map[K]carriers.Failure) map[K]omni.Reason {
	all := make(map[K]omni.Reason, len(table))
	for code, f := range table {
		all[code] = f.Reason
	}
	return all
}

// Explained checks that a provider puts codes into whole sentences, and none that it does not know.
func Explained(t *testing.T, p carriers.Provider, codes ...string) {
	t.Helper()
	const sentence = `^[A-Z].*[.?]$`
	require.Implements(t, (*carriers.Explainer)(nil), p)
	e, _ := p.(carriers.Explainer)
	require.NotEmpty(t, codes)
	for _, code := range codes {
		meaning, advice, ok := e.Explain(code)
		require.True(t, ok, code)
		require.Regexp(t, sentence, meaning, code)
		if advice != "" {
			require.Regexp(t, sentence, advice, code)
		}
	}
	for _, code := range []string{"", "0", "42", "99998", "nobody's"} {
		meaning, advice, ok := e.Explain(code)
		require.False(t, ok, code)
		require.Empty(t, meaning+advice, code)
	}
}
