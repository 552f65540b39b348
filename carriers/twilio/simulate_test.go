package twilio_test

import (
	"testing"

	"omniservice/carriers/carriertest"
	"omniservice/carriers/twilio"
)

func TestPlayer(t *testing.T) {
	t.Parallel()
	carriertest.RunPlayer(t, twilio.New(), twilio.Player{})
}
