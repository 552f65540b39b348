package omni_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestVisitorClaimsAreCleaned(t *testing.T) {
	t.Parallel()
	got, err := omni.VisitorClaims{
		Name: " A\u202ena\nB ", Email: " Ana@Example.COM ", Phone: "+1 415\t555 0123",
		Page: "https://user:secret@shop.example/a%2Fb?token=secret#secret",
	}.Clean()
	require.NoError(t, err)
	require.Equal(t, omni.VisitorClaims{
		Name: "Ana B", Email: "ana@example.com", Phone: "+1 415 555 0123", Page: "https://shop.example/a%2Fb",
	}, got)
	none, err := omni.VisitorClaims{}.Clean()
	require.NoError(t, err)
	require.Zero(t, none)

	for field, bad := range map[string][]omni.VisitorClaims{
		"email": {{Email: "ana"}, {Email: "@example.com"}, {Email: "a b@example.com"}, {Email: "a\u202e@example.com"}, {Email: strings.Repeat("a", 300) + "@example.com"}},
		"page":  {{Page: "javascript:alert(1)"}, {Page: "/path"}, {Page: "https://"}, {Page: "https://shop.example/" + strings.Repeat("a", 1000)}, {Page: "%"}},
	} {
		for _, c := range bad {
			_, err := c.Clean()
			require.ErrorIs(t, err, omni.ErrInvalid, c)
			var p *omni.Problem
			require.ErrorAs(t, err, &p)
			require.Contains(t, p.Fields, field)
		}
	}
}
