package omni_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestGeo(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]omni.Location{
		"geo:-1.28333,36.81667": {Latitude: -1.28333, Longitude: 36.81667, Name: "Office"},
		"geo:0,0":               {Latitude: math.Copysign(0, -1)},
		"geo:0,0.0000001":       {Longitude: 1e-7},
		"geo:90,-180":           {Latitude: 90, Longitude: -180},
	} {
		require.Equal(t, want, l.Geo())
	}
}
