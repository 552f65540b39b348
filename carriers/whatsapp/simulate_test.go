package whatsapp_test

import (
	"testing"

	"omniservice/carriers/carriertest"
	"omniservice/carriers/whatsapp"
)

func TestPlayer(t *testing.T) {
	t.Parallel()
	carriertest.RunPlayer(t, whatsapp.New(), whatsapp.Player{})
}
