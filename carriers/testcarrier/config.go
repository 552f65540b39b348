package testcarrier

import (
	"omniservice/carriers"
	"omniservice/omni"
)

const secretName = "secret"

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{{
		Name: secretName, Label: "Secret", Secret: true, Required: true,
		Help: "Any text: webhooks of the simulator are signed with it.",
	}}
}

func readSecrets(a carriers.Account) ([]omni.Secret, error) {
	secrets := a.Secrets(secretName)
	if len(secrets) == 0 {
		p := omni.Problemf(omni.ErrInvalid, "the Test account is not set up right")
		p.Fields = map[string]string{secretName: "is required"}
		return nil, p
	}
	return secrets, nil
}
