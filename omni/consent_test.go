package omni_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestMarketingHasAStateOfItsOwn(t *testing.T) {
	t.Parallel()
	var i omni.ContactIdentity
	require.False(t, i.NoMarketing())
	word := func(out bool, by string, at omni.Millis) omni.ConsentUpdate {
		return omni.ConsentUpdate{OptedOut: out, By: omni.MarketingBy + by, At: at}
	}
	require.True(t, word(true, "stop", 1).Marketing())
	require.False(t, omni.ConsentUpdate{By: "STOP"}.Marketing())

	require.False(t, i.Say(word(false, "signup", 5)), "it was wanted before")
	require.Equal(t, &omni.MarketingWord{By: "signup", At: 5}, i.Marketing)
	require.True(t, i.Say(word(true, "stop", 7)))
	require.True(t, i.NoMarketing())
	require.False(t, i.Say(word(false, "resume", 6)), "older")
	require.Equal(t, &omni.MarketingWord{OptedOut: true, By: "stop", At: 7}, i.Marketing)
	require.False(t, i.Say(word(true, "131050", 8)), "no news, but later")
	require.Equal(t, &omni.MarketingWord{OptedOut: true, By: "131050", At: 8}, i.Marketing)
	require.True(t, i.Say(word(false, "resume", 8)), "of two of one moment that which comes later")
	require.False(t, i.NoMarketing())
	i.OptedOutAt = 9
	require.True(t, i.NoMarketing(), "no messages at all")
}
