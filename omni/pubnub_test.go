package omni_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestPubNubChannels(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"support-1042": true, "a": true, "msaada.Ünï~!'()[]@": true, strings.Repeat("c", 92): true, strings.Repeat("é", 92): true,
		"": false, strings.Repeat("c", 93): false, strings.Repeat("😀", 92): false, "a,b": false, "a:b": false, "a*": false, "a/b": false,
		`a\b`: false, "a b": false, "a\tb": false, "a\x00": false, "a\x7f": false, "a\u00a0b": false, "a\xff": false,
	} {
		require.Equal(t, valid, omni.ValidPubNubChannel(name), "%q", name)
	}
}

func TestAddressesOfPubNubChannels(t *testing.T) {
	t.Parallel()
	for address, valid := range map[string]bool{
		"support-1042": true, "support-*": true, "s*": true, "*": false, "support-**": false, "sup*port": false, "support 1": false, "support -*": false,
	} {
		ch := validChannel()
		ch.ChannelType, ch.Carrier, ch.Address = omni.ChannelPubNub, omni.CarrierPubNub, address
		err := ch.Validate()
		require.Equal(t, valid, err == nil, "%q: %v", address, err)
		if err != nil {
			var p *omni.Problem
			require.ErrorAs(t, err, &p)
			require.Contains(t, p.Fields, "address")
		}
		ch.ChannelType, ch.Carrier = omni.ChannelWhatsApp, omni.CarrierWhatsApp
		require.NoError(t, ch.Validate(), "the rule is PubNub's")
	}
	prefix, ok := omni.AddressPattern(omni.ChannelPubNub, "support-*")
	require.True(t, ok)
	require.Equal(t, "support-", prefix)
	_, ok = omni.AddressPattern(omni.ChannelPubNub, "support-1")
	require.False(t, ok)
	_, ok = omni.AddressPattern(omni.ChannelSMS, "+1*")
	require.False(t, ok)
}
