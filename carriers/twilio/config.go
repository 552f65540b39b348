package twilio

import (
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	accountSID          = "accountSid"
	messagingServiceSID = "messagingServiceSid"
	apiKeySID           = "apiKeySid"
	authToken           = "authToken"
	apiKeySecret        = "apiKeySecret"
)

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{
			Name: accountSID, Label: "Account SID", Required: true,
			Help: "Begins with AC. For numbers of a subaccount, the subaccount's.",
		},
		{
			Name: authToken, Label: "Auth token", Secret: true, Required: true,
			Help: "The primary auth token of that account: Twilio signs webhooks with it.",
		},
		{
			Name: messagingServiceSID, Label: "Messaging Service SID",
			Help: "Begins with MG. If set, messages go out through this service; the channel's number must be one of its senders.",
		},
		{
			Name: apiKeySID, Label: "API key SID",
			Help: "Begins with SK. If set with its secret, the key is used to send instead of the auth token.",
		},
		{Name: apiKeySecret, Label: "API key secret", Secret: true, Help: "The secret of the API key."},
	}
}

type config struct {
	accountSID          string
	messagingServiceSID string
	authTokens          []omni.Secret // newest first; all of them sign webhooks
	apiKeySID           string
	apiKeySecret        omni.Secret
}

func readConfig(a carriers.Account) (config, error) {
	c := config{
		accountSID:          strings.TrimSpace(a.Config[accountSID]),
		messagingServiceSID: strings.TrimSpace(a.Config[messagingServiceSID]),
		apiKeySID:           strings.TrimSpace(a.Config[apiKeySID]),
		apiKeySecret:        a.Credential(apiKeySecret),
	}
	c.authTokens = a.Secrets(authToken)
	bad := map[string]string{}
	if !isSID("AC", c.accountSID) {
		bad[accountSID] = "must be AC and 32 hexadecimal digits"
	}
	if c.messagingServiceSID != "" && !isSID("MG", c.messagingServiceSID) {
		bad[messagingServiceSID] = "must be MG and 32 hexadecimal digits"
	}
	if len(c.authTokens) == 0 {
		bad[authToken] = "is required"
	}
	switch {
	case c.apiKeySID != "" && !isSID("SK", c.apiKeySID):
		bad[apiKeySID] = "must be SK and 32 hexadecimal digits"
	case c.apiKeySID != "" && c.apiKeySecret.IsZero():
		bad[apiKeySecret] = "is required with an API key"
	case c.apiKeySID == "" && !c.apiKeySecret.IsZero():
		bad[apiKeySID] = "is required with its secret"
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the Twilio account is not set up right")
		p.Fields = bad
		return config{}, p
	}
	return c, nil
}

// login is what the API is called with: user and password of Basic authentication.
func (c config) login() (user string, password omni.Secret) {
	if c.apiKeySID != "" {
		return c.apiKeySID, c.apiKeySecret
	}
	return c.accountSID, c.authTokens[0]
}

// isSID reports whether s is a Twilio id of a kind: two letters and 32 hexadecimal digits.
func isSID(kind, s string) bool {
	return len(s) == 34 && strings.HasPrefix(s, kind) && strings.Trim(s[2:], "0123456789abcdefABCDEF") == ""
}
